# SPDX-License-Identifier: MIT
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from egbas.errors import CheckpointError
from egbas.zoo.formats import read_checkpoint
from egbas.zoo.formats.akanimax_v2 import discriminator_beside, trained_depth
from tests.zoo.formats.reference import Draw, agree, double, halve, load, lrelu, pixel_norm, strided_deviation

WIDTHS = (6, 5, 4)  # at 4, 8 and 16 pixels


def generator_layout(seed: int = 0) -> dict[str, Tensor]:
    draw = Draw(seed)
    shapes = {"initial_block.conv_1": (7, 6, 4, 4), "initial_block.conv_2": (6, 6, 3, 3)}
    for i in (0, 1):
        shapes[f"layers.{i}.conv_1"] = (WIDTHS[i + 1], WIDTHS[i], 3, 3)
        shapes[f"layers.{i}.conv_2"] = (WIDTHS[i + 1], WIDTHS[i + 1], 3, 3)
    shapes |= {f"rgb_converters.{i}": (3, c, 1, 1) for i, c in enumerate(WIDTHS)}
    state = {f"{name}.weight": draw(*shape) for name, shape in shapes.items()}
    return state | {f"{name}.bias": draw(6 if name.endswith("block.conv_1") else s[0]) for name, s in shapes.items()}


def critic_layout() -> dict[str, Tensor]:
    draw = Draw(5)
    shapes = {
        "final_block.conv_1": (6, 7, 3, 3),
        "final_block.conv_2": (6, 6, 4, 4),
        "final_block.conv_3": (1, 6, 1, 1),
    }
    for i in (0, 1):
        shapes[f"layers.{i}.conv_1"] = (WIDTHS[i + 1], WIDTHS[i + 1], 3, 3)
        shapes[f"layers.{i}.conv_2"] = (WIDTHS[i], WIDTHS[i + 1], 3, 3)
    shapes |= {f"rgb_to_features.{i}": (c, 3, 1, 1) for i, c in enumerate(WIDTHS)}
    state = {f"{name}.weight": draw(*shape) for name, shape in shapes.items()}
    return state | {f"{name}.bias": draw(shape[0]) for name, shape in shapes.items()}


def layer(state: dict[str, Tensor], x: Tensor, name: str, padding: int = 1) -> Tensor:
    w = state[f"{name}.weight"]
    return F.conv2d(x, w * (2 / w[0].numel()) ** 0.5, state[f"{name}.bias"], padding=padding)


def original(state: dict[str, Tensor], depth: int, z: Tensor) -> tuple[Tensor, list[Tensor]]:
    """At a depth, 0 for 4 pixels; the latent is taken as it is."""
    w = state["initial_block.conv_1.weight"]
    pres = [F.conv_transpose2d(z[:, :, None, None], w * (2 / len(w)) ** 0.5, state["initial_block.conv_1.bias"])]
    pres.append(layer(state, lrelu(pres[-1]), "initial_block.conv_2"))
    x = pixel_norm(lrelu(pres[-1]))
    for i in range(depth):
        x = double(x)
        for part in (1, 2):
            pres.append(layer(state, x, f"layers.{i}.conv_{part}"))
            x = pixel_norm(lrelu(pres[-1]))
    return layer(state, x, f"rgb_converters.{depth}", 0), pres


def original_critic(state: dict[str, Tensor], depth: int, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    """The deviation is over the whole batch; no activation follows the first layer."""
    pres = []
    x = layer(state, x, f"rgb_to_features.{depth}", 0)
    for i in reversed(range(depth)):
        for part in (1, 2):
            pres.append(layer(state, x, f"layers.{i}.conv_{part}"))
            x = lrelu(pres[-1])
        x = halve(x)
    pres.append(layer(state, strided_deviation(x, len(x)), "final_block.conv_1"))
    pres.append(layer(state, lrelu(pres[-1]), "final_block.conv_2", 0))
    return layer(state, lrelu(pres[-1]), "final_block.conv_3", 0), pres


@pytest.mark.parametrize("prefix", ["", "module."])
def test_both_networks_compute_what_the_original_does(tmp_path: Path, prefix: str) -> None:
    generator_state, critic_state = generator_layout(), critic_layout()
    for name, state in (("GAN_GEN_SHADOW_2.pth", generator_state), ("GAN_DIS_2.pth", critic_state)):
        torch.save({prefix + key: value for key, value in state.items()}, tmp_path / name)
    parts, generator, discriminator = load(tmp_path / "GAN_GEN_SHADOW_2.pth", "akanimax-v2")
    assert parts.facts == {"discriminator_file": "GAN_DIS_2.pth"}
    assert discriminator is not None
    agree(generator, Draw(1)(5, 7), lambda z: original(generator_state, 2, z))
    agree(discriminator, Draw(2)(5, 3, 16, 16), lambda x: original_critic(critic_state, 2, x), one_by_one=True)
    agree(discriminator.train(), Draw(2)(5, 3, 16, 16), lambda x: original_critic(critic_state, 2, x))


def test_layers_above_the_trained_depth_are_left_out(tmp_path: Path) -> None:
    generator_state, critic_state = generator_layout(), critic_layout()
    torch.save(generator_state, tmp_path / "GAN_GEN_1.pth")
    torch.save(critic_state, tmp_path / "GAN_DIS_1.pth")
    parts, generator, discriminator = load(tmp_path / "GAN_GEN_1.pth", "akanimax-v2")
    assert "above 8 pixels" in parts.facts["left_out"]
    assert discriminator is not None
    agree(generator, Draw(1)(5, 7), lambda z: original(generator_state, 1, z))
    agree(discriminator, Draw(2)(5, 3, 8, 8), lambda x: original_critic(critic_state, 1, x), one_by_one=True)


def test_names_with_absurd_numbers_are_unknown(tmp_path: Path) -> None:
    torch.save(generator_layout() | {"layers." + "1" * 5000 + ".x": torch.zeros(1)}, tmp_path / "GAN_GEN_1.pth")
    with pytest.raises(CheckpointError, match=r"unknown: layers\.1111"):
        read_checkpoint(tmp_path / "GAN_GEN_1.pth")


def test_names_of_files(tmp_path: Path) -> None:
    assert [trained_depth(Path(name)) for name in ("GAN_GEN_6.pth", "GAN_DIS_0.pth", "mine.pth")] == [7, 1, None]
    assert discriminator_beside(tmp_path / "GAN_GEN_6.pth") is None
    assert discriminator_beside(tmp_path / "mine.pth") is None


def test_the_latent_is_not_normalised(tmp_path: Path) -> None:
    torch.save(generator_layout(), tmp_path / "g.pth")
    generator, z = load(tmp_path / "g.pth", "akanimax-v2")[1], Draw(1)(2, 7)
    assert not torch.allclose(generator(3 * z), generator(z), atol=1e-2)


def test_the_version_with_random_scales_is_refused(tmp_path: Path) -> None:
    torch.save({"initial_block.conv_1.deconv.weight": torch.zeros(7, 6, 4, 4)}, tmp_path / "g.pth")
    with pytest.raises(CheckpointError, match=r"before 2\.1, .*never saved"):
        read_checkpoint(tmp_path / "g.pth")
