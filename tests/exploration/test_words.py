# SPDX-License-Identifier: MIT
import itertools

import pytest
import torch
from torch import Tensor

from egbas.exploration.judges import Score
from egbas.exploration.words import areas_of, sentence_of

PLACES = list(itertools.product(range(3), range(3)))  # row and column


def spread(*rows: list[float], side: int = 4) -> Tensor:
    """A map (3 side, 3 side) whose nine areas have these values."""
    return torch.tensor(rows).repeat_interleave(side, 0).repeat_interleave(side, 1)


def areas(*rows: list[float]) -> dict[tuple[int, int], float]:
    return dict(zip(PLACES, itertools.chain(*rows), strict=True))


def score(value: float | None) -> Score:
    return Score(query=0.0, region_mean=0.0, region_deviation=0.0, prior_mean=0.0, prior_deviation=0.0, freedom=value)


def test_freedom_of_nine_areas() -> None:
    rows = [[0.1, 0.2, 0.3], [0.4, 0.5, 0.6], [0.7, 0.8, 0.9]]
    deviation = spread(*rows)
    assert areas_of(deviation, torch.ones(12, 12)) == pytest.approx(areas(*rows))
    assert areas_of(2 * deviation[None], torch.full((1, 12, 12), 2.0)) == pytest.approx(areas(*rows))


def test_the_deviation_of_an_area_is_summed_over_pixels_and_channels() -> None:
    prior = torch.stack([torch.full((6, 6), 1.0), torch.full((6, 6), 3.0)])
    deviation = torch.stack([torch.full((6, 6), 1.0), torch.zeros(6, 6)])  # one channel free, the other held
    assert areas_of(deviation, prior) == pytest.approx(dict.fromkeys(PLACES, 0.25))


@pytest.mark.parametrize(("height", "width"), [(3, 3), (4, 5), (7, 11)])
def test_every_pixel_lies_in_one_area(height: int, width: int) -> None:
    prior = torch.ones(height, width)
    for single in torch.eye(height * width).reshape(-1, height, width):
        assert sum(value > 0 for value in areas_of(single, prior).values()) == 1


@pytest.mark.parametrize("shape", [(1, 2, 9), (2, 2), (1, 9, 2), (8,), (1, 1, 1)])
def test_tiny_images_and_vectors_are_one_area(shape: tuple[int, ...]) -> None:
    found = areas_of(torch.full(shape, 0.5), torch.ones(shape))
    assert found == {(1, 1): 0.5}
    assert sentence_of(found, {}) == "The whole image moves in part (freedom 0.50)."
    assert areas_of(torch.zeros(shape), torch.zeros(shape)) == {}


def test_an_area_that_hardly_changes_over_the_prior_is_left_out() -> None:
    prior = spread([0.1, 0.3, 0.0], [1.0] * 3, [1.0] * 3)  # shares of 0.016 and 0.047 of all, and nothing
    found = areas_of(0.5 * prior, prior)
    assert (0, 0) not in found and (0, 2) not in found
    assert found == pytest.approx({place: 0.5 for place in PLACES if place not in ((0, 0), (0, 2))})


def test_nothing_is_said_where_nothing_changes_over_the_prior() -> None:
    assert areas_of(torch.zeros(6, 6), torch.zeros(6, 6)) == {}
    assert sentence_of({}, {}) == ""


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([[0.1] * 3] * 3, "The whole image stays (freedom 0.10)."),
        ([[0.0, 0.1, 0.2], [0.39] * 3, [0.3] * 3], "The whole image stays (freedom 0.00 to 0.39)."),
        ([[0.9] * 3, [1.2] * 3, [1.0] * 3], "The whole image moves (freedom 0.90 to 1.20)."),
        (
            [[0.1] * 3, [0.5] * 3, [0.9] * 3],
            "The top stays (freedom 0.10); the bottom moves (freedom 0.90); the rest moves in part (freedom 0.50).",
        ),
        (
            [[0.1, 0.5, 0.5], [0.2, 0.5, 0.5], [0.3, 0.5, 0.5]],
            "The left side stays (freedom 0.10 to 0.30); the rest moves in part (freedom 0.50).",
        ),
        (
            [[0.1, 0.9, 0.9], [0.9, 0.2, 0.9], [0.9, 0.9, 0.9]],
            "The upper left and the middle stay (freedom 0.10 to 0.20); "
            "the bottom, the upper middle, the upper right, the left and the right move (freedom 0.90).",
        ),
        (
            [[0.9, 0.9, 0.9], [0.9, 0.9, 0.3], [0.9, 0.9, 0.9]],
            "The right stays (freedom 0.30); the top, the bottom, the left and the middle move (freedom 0.90).",
        ),
        (
            [[0.5, 0.5, 0.6], [0.45, 0.5, 0.5], [0.5, 0.5, 0.5]],
            "Every part of the image moves in part, the left least (0.45), the upper right most (0.60).",
        ),
    ],
)
def test_sentences_of_areas(rows: list[list[float]], sentence: str) -> None:
    assert sentence_of(areas(*rows), {}) == sentence


def test_areas_that_are_left_out_are_not_named() -> None:
    assert sentence_of({(1, 1): 0.1, (1, 2): 0.2}, {}) == "The whole image stays (freedom 0.10 to 0.20)."
    assert sentence_of({(1, 1): 0.1, (2, 2): 0.9}, {}) == (
        "The middle stays (freedom 0.10); the lower right moves (freedom 0.90)."
    )


def test_scores_are_grouped_by_their_word() -> None:
    scores = {"smile": score(0.1), "pose": score(0.95), "age": score(0.5), "hair": score(0.2), "eyes": score(0.0)}
    assert sentence_of({}, scores) == (
        "Held: smile (0.10), hair (0.20) and eyes (0.00); partly free: age (0.50); free: pose (0.95)."
    )


def test_constant_scores_are_left_out() -> None:
    assert sentence_of({}, {"smile": score(None)}) == ""
    assert sentence_of({}, {"smile": score(None), "pose": score(1.0)}) == "Free: pose (1.00)."


def test_areas_come_before_scores() -> None:
    found = sentence_of(dict.fromkeys(PLACES, 0.0), {"pose": score(1.0)})
    assert found == "The whole image stays (freedom 0.00). Free: pose (1.00)."
