# SPDX-License-Identifier: MIT
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from egbas.errors import CheckpointError
from egbas.zoo.formats import open_content, read_checkpoint
from egbas.zoo.formats.akanimax import trained_depth, trained_layers
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


def original(state: dict[str, Tensor], z: Tensor, depth: int = 4) -> tuple[Tensor, list[Tensor]]:
    """At a depth, 2 for 4 pixels."""
    x = pixel_norm(z)[:, :, None, None]  # outside the network, in the training and sampling code
    w = state["layers.0.conv_1.weight"]
    pres = [F.conv_transpose2d(x, w * (2 / len(w)) ** 0.5, state["layers.0.conv_1.bias"])]
    x = lrelu(pres[-1])  # no pixel norm here

    def layer(x: Tensor, name: str, padding: int = 1) -> Tensor:
        w = state[f"{name}.weight"]
        return F.conv2d(x, w * (2 / w[0].numel()) ** 0.5, state[f"{name}.bias"], padding=padding)

    pres.append(layer(x, "layers.0.conv_2"))
    x = pixel_norm(lrelu(pres[-1]))
    for i in range(1, depth - 1):
        x = double(x)
        for part in (1, 2):
            pres.append(layer(x, f"layers.{i}.conv_{part}"))
            x = pixel_norm(lrelu(pres[-1]))
    return layer(x, f"rgb_converters.{depth - 2}", padding=0), pres


def original_critic(state: dict[str, Tensor], x: Tensor, depth: int = 4) -> tuple[Tensor, list[Tensor]]:
    first = 4 - depth
    pres: list[Tensor] = []

    def layer(x: Tensor, name: str, padding: int = 1) -> Tensor:
        w = state[f"{name}.weight"]
        return F.conv2d(x, w * (2 / w[0].numel()) ** 0.5, state[f"{name}.bias"], padding=padding)

    def active(x: Tensor) -> Tensor:
        pres.append(x)
        return lrelu(x)

    rgb = f"from_rgb.{first}"
    x = layer(x, rgb, 0) if f"{rgb}.weight" in state else active(layer(x, f"{rgb}.0", 0))
    for i in range(first, 2):
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


def optimizer(depth: int) -> dict[str, Any]:
    """The state of Adam after training to a depth: 18 parameters, those of the layers first, 4 a resolution."""
    used = [*range(4 * (depth - 1)), 12 + 2 * (depth - 2), 13 + 2 * (depth - 2)]
    state = {number: {"step": 5, "exp_avg": torch.zeros(1)} for number in used}
    return {"state": state, "param_groups": [{"lr": 0.003, "params": list(range(18))}]}


@pytest.mark.parametrize("version", ["3.0", "3.1"])
@pytest.mark.parametrize("depth", [2, 3])
@pytest.mark.parametrize("told_by", ["name", "optimizer"])
def test_layers_above_the_trained_depth_are_left_out(tmp_path: Path, depth: int, version: str, told_by: str) -> None:
    generator_state, critic_state = generator_layout(3), critic_layout(version)
    content = {"generator": saved(generator_layout()), "shadow_generator": saved(generator_state)}
    content |= {"discriminator": saved(critic_state)}
    content |= {"gen_optim": optimizer(depth)} if told_by == "optimizer" else {}
    path = tmp_path / (f"depth_{depth}_epoch_12.bin" if told_by == "name" else "m.bin")
    torch.save(content, path)
    parts, generator, discriminator = load(path, "akanimax-v3")
    side = 2**depth
    assert re.fullmatch(rf"layers above {side} pixels, not trained yet by .*{told_by}", parts.facts["left_out"])
    assert discriminator is not None
    agree(generator, Draw(1)(5, 7), lambda z: original(generator_state, z, depth))
    images = Draw(2)(5, 3, side, side)
    agree(discriminator, images, lambda x: original_critic(critic_state, x, depth), one_by_one=True)


def test_a_network_trained_to_its_depth_is_whole(tmp_path: Path) -> None:
    torch.save({"generator": saved(generator_layout()), "gen_optim": optimizer(4)}, tmp_path / "depth_4_epoch_9.bin")
    parts, _, _ = load(tmp_path / "depth_4_epoch_9.bin", "akanimax-v3")
    assert "left_out" not in parts.facts
    assert parts.generator.config.resolution == 16


def test_what_the_name_and_the_optimizer_do_not_tell(tmp_path: Path) -> None:
    named = ("depth_2_epoch_1.bin", "church-depth_7_epoch_40.bin", "depth_1_epoch_1.bin", "indepth_4_epoch_1.bin")
    assert [trained_depth(Path(name)) for name in (*named, "m.bin")] == [1, 6, None, None, None]
    fresh, other = optimizer(3), optimizer(3)
    fresh["state"], other["param_groups"] = {}, [{"params": [0, 1]}, {"params": [2]}]
    for content in (
        fresh,
        other,
        {**optimizer(3), "state": 3},
        {"state": {0: {}}},
        {"state": {}, "param_groups": [[]]},
    ):
        torch.save({"generator": saved(generator_layout()), "gen_optim": content}, tmp_path / "m.bin")
        with open_content(tmp_path / "m.bin") as opened:
            assert trained_layers(opened) is None
    torch.save(generator_layout(), tmp_path / "g.pth")
    with open_content(tmp_path / "g.pth") as opened:
        assert trained_layers(opened) is None


def test_a_discriminator_of_fewer_layers_than_are_left_out_is_refused(tmp_path: Path) -> None:
    critic = {name: value for name, value in critic_layout().items() if not name.startswith(("layers.1", "layers.2"))}
    content = {"generator": saved(generator_layout()), "discriminator": saved(critic)}
    torch.save(content, tmp_path / "depth_2_epoch_1.bin")
    with pytest.raises(CheckpointError, match="discriminator has 1 resolutions, and 2 of them"):
        read_checkpoint(tmp_path / "depth_2_epoch_1.bin")


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
    torch.save(conditional(), tmp_path / "depth_3_epoch_1.bin")
    parts, _, _ = load(tmp_path / "depth_3_epoch_1.bin", "akanimax-v3")
    assert re.search(r"above 8 pixels, .*; the discriminator", parts.facts["left_out"])


def test_networks_without_equalised_rates_are_not_scaled(tmp_path: Path) -> None:
    """The reference scales; weights that are divided by their scales before give what no scale gives."""
    state, critic = (
        {name: value / 4 for name, value in layout.items()} for layout in (generator_layout(), critic_layout())
    )
    content = {"generator": saved(state, use_eql=False), "discriminator": saved(critic, use_eql=False)}
    torch.save(content, tmp_path / "m.bin")
    _, generator, discriminator = load(tmp_path / "m.bin", "akanimax-v3")

    def divided(state: dict[str, Tensor], transposed: tuple[str, ...] = ()) -> dict[str, Tensor]:
        fan_in = {name: len(value) if name in transposed else value[0].numel() for name, value in state.items()}
        scales = {name: (2 / n) ** 0.5 if name.endswith("weight") else 1.0 for name, n in fan_in.items()}
        return {name: value / scales[name] for name, value in state.items()}

    agree(generator, Draw(1)(5, 7), lambda z: original(divided(state, ("layers.0.conv_1.weight",)), z))
    assert discriminator is not None
    agree(discriminator, Draw(2)(2, 3, 16, 16), lambda x: original_critic(divided(critic), x), one_by_one=True)
