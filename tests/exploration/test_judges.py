# SPDX-License-Identifier: MIT
import pytest
import torch
from torch import Tensor

from egbas.errors import ConfigError
from egbas.exploration.judges import Features, Judge, Panel, Score, brightness, colour, contrast, name_of


def score(freedom: float | None) -> Score:
    return Score(query=0.0, region_mean=0.0, region_deviation=0.0, prior_mean=0.0, prior_deviation=0.0, freedom=freedom)


def test_a_score_by_hand() -> None:
    found = Score.of(1.0, torch.tensor([1.0, 3.0]), torch.tensor([-1.0, 3.0, 3.0, -1.0]))
    assert (found.query, found.region_mean, found.region_deviation) == (1.0, 2.0, 1.0)
    assert (found.prior_mean, found.prior_deviation) == (1.0, 2.0)
    # From the query's score: root mean squares of (0, 2) and of (2, 2, 2, 2).
    assert found.freedom == pytest.approx(2**0.5 / 2)
    assert found.word == "free"


def test_a_score_that_stays_is_held() -> None:
    found = Score.of(0.5, torch.full((4,), 0.5), torch.tensor([0.0, 1.0]))
    assert (found.freedom, found.word) == (0.0, "held")


def test_a_region_that_moves_a_score_away_from_the_querys_does_not_hold_it() -> None:
    found = Score.of(0.0, torch.full((4,), 2.0), torch.tensor([-1.0, 1.0]))
    assert found.region_deviation == 0.0
    assert (found.freedom, found.word) == (2.0, "free")


@pytest.mark.parametrize("value", [0.0, 3.0, -1e6])
def test_a_score_that_is_the_same_over_the_prior_is_constant(value: float) -> None:
    found = Score.of(value, torch.full((4,), value), torch.full((4,), value))
    assert (found.freedom, found.word) == (None, "constant")


@pytest.mark.parametrize(
    ("freedom", "word"),
    [(0.0, "held"), (0.39, "held"), (0.4, "partly free"), (0.7, "partly free"), (0.71, "free"), (1.3, "free")],
)
def test_words_of_scores(freedom: float, word: str) -> None:
    assert score(freedom).word == word


def test_brightness_and_contrast_by_hand() -> None:
    images = torch.tensor([[1.0, 1.0, 1.0, 1.0], [-1.0, 1.0, -1.0, 1.0]]).reshape(2, 1, 2, 2)
    assert brightness(images)["brightness"].tolist() == [1.0, 0.0]
    assert contrast(images)["contrast"].tolist() == [0.0, 1.0]


def test_colours_by_hand() -> None:
    red, grey = torch.tensor([1.0, 0.0, -1.0]), torch.full((3,), 0.5)
    found = colour(torch.stack([red, grey])[:, :, None, None].expand(2, 3, 4, 4))
    assert found["saturation"].tolist() == [2.0, 0.0]
    assert found["warmth"].tolist() == [2.0, 0.0]


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_images_without_three_channels_have_no_colour(channels: int) -> None:
    assert colour(torch.rand(2, channels, 4, 4)) == {}


def test_all_judges_are_asked() -> None:
    def size(images: Tensor) -> dict[str, Tensor]:
        return {"height": torch.full((len(images),), images.shape[2]), "n": torch.arange(len(images))}

    images = torch.rand(5, 3, 6, 4)
    panel = Panel.of([size], None, images[0])
    assert panel.scores["height"] == 6.0
    found = panel.scores_of(images)
    assert list(found) == ["brightness", "contrast", "saturation", "warmth", "height", "n"]
    assert all(values.shape == (5,) and values.dtype == torch.float64 for values in found.values())
    assert found["height"].tolist() == [6.0] * 5


def test_what_is_no_image_is_judged_by_nobody() -> None:
    assert Panel.of([], None, torch.rand(6)).scores_of(torch.rand(5, 6)) == {}
    with pytest.raises(ConfigError, match=r"judges look at images \(c, h, w\), and this network gives \(6,\)"):
        Panel.of([brightness], None, torch.rand(6))


def test_answers_may_be_lists_and_have_gradients() -> None:
    weight = torch.ones(1, requires_grad=True)
    judges: list[Judge] = [
        lambda images: {"list": [1.0] * len(images)},  # type: ignore[dict-item]
        lambda images: {"learnt": images.mean(dim=(1, 2, 3)) * weight},
    ]
    found = Panel.of(judges, None, torch.ones(1, 2, 2)).scores_of(torch.ones(2, 1, 2, 2))
    assert found["list"].tolist() == found["learnt"].tolist() == [1.0, 1.0]
    assert not found["learnt"].requires_grad


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (torch.zeros(3), "the judge same returned Tensor; expected a dict"),
        (None, "the judge same returned NoneType; expected a dict"),
        ({}, "the judge same named no score; expected a dict"),
        ({"smile": torch.zeros(2)}, r"the judge same gave 'smile' as \(2,\) for 1 images"),
        ({"smile": torch.zeros(1, 1)}, r"gave 'smile' as \(1, 1\)"),
        ({"smile": 1.0}, r"gave 'smile' as \(\)"),
        ({"smile": torch.tensor([torch.nan])}, r"values that are NaN, infinite or above 1e\+100; expected one finite"),
        ({"smile": torch.ones(1, dtype=torch.complex64)}, r"as \(1,\) of complex numbers for 1 images"),
        ({"": torch.zeros(1)}, "a score named ''; expected a name that can be printed"),
        ({"a\nb": torch.zeros(1)}, "expected a name that can be printed"),
        ({"smile": torch.tensor([-torch.inf])}, "one finite number for each image"),
        ({"smile": [1e200]}, "one finite number for each image"),
        ({"brightness": torch.zeros(1)}, "gave 'brightness', which another score is called; name it otherwise"),
    ],
)
def test_answers_in_another_form_are_refused(answer: object, message: str) -> None:
    def same(images: Tensor) -> object:
        return answer

    with pytest.raises(ConfigError, match=message):
        Panel.of([same], None, torch.rand(1, 2, 2))  # type: ignore[list-item]


def test_values_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"the judge .* gave 'smile' as str; expected one number for each image"):
        Panel.of([lambda images: {"smile": "wide"}], None, torch.rand(1, 2, 2))  # type: ignore[dict-item]


def test_a_judge_that_exits_is_told() -> None:
    def leave(images: Tensor) -> dict[str, Tensor]:
        raise SystemExit(3)

    with pytest.raises(ConfigError, match=r"the judge leave raised SystemExit: 3 \("):
        Panel.of([leave], None, torch.rand(1, 2, 2))


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize("changes", [{"judges": [3]}, {"features": "resnet"}])
def test_what_cannot_be_called_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="expected a callable that takes images"):
        Panel.of(**({"judges": [], "features": None, "image": torch.rand(1, 2, 2)} | changes))  # type: ignore[arg-type]


def test_names_that_change_between_images_are_refused() -> None:
    def moody(images: Tensor) -> dict[str, Tensor]:
        return {"one" if len(images) == 1 else "many": torch.ones(len(images))}

    panel = Panel.of([moody], None, torch.rand(1, 2, 2))
    with pytest.raises(ConfigError, match=r"'brightness', 'contrast', 'one' for the query's image and .*'many' for 5"):
        panel.scores_of(torch.rand(5, 1, 2, 2))


def test_features_whose_width_changes_between_images_are_refused() -> None:
    panel = Panel.of([], lambda images: images.flatten(1)[:, : len(images)], torch.rand(1, 2, 2))
    with pytest.raises(ConfigError, match="gave 1 numbers for the query's image and 3 for another"):
        panel.distances(torch.rand(3, 1, 2, 2))


def test_judges_and_features_may_write_into_their_images() -> None:
    def zero(images: Tensor) -> dict[str, Tensor]:
        images.zero_()
        return {"zero": images.flatten(1).sum(dim=1)}

    def halved(images: Tensor) -> Tensor:
        return images.mul_(0.5)

    image, images = torch.ones(1, 2, 2), torch.ones(3, 1, 2, 2)
    panel = Panel.of([zero], halved, image)
    panel.scores_of(images)
    panel.distances(images)
    assert bool((image == 1).all()) and bool((images == 1).all())


def test_a_score_is_constant_by_its_own_size() -> None:
    prior = 1e-6 * torch.tensor([1.0, -1.0, 1.0, -1.0]).double()
    assert Score.of(0.0, prior / 2, prior).freedom == pytest.approx(0.5)  # small, and yet it changes


class Held:
    """A judge that its own module holds by a name."""

    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        return {}


HELD = Held()


def test_rounding_is_no_freedom() -> None:
    noise = 1 + 1e-7 * torch.randn(100, generator=torch.Generator().manual_seed(0)).double()
    assert Score.of(1.0, noise, noise.flip(0)).word == "constant"


def test_features_of_one_number_an_image_are_rows() -> None:
    panel = Panel.of([], lambda images: images.flatten(1).mean(dim=1), torch.ones(1, 2, 2))
    assert panel.distances(2 * torch.ones(3, 1, 2, 2)).tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (lambda images: images * 0, "the features of the query's image are all zero"),
        (lambda images: images.double() * 1e200, r"NaN, infinite or above 1e\+100"),
        (lambda images: images[..., :0], "expected a tensor of real numbers"),
        (lambda images: images * 1j, r"returned torch\.complex64 \(1, 1, 2, 2\)"),
    ],
)
def test_features_that_no_distance_can_be_measured_in_are_refused(features: Features, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Panel.of([], features, torch.ones(1, 2, 2))


def test_scores_that_a_judge_writes_over_later_are_kept() -> None:
    room = torch.zeros(1, dtype=torch.float64)

    def judge(images: Tensor) -> dict[str, Tensor]:
        return {"mean": room.copy_(images.mean().double().reshape(1))}

    panel = Panel.of([judge], None, torch.ones(1, 2, 2))
    first = panel.scores_of(torch.ones(1, 1, 2, 2))["mean"]
    panel.scores_of(torch.zeros(1, 1, 2, 2))
    assert first.tolist() == [1.0]


def test_names_are_those_that_the_command_line_takes() -> None:
    assert name_of(brightness) == "egbas.exploration.judges:brightness"
    assert name_of(torch.nn.Identity()) == "torch.nn.modules.linear:Identity()"  # nothing that could be imported
    assert name_of(HELD) == f"{__name__}:HELD"
