# SPDX-License-Identifier: MIT
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from egbas.errors import CheckpointError
from egbas.zoo.formats import read_checkpoint
from tests.zoo.formats.reference import Draw, agree, double, load, lrelu, pixel_norm

SIZES = (7, 6, 5, 4)  # z, then the channels at 4, 8 and 16 pixels


def layout(sizes: tuple[int, ...] = SIZES) -> dict[str, Tensor]:
    """What GAN dissection saves."""
    draw, state, n = Draw(), {}, len(sizes) - 1
    for block in range(n):
        before, c, k = sizes[block], sizes[block + 1], 4 if block == 0 else 3
        state[f"layer{2 * block + 1}.conv.weight"] = draw(c, before, k, k)
        state[f"layer{2 * block + 2}.conv.weight"] = draw(c, c, 3, 3)
        state |= {f"layer{2 * block + i}.wscale.b": draw(c) for i in (1, 2)}
    output = f"output_{4 * 2 ** (n - 1)}x{4 * 2 ** (n - 1)}"
    return state | {f"{output}.conv.weight": draw(3, sizes[-1], 1, 1), f"{output}.wscale.b": draw(3)}


def original(state: dict[str, Tensor], z: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Norm, upsampling, convolution without bias, times scale plus bias, leaky ReLU."""
    x, pres = z[:, :, None, None], []
    n_layers = sum(name.startswith("layer") for name in state) // 2
    for i in range(1, n_layers + 1):
        w = state[f"layer{i}.conv.weight"]
        x = pixel_norm(x)
        x = double(x) if i > 1 and i % 2 == 1 else x
        x = F.conv2d(x, w, padding=3 if i == 1 else 1) * (2**0.5 / w.shape[2] / w.shape[1] ** 0.5)
        pres.append(x + state[f"layer{i}.wscale.b"].view(-1, 1, 1))
        x = lrelu(pres[-1])
    (output,) = {name.partition(".")[0] for name in state if name.startswith("output")}
    w = state[f"{output}.conv.weight"]
    return F.conv2d(pixel_norm(x), w) / w.shape[1] ** 0.5 + state[f"{output}.wscale.b"].view(-1, 1, 1), pres


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("zipped", [False, True])
def test_it_computes_what_the_original_does(tmp_path: Path, wrapped: bool, zipped: bool) -> None:
    state = layout()
    saved = {"state_dict": state} if wrapped else state
    torch.save(saved, tmp_path / "g.pth", _use_new_zipfile_serialization=zipped)
    parts, generator, discriminator = load(tmp_path / "g.pth", "gandissect")
    assert discriminator is None
    assert parts.latent.shape == (7,)
    agree(generator, Draw(1)(5, 7), lambda z: original(state, z))


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "generator.", "module._orig_mod.", "generator.module."])
def test_prefixes_of_wrappers_are_stripped(tmp_path: Path, prefix: str) -> None:
    state = layout()
    torch.save({prefix + name: value for name, value in state.items()}, tmp_path / "g.pth")
    agree(load(tmp_path / "g.pth", "gandissect")[1], Draw(1)(2, 7), lambda z: original(state, z))


def test_channels_come_from_the_shapes(tmp_path: Path) -> None:
    state = layout((3, 11))
    torch.save(state, tmp_path / "g.pth")
    parts, generator, _ = load(tmp_path / "g.pth", "gandissect")
    assert parts.generator.config.channels == (11,)
    agree(generator, Draw(1)(2, 3), lambda z: original(state, z))


def test_half_precision_becomes_single(tmp_path: Path) -> None:
    state = {name: value.half() for name, value in layout().items()}
    torch.save(state, tmp_path / "g.pth")
    _, generator, _ = load(tmp_path / "g.pth", "gandissect")
    assert {value.dtype for value in generator.state_dict().values()} == {torch.float32}
    single = {name: value.float() for name, value in state.items()}
    agree(generator, Draw(1)(2, 7), lambda z: original(single, z))


def test_missing_unknown_and_misshapen_tensors_are_named(tmp_path: Path) -> None:
    path = tmp_path / "g.pth"

    def refusal(state: dict[str, Tensor]) -> str:
        torch.save(state, path)
        with pytest.raises(CheckpointError) as refused:
            read_checkpoint(path)
        assert str(path) in str(refused.value)
        return str(refused.value)

    state = layout()
    assert "missing: layer3.wscale.b" in refusal({k: v for k, v in state.items() if k != "layer3.wscale.b"})
    assert "missing: layer4.conv.weight, layer4.wscale.b" in refusal({k: v for k, v in state.items() if "r4" not in k})
    assert "unknown: layer3.extra" in refusal(state | {"layer3.extra": torch.zeros(1)})
    wide = refusal(state | {"layer3.conv.weight": torch.zeros(5, 9, 3, 3)})
    assert "'layer3.conv.weight'" in wide
    assert "(5, 9, 3, 3); expected (any, 6, 3, 3)" in wide
    assert "expected (5)" in refusal(state | {"layer3.wscale.b": torch.zeros(4)})
    assert "one resolution" in refusal(state | {"layer6.conv.weight": torch.zeros(5, 4, 3, 3)} | wider(state))


def wider(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Changes that make the last layer wider than the one before."""
    return {"layer6.wscale.b": torch.zeros(5), "output_16x16.conv.weight": torch.zeros(3, 5, 1, 1)}
