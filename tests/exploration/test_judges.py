# SPDX-License-Identifier: MIT
import pytest
import torch
from torch import Tensor

from egbas.errors import ConfigError
from egbas.exploration.judges import BUILT_IN, Score, brightness, colour, contrast, scores_of


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

    found = scores_of((*BUILT_IN, size), torch.rand(5, 3, 6, 4))
    assert list(found) == ["brightness", "contrast", "saturation", "warmth", "height", "n"]
    assert all(values.shape == (5,) and values.dtype == torch.float64 for values in found.values())
    assert found["height"].tolist() == [6.0] * 5


def test_what_is_no_image_is_judged_by_nobody() -> None:
    assert scores_of(BUILT_IN, torch.rand(5, 6)) == {}


def test_answers_may_be_lists_and_have_gradients() -> None:
    weight = torch.ones(1, requires_grad=True)
    judges = [
        lambda images: {"list": [1.0] * len(images)},
        lambda images: {"learnt": images.mean(dim=(1, 2, 3)) * weight},
    ]
    found = scores_of(judges, torch.ones(2, 1, 2, 2))
    assert found["list"].tolist() == found["learnt"].tolist() == [1.0, 1.0]
    assert not found["learnt"].requires_grad


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (torch.zeros(3), "the judge same returned Tensor; expected a dict"),
        (None, "the judge same returned NoneType; expected a dict"),
        ({"smile": torch.zeros(2)}, r"the judge same gave 'smile' as \(2,\) for 3 images"),
        ({"smile": torch.zeros(3, 1)}, r"gave 'smile' as \(3, 1\)"),
        ({"smile": 1.0}, r"gave 'smile' as \(\)"),
        ({"smile": torch.tensor([0.0, torch.nan, 0.0])}, "one finite number for each image"),
        ({"smile": torch.tensor([0.0, torch.inf, 0.0])}, "one finite number for each image"),
    ],
)
def test_answers_in_another_form_are_refused(answer: object, message: str) -> None:
    def same(images: Tensor) -> object:
        return answer

    with pytest.raises(ConfigError, match=message):
        scores_of([same], torch.rand(3, 1, 2, 2))  # type: ignore[list-item]


def test_values_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"the judge .* gave 'smile' as str; expected one number for each image"):
        scores_of([lambda images: {"smile": "wide"}], torch.rand(3, 1, 2, 2))
