# SPDX-License-Identifier: MIT
"""The judge of expressions computes what its files' layers say, in the order of their framework."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import face_judges
from benchmarks.face_judges import EXPRESSIONS, Expressions


def weights_of(rng: np.random.Generator) -> dict[str, Any]:
    """Weights as the file holds them, by layer."""

    def layer(name: str, **arrays: np.ndarray) -> dict[str, Any]:
        return {name: {f"{name}_1": {f"{key}:0": value.astype(np.float32) for key, value in arrays.items()}}}

    widths, found = (8, 16, 32, 64, 128), {}
    norms = [8, 8] + [width for width in widths[1:] for _ in range(3)]
    for i, width in enumerate(norms, 1):
        names = ("beta", "gamma", "moving_mean")
        arrays = {name: rng.normal(size=width) for name in names} | {"moving_variance": rng.uniform(0.5, 2, width)}
        found |= layer(f"batch_normalization_{i}", **arrays)
    shapes = [(3, 3, 1, 8), (3, 3, 8, 8), *((1, 1, a, b) for a, b in itertools.pairwise(widths))]
    for i, shape in enumerate(shapes, 1):
        found |= layer(f"conv2d_{i}", kernel=rng.normal(size=shape))
    found |= layer("conv2d_7", kernel=rng.normal(size=(3, 3, 128, 7)), bias=rng.normal(size=7))
    pairs = [pair for a, b in itertools.pairwise(widths) for pair in ((a, b), (b, b))]
    for i, (n_in, n_out) in enumerate(pairs, 1):
        by_channel, across = rng.normal(size=(3, 3, n_in, 1)), rng.normal(size=(1, 1, n_in, n_out))
        found |= layer(f"separable_conv2d_{i}", depthwise_kernel=by_channel, pointwise_kernel=across)
    return found


def normed(values: np.ndarray, held: dict[str, Any], name: str) -> np.ndarray:
    """A batch norm of Keras, whose channels are last."""
    one = held[name][f"{name}_1"]
    scale = one["gamma:0"] / np.sqrt(one["moving_variance:0"] + 1e-3)
    return (values - one["moving_mean:0"]) * scale + one["beta:0"]


def test_weights_go_where_the_files_layers_have_them() -> None:
    rng = np.random.default_rng(0)
    held = weights_of(rng)
    network = Expressions()
    face_judges._fill(network, held)
    network.eval()
    # The first block at one place of its input, whose channels are last: separable, norm, ReLU.
    x = rng.normal(size=(5, 5, 8)).astype(np.float32)
    one = held["separable_conv2d_1"]["separable_conv2d_1_1"]
    by_channel = (x[1:4, 1:4] * one["depthwise_kernel:0"][..., 0]).sum(axis=(0, 1))
    across = by_channel @ one["pointwise_kernel:0"][0, 0]
    expected = np.maximum(normed(across, held, "batch_normalization_4"), 0)
    block: Any = network.blocks[0]
    with torch.no_grad():
        got = block.first(torch.from_numpy(x.transpose(2, 0, 1))[None])[0, :, 2, 2].numpy()
        beside = block.beside(torch.from_numpy(x.transpose(2, 0, 1))[None])[0, :, 1, 2].numpy()
    assert got == pytest.approx(expected, rel=1e-4, abs=1e-4)
    step = x[2, 4] @ held["conv2d_3"]["conv2d_3_1"]["kernel:0"][0, 0]
    assert beside == pytest.approx(normed(step, held, "batch_normalization_3"), rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("side", [3, 4, 5, 8, 15])
def test_windows_at_the_border_are_those_of_the_files_framework(side: int) -> None:
    block: Any = face_judges._Block(1, 1).eval()
    for layer in (block.first, block.second, block.beside):
        layer[0].weight.data.zero_()
    ramp = torch.arange(side * side, dtype=torch.float32).reshape(1, 1, side, side)
    block.second = torch.nn.Identity()
    block.first = torch.nn.Identity()
    got = block(ramp)[0, 0]
    n = -(-side // 2)
    before = max((n - 1) * 2 + 3 - side, 0) // 2  # of "same" padding, which has the odd pixel at the end
    rows = [range(max(2 * i - before, 0), min(2 * i - before + 3, side)) for i in range(n)]
    assert got.tolist() == [[max(r) * side + max(c) for c in rows] for r in rows]


def test_a_logit_for_each_expression_of_each_face() -> None:
    network = Expressions().eval()
    images = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float32) * 2 - 1
    logits = network(images)
    assert logits.shape == (3, len(EXPRESSIONS))
    assert torch.allclose(network(images[1:2]), logits[1:2], atol=1e-5)
    # What lies outside of the face is not looked at.
    changed = images.clone()
    changed[:, :, :10] = 0
    assert torch.equal(network(changed), logits)


def test_a_folder_that_is_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(face_judges.PLACE, raising=False)
    with pytest.raises(SystemExit, match="EGBAS_FACE_JUDGES is not set"):
        face_judges.folder()
