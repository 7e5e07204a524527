# SPDX-License-Identifier: MIT
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from egbas.errors import CheckpointError
from egbas.zoo.formats import read_checkpoint
from tests.zoo.formats.reference import (
    Draw,
    agree,
    double,
    four_shifts,
    halve,
    load,
    lrelu,
    pixel_norm,
    strided_deviation,
)

SIZES = (7, 6, 5, 5)  # z, then the channels at 4, 8 and 16 pixels


def generator_layout(fused: bool, seed: int = 0) -> dict[str, Tensor]:
    draw, state = Draw(seed), {"lod": torch.tensor(0.0)}
    for i in range(6):
        before, c = SIZES[(i + 1) // 2], SIZES[i // 2 + 1]
        shape = (before, c) if fused and i in (2, 4) else (c, before)
        state |= {f"layer{i}.weight": draw(*shape, *([3 if i else 4] * 2)), f"layer{i}.bias": draw(c)}
    for j in range(3):
        state |= {f"output{j}.weight": draw(3, SIZES[j + 1], 1, 1), f"output{j}.bias": draw(3)}
    return state


def critic_layout(label: int = 0) -> dict[str, Tensor]:
    """Block 0 is that of 16 pixels; 9 features."""
    draw, state = Draw(5), {"lod": torch.tensor(0.0)}
    down = SIZES[:0:-1]  # 5, 5, 6
    for b, c in enumerate(down):
        state |= {f"input{b}.weight": draw(c, 3, 1, 1), f"input{b}.bias": draw(c)}
    for b in (0, 1):
        state |= {f"layer{2 * b}.weight": draw(down[b], down[b], 3, 3), f"layer{2 * b}.bias": draw(down[b])}
        state |= {
            f"layer{2 * b + 1}.weight": draw(down[b + 1], down[b], 3, 3),
            f"layer{2 * b + 1}.bias": draw(down[b + 1]),
        }
    state |= {"layer4.weight": draw(6, 7, 3, 3), "layer4.bias": draw(6)}
    state |= {"layer5.weight": draw(9, 16 * 6), "layer5.bias": draw(9)}
    return state | {"layer6.weight": draw(1 + label, 9), "layer6.bias": draw(1 + label)}


def original(state: dict[str, Tensor], fused: bool, z: Tensor) -> tuple[Tensor, list[Tensor]]:
    """The latent is normalised at the entry, times sqrt(z) over sqrt(z), and again in the first layer."""
    x, pres = pixel_norm(z)[:, :, None, None], []
    for i in range(6):
        w, bias = state[f"layer{i}.weight"], state[f"layer{i}.bias"]
        x = pixel_norm(x)
        if fused and i in (2, 4):
            kernel = four_shifts(w * 2**0.5 / (9 * w.shape[0]) ** 0.5)
            pres.append(F.conv_transpose2d(x, kernel, bias, stride=2, padding=1))
        else:
            x = double(x) if i in (2, 4) else x
            pres.append(F.conv2d(x, w * (2 / w[0].numel()) ** 0.5, bias, padding=1 if i else 3))
        x = lrelu(pres[-1])
    w = state["output2.weight"]
    return F.conv2d(pixel_norm(x), w / w.shape[1] ** 0.5, state["output2.bias"]), pres


def original_critic(state: dict[str, Tensor], x: Tensor) -> tuple[Tensor, list[Tensor]]:
    pres = []

    def layer(x: Tensor, name: str, run: Callable[..., Tensor], **options: int) -> Tensor:
        w = state[f"{name}.weight"]
        pres.append(run(x, w * (2 / w[0].numel()) ** 0.5, state[f"{name}.bias"], **options))
        return lrelu(pres[-1])

    x = layer(x, "input0", F.conv2d)
    for b in (0, 1):
        x = layer(x, f"layer{2 * b}", F.conv2d, padding=1)
        x = halve(layer(x, f"layer{2 * b + 1}", F.conv2d, padding=1))
    x = layer(strided_deviation(x, 16), "layer4", F.conv2d, padding=1)
    x = layer(x.flatten(1), "layer5", F.linear)
    return F.linear(x, state["layer6.weight"] / 9**0.5, state["layer6.bias"]), pres


@pytest.mark.parametrize("fused", [False, True])
def test_the_generator_computes_what_the_original_does(tmp_path: Path, fused: bool) -> None:
    state = generator_layout(fused)
    torch.save(state, tmp_path / "g.pth")
    parts, generator, discriminator = load(tmp_path / "g.pth", "genforce")
    assert parts.facts["fused_scale"] is fused
    assert discriminator is None
    agree(generator, Draw(1)(5, 7), lambda z: original(state, fused, z))


def test_the_discriminator_computes_what_the_original_does_for_one_image(tmp_path: Path) -> None:
    state = critic_layout()
    torch.save({"generator": generator_layout(False), "discriminator": state}, tmp_path / "g.pth")
    _, _, discriminator = load(tmp_path / "g.pth", "genforce")
    assert discriminator is not None
    agree(discriminator, Draw(2)(5, 3, 16, 16), lambda x: original_critic(state, x), one_by_one=True)


def test_the_discriminator_in_training_takes_strided_groups_of_sixteen(tmp_path: Path) -> None:
    state = critic_layout()
    torch.save({"generator": generator_layout(False), "discriminator": state}, tmp_path / "g.pth")
    _, _, discriminator = load(tmp_path / "g.pth", "genforce")
    assert discriminator is not None
    agree(discriminator.train(), Draw(2)(32, 3, 16, 16), lambda x: original_critic(state, x))


def test_the_moving_average_is_taken(tmp_path: Path) -> None:
    states = {"generator": generator_layout(False), "generator_smooth": generator_layout(False, seed=3)}
    torch.save(states | {"discriminator": critic_layout()}, tmp_path / "g.pth")
    parts, generator, _ = load(tmp_path / "g.pth", "genforce")
    assert parts.facts["weights_of"] == "generator_smooth"
    agree(generator, Draw(1)(2, 7), lambda z: original(states["generator_smooth"], False, z))


def test_shapes_that_cannot_tell_of_fused_layers_are_said_to(tmp_path: Path) -> None:
    state = generator_layout(False)
    state |= {
        name: Draw(1)(7, 7, *value.shape[2:]) for name, value in state.items() if value.ndim == 4 and "l" == name[0]
    }
    state |= {name: Draw(1)(3, 7, 1, 1) for name, value in state.items() if value.ndim == 4 and "o" == name[0]}
    state |= {name: Draw(1)(7) for name, value in state.items() if name[0] == "l" and value.ndim == 1}
    torch.save(state, tmp_path / "g.pth")
    assert "cannot tell" in load(tmp_path / "g.pth", "genforce")[0].facts["fused_scale"]


def test_networks_that_are_not_read_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "g.pth"
    torch.save({"generator": generator_layout(False), "discriminator": critic_layout(label=4)}, path)
    with pytest.raises(CheckpointError, match="5 numbers, so the network is conditional"):
        read_checkpoint(path)
    torch.save(generator_layout(False) | {"lod": torch.tensor(2.0)}, path)
    with pytest.raises(CheckpointError, match="still growing"):
        read_checkpoint(path)


def test_a_first_layer_that_may_take_labels_is_refused_with_the_lines(tmp_path: Path) -> None:
    state = generator_layout(False)
    state["layer0.weight"] = torch.zeros(6, 522, 4, 4)
    torch.save({"generator": state}, tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match=r"takes 522 values, more than the 512 of a latent(.|\n)*import egbas"):
        read_checkpoint(tmp_path / "x.pth")
