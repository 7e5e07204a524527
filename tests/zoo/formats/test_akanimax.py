# SPDX-License-Identifier: MIT
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from egbas.errors import CheckpointError
from egbas.zoo.formats import read_checkpoint
from tests.zoo.formats.reference import Draw, agree, double, halve, load, lrelu, pixel_norm, strided_deviation

WIDTHS = (6, 5, 4)  # at 4, 8 and 16 pixels


def generator_layout(seed: int = 0) -> dict[str, Tensor]:
    draw = Draw(seed)
    state = {"layers.0.conv_1.weight": draw(7, 6, 4, 4), "layers.0.conv_1.bias": draw(6)}
    state |= {"layers.0.conv_2.weight": draw(6, 6, 3, 3), "layers.0.conv_2.bias": draw(6)}
    for i in (1, 2):
        for part, before in ((1, WIDTHS[i - 1]), (2, WIDTHS[i])):
            name = f"layers.{i}.conv_{part}"
            state |= {f"{name}.weight": draw(WIDTHS[i], before, 3, 3), f"{name}.bias": draw(WIDTHS[i])}
    for i, c in enumerate(WIDTHS):
        state |= {f"rgb_converters.{i}.weight": draw(3, c, 1, 1), f"rgb_converters.{i}.bias": draw(3)}
    return state


def critic_layout(version: str = "3.1") -> dict[str, Tensor]:
    """Blocks from 16 pixels down; 9 features; 3.0 has no container around the layer that reads the image."""
    draw, state, infix = Draw(5), {}, "" if version == "3.0" else ".0"
    for i, c in enumerate(reversed(WIDTHS)):
        state |= {f"from_rgb.{i}{infix}.weight": draw(c, 3, 1, 1), f"from_rgb.{i}{infix}.bias": draw(c)}
    shapes = {
        "layers.0.conv_1": (4, 4, 3, 3),
        "layers.0.conv_2": (5, 4, 3, 3),
        "layers.1.conv_1": (5, 5, 3, 3),
        "layers.1.conv_2": (6, 5, 3, 3),
        "layers.2.conv_1": (6, 7, 3, 3),
        "layers.2.conv_2": (9, 6, 4, 4),
        "layers.2.conv_3": (1, 9, 1, 1),
    }
    for name, shape in shapes.items():
        state |= {f"{name}.weight": draw(*shape), f"{name}.bias": draw(shape[0])}
    return state


def original(state: dict[str, Tensor], z: Tensor) -> tuple[Tensor, list[Tensor]]:
    x = pixel_norm(z)[:, :, None, None]  # outside the network, in the training and sampling code
    w = state["layers.0.conv_1.weight"]
    pres = [F.conv_transpose2d(x, w * (2 / len(w)) ** 0.5, state["layers.0.conv_1.bias"])]
    x = lrelu(pres[-1])  # no pixel norm here

    def layer(x: Tensor, name: str, padding: int = 1) -> Tensor:
        w = state[f"{name}.weight"]
        return F.conv2d(x, w * (2 / w[0].numel()) ** 0.5, state[f"{name}.bias"], padding=padding)

    pres.append(layer(x, "layers.0.conv_2"))
    x = pixel_norm(lrelu(pres[-1]))
    for i in (1, 2):
        x = double(x)
        for part in (1, 2):
            pres.append(layer(x, f"layers.{i}.conv_{part}"))
            x = pixel_norm(lrelu(pres[-1]))
    return layer(x, "rgb_converters.2", padding=0), pres


def original_critic(state: dict[str, Tensor], x: Tensor) -> tuple[Tensor, list[Tensor]]:
    pres: list[Tensor] = []

    def layer(x: Tensor, name: str, padding: int = 1) -> Tensor:
        w = state[f"{name}.weight"]
        return F.conv2d(x, w * (2 / w[0].numel()) ** 0.5, state[f"{name}.bias"], padding=padding)

    def active(x: Tensor) -> Tensor:
        pres.append(x)
        return lrelu(x)

    x = layer(x, "from_rgb.0", 0) if "from_rgb.0.weight" in state else active(layer(x, "from_rgb.0.0", 0))
    for i in (0, 1):
        x = active(layer(x, f"layers.{i}.conv_1"))
        x = halve(active(layer(x, f"layers.{i}.conv_2")))
    x = active(layer(strided_deviation(x, 4), "layers.2.conv_1"))
    x = active(layer(x, "layers.2.conv_2", 0))
    return layer(x, "layers.2.conv_3", 0), pres


def saved(state: dict[str, Tensor], **conf: Any) -> dict[str, Any]:
    return {"conf": {"depth": 4, "num_channels": 3, "latent_size": 7, "use_eql": True} | conf, "state_dict": state}


@pytest.mark.parametrize("version", ["3.0", "3.1"])
def test_both_networks_compute_what_the_original_does(tmp_path: Path, version: str) -> None:
    generator_state, critic_state = generator_layout(3), critic_layout(version)
    content = {"generator": saved(generator_layout()), "shadow_generator": saved(generator_state)}
    content |= {"discriminator": saved(critic_state, num_classes=None), "gen_optim": {"state": {0: {"step": 1}}}}
    torch.save(content, tmp_path / "m.bin")
    parts, generator, discriminator = load(tmp_path / "m.bin", "akanimax-v3")
    assert parts.facts["weights_of"] == "shadow_generator"
    assert discriminator is not None
    agree(generator, Draw(1)(5, 7), lambda z: original(generator_state, z))
    agree(discriminator, Draw(2)(5, 3, 16, 16), lambda x: original_critic(critic_state, x), one_by_one=True)


def test_the_discriminator_in_training_takes_strided_groups_of_four(tmp_path: Path) -> None:
    state = critic_layout()
    torch.save({"generator": saved(generator_layout()), "discriminator": saved(state)}, tmp_path / "m.bin")
    discriminator = load(tmp_path / "m.bin", "akanimax-v3")[2]
    assert discriminator is not None
    agree(discriminator.train(), Draw(2)(8, 3, 16, 16), lambda x: original_critic(state, x))


def test_a_bare_generator(tmp_path: Path) -> None:
    state = generator_layout()
    torch.save(state, tmp_path / "g.pth")
    agree(load(tmp_path / "g.pth", "akanimax-v3")[1], Draw(1)(5, 7), lambda z: original(state, z))


@pytest.fixture
def conditional() -> Callable[[], dict[str, Any]]:
    """A file whose discriminator takes labels."""

    def make() -> dict[str, Any]:
        state = critic_layout() | {"layers.2.label_embedder.weight": torch.zeros(10, 6)}
        return {"generator": saved(generator_layout()), "discriminator": saved(state, num_classes=10)}

    return make


def test_a_conditional_discriminator_is_left_out_and_told(
    tmp_path: Path, conditional: Callable[[], dict[str, Any]]
) -> None:
    torch.save(conditional(), tmp_path / "m.bin")
    parts, _, discriminator = load(tmp_path / "m.bin", "akanimax-v3")
    assert discriminator is None
    assert "conditional" in parts.facts["left_out"]


def test_networks_without_equalised_rates_are_refused(tmp_path: Path) -> None:
    torch.save({"generator": saved(generator_layout(), use_eql=False)}, tmp_path / "m.bin")
    with pytest.raises(CheckpointError, match="without equalised"):
        read_checkpoint(tmp_path / "m.bin")
