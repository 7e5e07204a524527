# SPDX-License-Identifier: MIT
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from egbas.errors import CheckpointError
from egbas.zoo.blueprint import Blueprints
from egbas.zoo.formats import build_networks, own, read_checkpoint
from tests.zoo.formats import test_examples_dcgan, test_gan_zoo
from tests.zoo.formats.reference import Draw


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    """A PGAN with a discriminator and a bias for each position."""
    torch.save(
        {"netG": test_gan_zoo.generator_layout(""), "netD": test_gan_zoo.critic_layout("")}, tmp_path / "source.pt"
    )
    return tmp_path / "source.pt"


def converted(source: Path) -> tuple[Blueprints, Path]:
    out = source.with_name("out.safetensors")
    _, blueprints = read_checkpoint(source)
    out.write_bytes(own.dump(blueprints, {"source_format": "x"}))
    return blueprints, out


def test_the_same_networks_come_back_bit_for_bit(zoo: Path) -> None:
    blueprints, out = converted(zoo)
    name, found = read_checkpoint(out)
    assert name == "egbas"
    assert found.latent == blueprints.latent
    assert found.facts["source_format"] == "x"
    images = Draw(2)(3, 3, 16, 16)
    for part, x in (("generator", Draw(1)(3, 7)), ("discriminator", images)):
        ours, theirs = getattr(found, part), getattr(blueprints, part)
        assert ours.config == theirs.config
        assert ours.weights.keys() == theirs.weights.keys()
        assert all(torch.equal(ours.weights[key], theirs.weights[key]) for key in ours.weights)
        assert torch.equal(ours.build()(x), theirs.build()(x))


def test_dcgans_come_back_with_their_counters(tmp_path: Path) -> None:
    generator, critic = test_examples_dcgan.networks()
    torch.save(generator.state_dict(), tmp_path / "netG.pth")
    torch.save(critic.state_dict(), tmp_path / "netD.pth")
    blueprints, out = converted(tmp_path / "netG.pth")
    _, found = read_checkpoint(out)
    z = Draw(1)(2, 9, 1, 1)
    assert torch.equal(found.generator.build()(z), blueprints.generator.build()(z))
    assert found.discriminator is not None
    assert found.discriminator.config.sigmoid


def test_the_header_says_what_it_is(zoo: Path) -> None:
    _, out = converted(zoo)
    with safe_open(out, framework="pt") as file:
        header = file.metadata()
    assert header["egbas.format"] == "1"
    assert json.loads(header["generator"])["arch"] == "pggan-generator"
    assert json.loads(header["generator"])["config"]["channels"] == [6, 5, 4]
    assert json.loads(header["latent"]) == {
        "shape": [7],
        "prior": "normal",
        "bound": 1.0,
        "geometry": "flat",
    }


def test_the_same_network_gives_the_same_bytes(zoo: Path) -> None:
    assert converted(zoo)[1].read_bytes() == converted(zoo)[1].read_bytes()


def changed(out: Path, header: dict[str, Any] | None = None, tensors: dict[str, Tensor | None] | None = None) -> None:
    """Write a converted file again with other entries; None takes one out."""
    with safe_open(out, framework="pt") as file:
        told = {**file.metadata(), **(header or {})}
        held = {name: file.get_tensor(name) for name in file.keys()} | (tensors or {})
    save_file(
        {name: value for name, value in held.items() if value is not None},
        out,
        {name: value for name, value in told.items() if value is not None},
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"egbas.format": "9"}, "of version '9'"),
        ({"generator": "{"}, "header is damaged"),
        ({"generator": "[]"}, "header is damaged"),
        ({"generator": None}, "no generator"),
        ({"latent": None}, "header is damaged"),
        ({"latent": '{"shape": [0]}'}, "header is damaged"),
        ({"latent": '{"shape": [10000000000]}'}, "expected 100,000,000 coordinates at most"),
        ({"latent": '{"shape": [7, 1, 1]}'}, r"latents of shape \(7, 1, 1\), its generator takes \(7,\)"),
        ({"latent": '{"shape": [7.0]}'}, "not made of whole numbers"),
        ({"latent": '{"shape": [8]}'}, "latents of shape"),
        ({"generator": '{"arch": "pggan-generator", "config": {"latent_size": "7", "channels": [4]}}'}, "settings"),
        ({"generator": '{"arch": "pggan-generator", "config": {"latent_size": 7, "channels": ["a"]}}'}, "settings"),
        ({"discriminator": None}, r"unknown: critic\.conv1\.bias"),
        ({"generator": '{"arch": "vae-generator", "config": {}}'}, "'vae-generator' is unknown"),
        ({"generator": '{"arch": "pggan-critic", "config": {}}'}, "calls a pggan-critic the generator"),
        ({"generator": '{"arch": "pggan-generator", "config": {"channels": [4]}}'}, "settings"),
        ({"source": "[" * 100_000}, "header is damaged"),
    ],
)
def test_damaged_headers_are_refused(zoo: Path, change: dict[str, Any], message: str) -> None:
    _, out = converted(zoo)
    changed(out, change)
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(out)


def test_missing_weights_are_noticed(zoo: Path) -> None:
    _, out = converted(zoo)
    changed(out, tensors={"generator.conv2.bias": None})
    _, blueprints = read_checkpoint(out)
    with pytest.raises(CheckpointError, match=r"conv2\.bias"):
        blueprints.generator.build()


@pytest.mark.parametrize("name", ["x", "discriminator.conv1.bias", "generators", "critic"])
def test_unknown_tensors_are_told(zoo: Path, name: str) -> None:
    _, out = converted(zoo)
    changed(out, tensors={name: torch.zeros(1)})
    with pytest.raises(CheckpointError, match=rf"out\.safetensors: .*unknown: {name}"):
        read_checkpoint(out)


@pytest.mark.parametrize("name", ["generator.x", "critic.x"])
def test_unknown_tensors_of_a_network_are_told_when_it_is_built(zoo: Path, name: str) -> None:
    _, out = converted(zoo)
    changed(out, tensors={name: torch.zeros(1)})
    with pytest.raises(CheckpointError, match=r"out\.safetensors: .*\"x\""):
        build_networks(out, read_checkpoint(out)[1])
