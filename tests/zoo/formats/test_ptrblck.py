# SPDX-License-Identifier: MIT
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from tests.zoo.formats.reference import Draw, agree, double, load, lrelu, pixel_norm

SIZES = (7, 6, 5, 4)


def layout() -> dict[str, Tensor]:
    """What the first PyTorch port saves; the scales are numbers of their own."""
    draw, state = Draw(), {}
    for i in range(6):
        before, c = SIZES[(i + 1) // 2], SIZES[i // 2 + 1]
        k = 4 if i == 0 else 3
        state[f"features.{i}.conv.weight"] = draw(c, before, k, k)
        state[f"features.{i}.wscale.scale"] = 0.1 + draw(1).abs()
        state[f"features.{i}.wscale.b"] = draw(c)
    state |= {"output.conv.weight": draw(3, 4, 1, 1), "output.wscale.scale": torch.tensor([0.37])}
    return state | {"output.wscale.b": draw(3)}


def original(state: dict[str, Tensor], z: Tensor) -> tuple[Tensor, list[Tensor]]:
    x, pres = z[:, :, None, None], []
    for i in range(6):
        x = pixel_norm(x)
        x = double(x) if i in (2, 4) else x
        x = F.conv2d(x, state[f"features.{i}.conv.weight"], padding=1 if i else 3)
        pres.append(x * state[f"features.{i}.wscale.scale"] + state[f"features.{i}.wscale.b"].view(-1, 1, 1))
        x = lrelu(pres[-1])
    x = F.conv2d(pixel_norm(x), state["output.conv.weight"]) * state["output.wscale.scale"]
    return x + state["output.wscale.b"].view(-1, 1, 1), pres


def test_it_computes_what_the_original_does_with_the_scales_of_the_file(tmp_path: Path) -> None:
    state = layout()
    torch.save(state, tmp_path / "g.pth")
    parts, generator, _ = load(tmp_path / "g.pth", "ptrblck")
    assert parts.facts["scales"] == "those in the file"
    agree(generator, Draw(1)(5, 7), lambda z: original(state, z))
