# SPDX-License-Identifier: MIT
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from egbas.errors import ConfigError, NetworkError
from egbas.network.images import check_choice, close, find_image, image_of, other_images, refuse_nonfinite

IMAGE, OTHER = torch.zeros(2, 1, 4, 4), torch.ones(2, 5)
SMALL, LOSS = torch.zeros(2, 1, 2, 2), torch.tensor(1.0)


class Pair(NamedTuple):
    small: Tensor
    big: Tensor


@dataclass
class Decoded:
    sample: Tensor
    n: int = 2


@pytest.mark.parametrize(
    "output",
    [
        IMAGE,
        (IMAGE, OTHER),
        [None, IMAGE],
        {"w": OTHER, "image": IMAGE},
        {"n": 2, "picture": IMAGE, "w": OTHER},
        {"image": None, "x": IMAGE},
        (LOSS, IMAGE),
        (torch.zeros(2, dtype=torch.long), IMAGE),
        ([SMALL], IMAGE),
        Decoded(IMAGE),
        SimpleNamespace(small=SMALL, image=IMAGE),
        SimpleNamespace(inner={"sample": IMAGE}),
        (OTHER, IMAGE),  # a variance, then the image
        (torch.zeros(2, 8, 4, 4), IMAGE),
        Pair(torch.zeros(2, 64), IMAGE),
        (OTHER, IMAGE, SMALL),
        (OTHER, [SMALL], IMAGE),
        (IMAGE, torch.zeros(2, 3, 4, 4)),
    ],
)
def test_the_image_is_found(output: Any) -> None:
    assert image_of(output, 2) is IMAGE


@pytest.mark.parametrize(
    "first",
    [torch.zeros(2, 6, 8), torch.zeros(2, 4, 8, 8), torch.zeros(2, 12)],  # tokens, latents, a vector
)
def test_the_first_stays_where_shapes_leave_a_doubt(first: Tensor) -> None:
    others = (torch.zeros(2, 9), torch.zeros(2, 3, 1, 1), torch.zeros(2, 8, 4, 4))
    assert find_image((first, *others), 2) == (0,)
    assert find_image((first, torch.zeros(2, 4, 6, 6)), 2) == ((1,) if first.ndim == 2 else (0,))


@pytest.mark.parametrize("output", [None, 3, "image", (), {"image": 1}])
def test_no_image_is_found(output: Any) -> None:
    with pytest.raises(NetworkError, match="expected a tensor of images"):
        image_of(output, 2)


@pytest.mark.parametrize(
    ("output", "choice"),
    [
        ([SMALL, IMAGE], 1),
        ([SMALL, IMAGE], "1"),
        ([SMALL, IMAGE], -1),
        (Pair(SMALL, IMAGE), "big"),
        (Pair(SMALL, IMAGE), 1),
        ({"lo": SMALL, "hi": IMAGE}, "hi"),
        ({"lo": SMALL, "hi": IMAGE}, "-1"),
        ({2: SMALL, 8: IMAGE}, "8"),
        ({"a.b": IMAGE, "a": SMALL}, "a.b"),
        ({"images": [SMALL, IMAGE]}, "images.-1"),
        (Decoded(IMAGE), "sample"),
        (SimpleNamespace(small=SMALL, big=IMAGE), "big"),
        ((OTHER, IMAGE), 1),
    ],
)
def test_an_output_is_chosen(output: Any, choice: int | str) -> None:
    assert image_of(output, 2, find_image(output, 2, choice)) is IMAGE


@pytest.mark.parametrize(
    ("output", "choice", "message"),
    [
        ([SMALL, IMAGE], 2, r"no output 2 .* a list; choose one of 0 \(1 x 2 x 2\), 1 \(1 x 4 x 4\)"),
        ([SMALL, IMAGE], "big", "no output 'big'"),
        (
            {"images": [SMALL, IMAGE]},
            "images",
            r"'images' of the network is no tensor; choose one of images.0 .*images.1",
        ),
        ({"n": 2, "x": IMAGE}, "n", r"'n' of the network is no tensor; choose one of x"),
        (Pair(SMALL, IMAGE), "count", "no output 'count'"),
        (IMAGE, 0, "that is the image itself: leave --output"),
    ],
)
def test_what_cannot_be_chosen_says_what_can(output: Any, choice: int | str, message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        find_image(output, 2, choice)


@pytest.mark.parametrize("choice", [True, 1.5, "", [1]])
def test_what_is_no_choice(choice: object) -> None:
    with pytest.raises(ConfigError, match="expected an index such as 1, a key"):
        check_choice(choice)


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ([SMALL, IMAGE], "0 (1 x 2 x 2), 1 (1 x 4 x 4). Output 0 is explored; choose another by --output 1"),
        ((OTHER, IMAGE), "0 (5), 1 (1 x 4 x 4). Output 1 is explored, which has the shape of an image; choose another"),
        ((OTHER, OTHER), "0 (5), 1 (5). Output 0 is explored; choose another by --output 1"),
        (Pair(SMALL, IMAGE), "small (1 x 2 x 2), big (1 x 4 x 4)"),
        (SimpleNamespace(x=SMALL, y=IMAGE), "--output y"),
        (IMAGE, None),
        ((IMAGE, OTHER), None),  # latents beside images
        ((LOSS, IMAGE), None),
        ({"image": IMAGE, "small": SMALL}, None),
    ],
)
def test_more_than_one_candidate_is_told(output: Any, told: str | None) -> None:
    sentence = other_images(output, 2, find_image(output, 2))
    assert sentence is None if told is None else sentence is not None and told in sentence


def test_an_image_of_another_shape_names_what_else_there_is() -> None:
    with pytest.raises(
        NetworkError, match=r"shape \(\) for 2 latents.*or choose one of image \(1 x 4 x 4\) by --output"
    ):
        image_of({"loss": LOSS, "image": IMAGE}, 2, ("loss",))
    with pytest.raises(NetworkError, match="without an output 1, which it had before"):
        image_of([IMAGE], 2, (1,))


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_what_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(NetworkError, match="NaN or infinite"):
        refuse_nonfinite(torch.tensor([[0.0, value]]))


def test_close_is_relative_to_the_largest_entry() -> None:
    expected = torch.tensor([1000.0, 0.0])
    assert close(expected + torch.tensor([0.0, 0.1]), expected)
    assert not close(expected + torch.tensor([0.0, 1.0]), expected)
    assert close(expected + torch.tensor([0.0, 1.0]), expected, slack=10.0)
    assert not close(expected.double(), expected)
    assert not close(expected[:1], expected)
    assert close(torch.tensor([torch.nan, 1.0]), torch.tensor([torch.nan, 1.0]))
