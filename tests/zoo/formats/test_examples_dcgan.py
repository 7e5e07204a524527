# SPDX-License-Identifier: MIT
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from egbas.errors import CheckpointError
from egbas.zoo.formats import read_checkpoint
from egbas.zoo.formats.examples_dcgan import discriminator_beside
from tests.zoo.formats.reference import Draw, agree, load


class Main(nn.Module):
    """The examples keep all their layers in ``main``."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.main = nn.Sequential(*layers)
        draw = Draw(len(layers))
        for name, value in self.state_dict().items():
            if value.is_floating_point():
                value.copy_(
                    draw(*value.shape).abs() + 0.5 if "var" in name else draw(*value.shape) / value[0].numel() ** 0.5
                )
        self.eval()

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The output, and what goes into each activation but the last."""
        pres = []
        for layer in self.main:
            if isinstance(layer, nn.ReLU | nn.LeakyReLU):
                pres.append(x.clone())
            x = layer(x)
        return x.flatten(1) if x.shape[1] == 1 else x, pres


def networks() -> tuple[Main, Main]:
    generator = Main(
        *(nn.ConvTranspose2d(9, 8, 4, 1, 0, bias=False), nn.BatchNorm2d(8), nn.ReLU(True)),
        *(nn.ConvTranspose2d(8, 6, 4, 2, 1, bias=False), nn.BatchNorm2d(6), nn.ReLU(True)),
        *(nn.ConvTranspose2d(6, 4, 4, 2, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU(True)),
        *(nn.ConvTranspose2d(4, 3, 4, 2, 1, bias=False), nn.Tanh()),
    )
    critic = Main(
        *(nn.Conv2d(3, 4, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, inplace=True)),
        *(nn.Conv2d(4, 6, 4, 2, 1, bias=False), nn.BatchNorm2d(6), nn.LeakyReLU(0.2, inplace=True)),
        *(nn.Conv2d(6, 8, 4, 2, 1, bias=False), nn.BatchNorm2d(8), nn.LeakyReLU(0.2, inplace=True)),
        *(nn.Conv2d(8, 1, 4, 1, 0, bias=False), nn.Sigmoid()),
    )
    return generator, critic


@pytest.mark.parametrize("prefix", ["", "module."])
def test_both_networks_compute_what_the_original_does(tmp_path: Path, prefix: str) -> None:
    generator, critic = networks()
    for name, network in (("netG_epoch_24.pth", generator), ("netD_epoch_24.pth", critic)):
        torch.save({prefix + key: value for key, value in network.state_dict().items()}, tmp_path / name)
    parts, found, found_critic = load(tmp_path / "netG_epoch_24.pth", "pytorch-examples-dcgan")
    assert parts.latent.shape == (9, 1, 1)
    assert parts.facts["discriminator_file"] == "netD_epoch_24.pth"
    assert found_critic is not None
    agree(found, Draw(1)(5, 9, 1, 1), generator)
    agree(found_critic, Draw(2)(5, 3, 32, 32), critic)


def test_the_discriminator_is_looked_for_by_name_only(tmp_path: Path) -> None:
    generator, _ = networks()
    torch.save(generator.state_dict(), tmp_path / "weights.pth")
    assert load(tmp_path / "weights.pth", "pytorch-examples-dcgan")[2] is None
    assert discriminator_beside(tmp_path / "netG.pth") is None
    (tmp_path / "netD.pth").touch()
    assert discriminator_beside(tmp_path / "netG.pth") == tmp_path / "netD.pth"
    assert discriminator_beside(tmp_path / "netG_epoch_3.pth") is None


def test_negative_variances_are_refused(tmp_path: Path) -> None:
    state = networks()[0].state_dict()
    state["main.4.running_var"][1] = -1
    torch.save(state, tmp_path / "g.pth")
    with pytest.raises(CheckpointError, match=r"variances of 'main\.4' are negative"):
        read_checkpoint(tmp_path / "g.pth")


def test_a_discriminator_in_the_same_file_is_read(tmp_path: Path) -> None:
    generator, critic = networks()
    torch.save({"netG": generator.state_dict(), "netD": critic.state_dict(), "epoch": 3}, tmp_path / "x.pth")
    _, found, found_critic = load(tmp_path / "x.pth", "pytorch-examples-dcgan")
    assert found_critic is not None
    agree(found, Draw(1)(5, 9, 1, 1), generator)
    agree(found_critic, Draw(2)(5, 3, 32, 32), critic)


def test_a_discriminator_of_another_kind_is_left_out_and_told(tmp_path: Path) -> None:
    state = networks()[0].state_dict()
    torch.save({"netG": state, "netD": {"a.weight": torch.zeros(1)}}, tmp_path / "x.pth")
    parts, _, critic = load(tmp_path / "x.pth", "pytorch-examples-dcgan")
    assert critic is None
    assert "'netD'" in parts.facts["left_out"]


@pytest.mark.parametrize("d", [110, 74, 60])
def test_a_latent_that_may_hold_ten_labels_is_read_with_the_label_as_an_input(tmp_path: Path, d: int) -> None:
    torch.save(networks()[0].state_dict() | {"main.0.weight": torch.zeros(d, 8, 4, 4)}, tmp_path / "g.pth")
    _, parts = read_checkpoint(tmp_path / "g.pth")
    assert parts.latent.shape == (d - 10, 1, 1)
    assert parts.generator.config.classes == 10
    assert any(f"takes {d} values: a latent of {d - 10} and behind it 10" in text for text in parts.notices)
