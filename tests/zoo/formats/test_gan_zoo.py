# SPDX-License-Identifier: MIT
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from egbas.errors import CheckpointError
from egbas.zoo.convert import convert
from egbas.zoo.formats import read_checkpoint
from egbas.zoo.models import load_model
from tests.zoo.formats.reference import Draw, agree, consecutive_deviation, double, halve, load, lrelu, pixel_norm

DEPTHS = (6, 5, 4)  # at 4, 8 and 16 pixels


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Makes what pytorch_GAN_zoo pickles with its networks, a ``models.utils.config.BaseConfig``."""
    parts = ["models", "models.utils", "models.utils.config"]
    for name in parts:
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    kind = type("BaseConfig", (), {"__module__": parts[-1]})
    monkeypatch.setattr(sys.modules[parts[-1]], "BaseConfig", kind, raising=False)

    def make(**settings: Any) -> Any:
        made = kind()
        made.__dict__.update({"depthScale0": 6, "alpha": 0, "lossCriterion": "WGANGP", "leakyReluLeak": 0.2} | settings)
        return made

    return make


def generator_layout(dot: str, seed: int = 0) -> dict[str, Tensor]:
    draw, state = Draw(seed), {}

    def layer(name: str, *shape: int) -> None:
        state.update({f"{name}{dot}.weight": draw(*shape), f"{name}{dot}.bias": draw(shape[0])})

    layer("formatLayer", 16 * 6, 7)
    layer("groupScale0.0", 6, 6, 3, 3)
    for k in (0, 1):
        layer(f"scaleLayers.{k}.0", DEPTHS[k + 1], DEPTHS[k], 3, 3)
        layer(f"scaleLayers.{k}.1", DEPTHS[k + 1], DEPTHS[k + 1], 3, 3)
    for k in (0, 1, 2):
        layer(f"toRGBLayers.{k}", 3, DEPTHS[k], 1, 1)
    return state


def critic_layout(dot: str, deviation: int = 1, outputs: int = 1) -> dict[str, Tensor]:
    draw, state = Draw(5), {}

    def layer(name: str, *shape: int) -> None:
        state.update({f"{name}{dot}.weight": draw(*shape), f"{name}{dot}.bias": draw(shape[0])})

    for k in (0, 1, 2):
        layer(f"fromRGBLayers.{k}", DEPTHS[k], 3, 1, 1)
    for k in (0, 1):
        layer(f"scaleLayers.{k}.0", DEPTHS[k + 1], DEPTHS[k + 1], 3, 3)
        layer(f"scaleLayers.{k}.1", DEPTHS[k], DEPTHS[k + 1], 3, 3)
    layer("groupScaleZero.0", 6, 6 + deviation, 3, 3)
    layer("groupScaleZero.1", 6, 16 * 6)
    layer("decisionLayer", outputs, 6)
    return state


def apply(state: dict[str, Tensor], name: str, dot: str, x: Tensor, padding: int = 0) -> Tensor:
    """A layer of the zoo: weight and bias first, then the scale on both."""
    w, b = state[f"{name}{dot}.weight"], state[f"{name}{dot}.bias"]
    x = F.conv2d(x, w, b, padding=padding) if w.ndim == 4 else F.linear(x, w, b)
    return x * (2 / w[0].numel()) ** 0.5


def original(
    state: dict[str, Tensor], dot: str, z: Tensor, *, alpha: float = 0, leak: float = 0.2, has_norm: bool = True
) -> tuple[Tensor, list[Tensor]]:
    """The zoo's ``GNet.forward``; a mix with the image of 8 pixels while that of 16 fades in."""

    def norm(x: Tensor) -> Tensor:
        return pixel_norm(x) if has_norm else x

    def act(x: Tensor) -> Tensor:
        return torch.where(x > 0, x, leak * x)

    pres = [apply(state, "formatLayer", dot, norm(z)).view(-1, 6, 4, 4)]
    x = norm(act(pres[-1]))
    pres.append(apply(state, "groupScale0.0", dot, x, 1))
    x = before = norm(act(pres[-1]))
    for k in (0, 1):
        before, x = x, double(x)
        for part in (0, 1):
            pres.append(apply(state, f"scaleLayers.{k}.{part}", dot, x, 1))
            x = norm(act(pres[-1]))
    image = apply(state, "toRGBLayers.2", dot, x)
    return alpha * double(apply(state, "toRGBLayers.1", dot, before)) + (1 - alpha) * image, pres


def original_critic(state: dict[str, Tensor], dot: str, deviation: bool, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    pres = [apply(state, "fromRGBLayers.2", dot, x)]
    x = lrelu(pres[-1])
    for k in (1, 0):
        for part in (0, 1):
            pres.append(apply(state, f"scaleLayers.{k}.{part}", dot, x, 1))
            x = lrelu(pres[-1])
        x = halve(x)
    x = consecutive_deviation(x, 4) if deviation else x
    pres.append(apply(state, "groupScaleZero.0", dot, x, 1))
    pres.append(apply(state, "groupScaleZero.1", dot, lrelu(pres[-1]).flatten(1)))
    return apply(state, "decisionLayer", dot, lrelu(pres[-1])), pres


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("dot", ["", ".module"])
def test_both_networks_compute_what_the_original_does(
    tmp_path: Path, config: Callable[..., Any], dot: str, zipped: bool
) -> None:
    saved = {"config": config(), "netG": generator_layout(dot), "netD": critic_layout(dot)}
    saved |= {"avgG": generator_layout(dot, seed=3), "tmp": config()}
    torch.save(saved, tmp_path / "m.pt", _use_new_zipfile_serialization=zipped)
    parts, generator, discriminator = load(tmp_path / "m.pt", "pytorch_GAN_zoo-pgan")
    assert parts.facts["weights_of"] == "avgG"
    assert parts.facts["configuration"] == "in the file"
    assert discriminator is not None
    agree(generator, Draw(1)(5, 7), lambda z: original(saved["avgG"], dot, z))
    images = Draw(2)(5, 3, 16, 16)
    agree(discriminator, images, lambda x: original_critic(saved["netD"], dot, True, x), one_by_one=True)


@pytest.mark.parametrize("n", [8, 6])
def test_the_discriminator_in_training_takes_consecutive_groups_of_four(tmp_path: Path, n: int) -> None:
    state = critic_layout("")
    torch.save({"netG": generator_layout(""), "netD": state}, tmp_path / "m.pt")
    _, _, discriminator = load(tmp_path / "m.pt", "pytorch_GAN_zoo-pgan")
    assert discriminator is not None
    agree(discriminator.train(), Draw(2)(n, 3, 16, 16), lambda x: original_critic(state, "", True, x))


def test_a_discriminator_without_minibatch_deviation(tmp_path: Path) -> None:
    state = critic_layout("", deviation=0)
    torch.save({"netG": generator_layout(""), "netD": state}, tmp_path / "m.pt")
    parts, _, discriminator = load(tmp_path / "m.pt", "pytorch_GAN_zoo-pgan")
    assert "published settings" in parts.facts["configuration"]
    assert discriminator is not None
    agree(discriminator, Draw(2)(8, 3, 16, 16), lambda x: original_critic(state, "", False, x))


def test_some_losses_end_the_generator_in_a_tanh(tmp_path: Path, config: Callable[..., Any]) -> None:
    state = generator_layout("")
    torch.save({"config": config(lossCriterion="MSE"), "netG": state}, tmp_path / "m.pt")
    _, generator, _ = load(tmp_path / "m.pt", "pytorch_GAN_zoo-pgan")

    def bounded(z: Tensor) -> tuple[Tensor, list[Tensor]]:
        image, pres = original(state, "", z)
        return torch.tanh(image), pres

    agree(generator, Draw(1)(5, 7), bounded)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"attribKeysOrder": {"Gender": {"order": 0}}}, "conditional"),
        ({"categoryVectorDim": 10}, "labels have 10 values and its first layer takes 7"),
        ({"attribKeysOrder": {"Gender": {"order": 0}}}, "labels: Gender behind its latent.*--model"),
        ({"alpha": 1}, "alpha is 1; expected a number of at least 0 and below 1"),
        ({"alpha": "half"}, "alpha is half"),
        ({"leakyReluLeak": -0.1}, "leakyReluLeak is -0.1"),
    ],
)
def test_settings_that_are_not_read_are_refused(
    tmp_path: Path, config: Callable[..., Any], settings: dict[str, Any], message: str
) -> None:
    torch.save({"config": config(**settings), "netG": generator_layout("")}, tmp_path / "m.pt")
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(tmp_path / "m.pt")


def test_labels_are_an_input(tmp_path: Path, config: Callable[..., Any]) -> None:
    state = generator_layout("")
    saved = {"config": config(categoryVectorDim=2), "netG": state, "netD": critic_layout("", outputs=3)}
    torch.save(saved, tmp_path / "m.pt")
    parts, generator, critic = load(tmp_path / "m.pt", "pytorch_GAN_zoo-pgan")
    assert parts.latent.shape == (5,)
    assert critic is None and "labels" in parts.facts["left_out"]
    z = Draw(1)(5, 5)
    expected, _ = original(state, "", torch.cat([z, torch.tensor([[0.0, 1.0]]).expand(5, 2)], dim=1))
    torch.testing.assert_close(generator(z, torch.full((5,), 1)), expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(generator(z, weights=torch.tensor([[0.0, 1.0]] * 5)), generator(z, torch.full((5,), 1)))


@pytest.mark.parametrize("dot", ["", ".module"])
@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"leakyReluLeak": 0.1}, {"leak": 0.1}),
        ({"perChannelNormalization": False}, {"has_norm": False}),
        ({"alpha": 0.4}, {"alpha": 0.4}),
        ({"alpha": 0.25, "leakyReluLeak": 0.3, "perChannelNormalization": False}, {"alpha": 0.25, "leak": 0.3}),
    ],
)
def test_other_settings_are_those_of_the_configuration(
    tmp_path: Path, config: Callable[..., Any], settings: dict[str, Any], told: dict[str, Any], dot: str
) -> None:
    state = generator_layout(dot)
    torch.save({"config": config(**settings), "netG": state}, tmp_path / "m.pt")
    _, generator, _ = load(tmp_path / "m.pt", "pytorch_GAN_zoo-pgan")
    has_norm = settings.get("perChannelNormalization", True)
    agree(generator, Draw(1)(5, 7), lambda z: original(state, dot, z, **told | {"has_norm": has_norm}))


def test_a_discriminator_has_the_leak_too_and_is_left_out_while_it_fades_in(
    tmp_path: Path, config: Callable[..., Any]
) -> None:
    state = critic_layout("")
    for settings in ({"leakyReluLeak": 0.0}, {"alpha": 0.5}):
        torch.save({"config": config(**settings), "netG": generator_layout(""), "netD": state}, tmp_path / "m.pt")
        parts, _, discriminator = load(tmp_path / "m.pt", "pytorch_GAN_zoo-pgan")
        if "alpha" in settings:
            assert discriminator is None
            assert "fading in" in parts.facts["left_out"]
        else:
            assert discriminator is not None
            slopes = {part.negative_slope for part in discriminator.modules() if isinstance(part, nn.LeakyReLU)}
            assert slopes == {0.0}


def test_a_network_that_fades_in_can_be_explored_and_converted(tmp_path: Path, config: Callable[..., Any]) -> None:
    torch.save({"config": config(alpha=0.4), "netG": generator_layout("")}, tmp_path / "m.pt")
    convert(tmp_path / "m.pt", tmp_path / "m.safetensors", lambda path, data: path.write_bytes(data) and None)
    before, after = load_model(tmp_path / "m.pt"), load_model(tmp_path / "m.safetensors")
    z = Draw(1)(3, 7)
    assert torch.equal(after.generator(z), before.generator(z))
    assert [layer.path for layer in before.layers][-2:] == ["fade.block.act5", "fade.block.act6"]


@pytest.mark.parametrize("shape", [(), (6,), (0, 6, 3, 3)])
def test_a_second_layer_of_another_shape_is_told(tmp_path: Path, shape: tuple[int, ...]) -> None:
    torch.save(generator_layout("") | {"groupScale0.0.weight": torch.zeros(shape)}, tmp_path / "m.pt")
    with pytest.raises(CheckpointError, match=r"'groupScale0\.0\.weight'.*expected \(any, any, 3, 3\)"):
        read_checkpoint(tmp_path / "m.pt")


def test_layers_without_equalised_rates_are_not_scaled(tmp_path: Path, config: Callable[..., Any]) -> None:
    state = generator_layout("")
    torch.save({"config": config(equalizedlR=False), "netG": state}, tmp_path / "m.pt")
    parts, _, _ = load(tmp_path / "m.pt", "pytorch_GAN_zoo-pgan")
    assert torch.equal(parts.generator.weights["conv2.weight"], state["groupScale0.0.weight"])
