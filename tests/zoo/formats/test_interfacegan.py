# SPDX-License-Identifier: MIT
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from egbas.errors import CheckpointError
from egbas.zoo.formats import read_checkpoint
from tests.zoo.formats.reference import Draw, agree, double, four_shifts, load, lrelu, pixel_norm

SIZES = (7, 6, 5, 5)  # one upsampling layer changes the number of channels, one does not


def layout(fused: bool) -> dict[str, Tensor]:
    """What InterFaceGAN saves; fused kernels are (k, k, in, out)."""
    draw, state = Draw(), {"lod": torch.tensor(0.0)}
    for i in range(6):
        before, c = SIZES[(i + 1) // 2], SIZES[i // 2 + 1]
        if fused and i in (2, 4):
            state[f"layer{i}.weight"] = draw(3, 3, before, c)
        else:
            state[f"layer{i}.conv.weight"] = draw(c, before, 3 if i else 4, 3 if i else 4)
        state[f"layer{i}.wscale.bias"] = draw(c)
    for j in range(3):
        state |= {f"output{j}.conv.weight": draw(3, SIZES[j + 1], 1, 1), f"output{j}.wscale.bias": draw(3)}
    return state


def early(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same in the early version's names: layers from 1, one output."""
    renamed = {}
    for name, value in state.items():
        head, _, rest = name.partition(".")
        if head.startswith("layer"):
            renamed[f"layer{int(head[5:]) + 1}.{rest}"] = value
        elif head == "output2":
            renamed[f"output_16x16.{rest}"] = value
    return renamed


def original(state: dict[str, Tensor], z: Tensor) -> tuple[Tensor, list[Tensor]]:
    x, pres = z[:, :, None, None], []
    for i in range(6):
        x = pixel_norm(x)
        bias = state[f"layer{i}.wscale.bias"].view(-1, 1, 1)
        if f"layer{i}.weight" in state:
            w = state[f"layer{i}.weight"]
            scale = 2**0.5 / (9 * w.shape[2]) ** 0.5
            kernel = four_shifts((w * scale).permute(2, 3, 0, 1))  # (in, out, 4, 4)
            pres.append(F.conv_transpose2d(x, kernel, stride=2, padding=1) + bias)
        else:
            w = state[f"layer{i}.conv.weight"]
            x = double(x) if i in (2, 4) else x
            pres.append(F.conv2d(x, w, padding=1 if i else 3) * (2 / w[0].numel()) ** 0.5 + bias)
        x = lrelu(pres[-1])
    w = state["output2.conv.weight"]
    return F.conv2d(pixel_norm(x), w) / w.shape[1] ** 0.5 + state["output2.wscale.bias"].view(-1, 1, 1), pres


@pytest.mark.parametrize("fused", [False, True])
def test_it_computes_what_the_original_does(tmp_path: Path, fused: bool) -> None:
    state = layout(fused)
    torch.save(state, tmp_path / "g.pth")
    parts, generator, _ = load(tmp_path / "g.pth", "interfacegan")
    assert parts.facts["fused_scale"] is fused
    agree(generator, Draw(1)(5, 7), lambda z: original(state, z))


def test_the_early_version_has_other_names(tmp_path: Path) -> None:
    state = layout(False)
    torch.save(early(state), tmp_path / "g.pth")
    agree(load(tmp_path / "g.pth", "interfacegan")[1], Draw(1)(2, 7), lambda z: original(state, z))


def test_a_network_that_was_still_growing_is_refused(tmp_path: Path) -> None:
    torch.save(layout(False) | {"lod": torch.tensor(1.5)}, tmp_path / "g.pth")
    with pytest.raises(CheckpointError, match=r"still growing .*level of detail 1\.5"):
        read_checkpoint(tmp_path / "g.pth")
