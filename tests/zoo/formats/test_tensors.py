# SPDX-License-Identifier: MIT
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from egbas.errors import CheckpointError
from egbas.zoo.formats.tensors import Tensors, fold, from_transposed
from tests.zoo.containers.test_stored import stored
from tests.zoo.formats.reference import Draw


def tensors(**values: Tensor) -> Tensors:
    return Tensors(stored={name: stored(value) for name, value in values.items()}, what="generator")


def test_layers_are_counted_by_their_largest_number() -> None:
    found = tensors(a0=torch.zeros(1), a12=torch.zeros(1), b3=torch.zeros(1))
    assert found.count(r"a(\d+)") == 13
    assert found.count(r"c(\d+)") == 0


def test_layers_of_absurd_numbers_are_too_many() -> None:
    for digits in ("1" * 5000, "99999999"):
        found = tensors(**{f"layer{digits}.weight": torch.zeros(1), "layer3.weight": torch.zeros(1)})
        assert found.count(r"layer(\d+)\.weight") == 10_001
        with pytest.raises(CheckpointError, match="expected 2 to 18"):
            found.resolutions(found.count(r"layer(\d+)\.weight"))


def test_resolutions_are_few() -> None:
    found = tensors()
    assert [found.resolutions(n) for n in (1, 2, 3, 18)] == [1, 1, 2, 9]
    for n in (0, 19, 10**9):
        with pytest.raises(CheckpointError, match="expected 2 to 18"):
            found.resolutions(n)


def test_names_are_compared() -> None:
    found = tensors(**{f"x{i}": torch.zeros(1) for i in range(9)})
    found.check_names(["x0"], ignored=r"x\d")
    with pytest.raises(CheckpointError, match="missing: y; unknown: x1, x2, x3, x4, x5, x6 and 2 more"):
        found.check_names(["x0", "y"])


def test_shapes_are_compared() -> None:
    found = tensors(a=torch.zeros(2, 3), empty=torch.zeros(0, 3))
    assert found.load("a", None, 3).shape == (2, 3)
    for name, shape in (("a", (2,)), ("a", (3, 3)), ("empty", (None, 3))):
        with pytest.raises(CheckpointError, match="expected"):
            found.load(name, *shape)
        with pytest.raises(CheckpointError, match="expected"):
            found.sizes(name, *shape)
    assert found.sizes("a", None, 3) == (2, 3)


def test_a_growing_network_is_refused() -> None:
    tensors().refuse_growing()
    tensors(lod=torch.tensor([0.0])).refuse_growing()
    with pytest.raises(CheckpointError, match=r"level of detail 0\.5"):
        tensors(lod=torch.tensor(0.5)).refuse_growing()


@pytest.mark.parametrize("shape", [(0,), (2,), (0, 3)])
def test_a_level_of_detail_that_is_no_number_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(CheckpointError, match=r"'lod'.*expected one number"):
        tensors(lod=torch.zeros(shape)).refuse_growing()


def test_scales_are_folded_in() -> None:
    w = Draw()(4, 3, 2, 2)
    assert torch.allclose(fold(w.clone(), 3.0), w * 3 / math.sqrt(12))
    conv, bias = tensors(w=w.clone(), b=torch.ones(4)).conv("w", "b", 2, gain=3.0)
    assert torch.allclose(conv, w * 3 / math.sqrt(12))
    assert torch.equal(bias, torch.ones(4))


def test_a_transposed_convolution_of_a_point_is_a_convolution() -> None:
    w, z = Draw()(5, 3, 4, 4).double(), Draw(1)(2, 5, 1, 1).double()
    expected = F.conv_transpose2d(z, w)
    torch.testing.assert_close(F.conv2d(z, from_transposed(w), padding=3), expected)
