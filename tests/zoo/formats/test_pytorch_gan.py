# SPDX-License-Identifier: MIT
"""Generators of PyTorch-GAN compute what the layers of its code do, built here of torch's own."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from egbas.errors import CheckpointError
from egbas.network import Network
from egbas.zoo.formats import read_checkpoint
from egbas.zoo.models import load_model

LATENT, CLASSES = 7, 5


class Original(nn.Module):
    """Twelve channels, then eight, then an image of 4 x side pixels."""

    def __init__(self, side: int, has_labels: bool, channels: int = 3) -> None:
        super().__init__()
        if has_labels:
            self.label_emb = nn.Embedding(CLASSES, LATENT)
        self.side = side
        self.l1 = nn.Sequential(nn.Linear(LATENT, 12 * side * side))
        upper = [nn.BatchNorm2d(12), nn.Upsample(scale_factor=2), nn.Conv2d(12, 12, 3, padding=1)]
        middle = [nn.BatchNorm2d(12, eps=0.8), nn.LeakyReLU(0.2), nn.Upsample(scale_factor=2)]
        lower = [nn.Conv2d(12, 8, 3, padding=1), nn.BatchNorm2d(8, eps=0.8), nn.LeakyReLU(0.2)]
        self.conv_blocks = nn.Sequential(*upper, *middle, *lower, nn.Conv2d(8, channels, 3, padding=1), nn.Tanh())

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        z = z if label is None else self.label_emb(label) * z
        return self.conv_blocks(self.l1(z).view(-1, 12, self.side, self.side))


def made(side: int, has_labels: bool) -> Original:
    torch.manual_seed(0)
    net = Original(side, has_labels)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.normal_(module.running_mean)
    return net.eval().requires_grad_(False)


@pytest.mark.parametrize("side", [2, 3])
@pytest.mark.parametrize("has_labels", [False, True])
def test_images_are_those_of_the_original(tmp_path: Path, side: int, has_labels: bool) -> None:
    net = made(side, has_labels)
    torch.save(net.state_dict(), tmp_path / "g.pth")
    model = load_model(tmp_path / "g.pth")
    z = torch.randn(3, LATENT)
    network = Network(model.generator, (LATENT,), inputs={"label": 4} if has_labels else None)
    torch.testing.assert_close(network.generate(z), net(z, torch.tensor([4] * 3) if has_labels else None))
    assert [layer.path.rpartition(".")[2] for layer in network.layers] == ["layer4", "layer8", "output"]
    assert any("epsilon of 0.8" in text for text in network.notices)
    assert any("times those of a label, 0 to 4" in text for text in network.notices) == has_labels


def test_what_is_no_square_is_refused(tmp_path: Path) -> None:
    state = made(2, False).state_dict()
    state |= {"l1.0.weight": torch.zeros(24, LATENT), "l1.0.bias": torch.zeros(24)}
    torch.save(state, tmp_path / "g.pth")
    with pytest.raises(CheckpointError, match="makes 24 values of 12 channels"):
        read_checkpoint(tmp_path / "g.pth")


@pytest.mark.parametrize(
    "change", [{"l2.0.weight": torch.zeros(2, 2)}, {"conv_blocks.9.weight": torch.zeros(9, 8, 3, 3)}]
)
def test_other_names_and_no_image_are_of_another_format(tmp_path: Path, change: dict[str, Tensor]) -> None:
    torch.save(made(2, False).state_dict() | change, tmp_path / "g.pth")
    with pytest.raises(CheckpointError, match="of no format that egbas knows"):
        read_checkpoint(tmp_path / "g.pth")
