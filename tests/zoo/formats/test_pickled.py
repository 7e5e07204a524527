# SPDX-License-Identifier: MIT
import pickle
import warnings
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from egbas.errors import CheckpointError
from egbas.network import Network
from egbas.zoo.formats import read_checkpoint
from egbas.zoo.models import load_model
from tests.zoo.formats.reference import Draw
from tests.zoo.formats.test_sequential import made


class Around(nn.Module):
    """A network as people write it, around a sequence."""

    def __init__(self, net: nn.Module, hidden: bool = False) -> None:
        super().__init__()
        self.net = net
        if hidden:
            self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


def odd() -> nn.Sequential:
    """Settings that no state dict tells: slopes, strides, paddings, an epsilon."""
    return nn.Sequential(
        nn.ConvTranspose2d(6, 8, 3, 1, 0, bias=False),
        nn.BatchNorm2d(8, 0.8),
        nn.LeakyReLU(0.3),
        nn.Dropout2d(0.4),
        nn.ConvTranspose2d(8, 6, 3, 2, 1, output_padding=1),
        nn.Sequential(nn.SiLU(), nn.Upsample(scale_factor=2), nn.Conv2d(6, 4, 5, padding=2)),
        nn.Identity(),
        nn.GELU(),
        nn.Conv2d(4, 3, 1),
        nn.Sigmoid(),
    )


def dense() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(6, 20),
        nn.BatchNorm1d(20, 0.8),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Linear(20, 36),
        nn.Unflatten(1, (4, 3, 3)),
        nn.UpsamplingNearest2d(scale_factor=2),
        nn.Softplus(),
        nn.Conv2d(4, 1, 3, padding=1),
        nn.Flatten(),
        nn.Hardtanh(),
    )


def spectral() -> nn.Sequential:
    layers = [nn.utils.spectral_norm(nn.ConvTranspose2d(6, 6, 4)), nn.ReLU(), nn.ConvTranspose2d(6, 3, 4, 2, 1)]
    return nn.Sequential(*layers)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("wrapped", ["", "class", "averaged", "in a training"])
@pytest.mark.parametrize("make", [odd, dense, spectral])
def test_a_whole_pickled_sequence_computes_what_the_original_does(
    tmp_path: Path, make: "type[nn.Sequential]", wrapped: str, zipped: bool
) -> None:
    net = made(make)
    saved: object = (
        Around(net).eval() if wrapped == "class" else AveragedModel(net).eval() if wrapped == "averaged" else net
    )
    saved = {"epoch": 3, "G": net, "D": nn.Linear(2, 2)} if wrapped == "in a training" else saved
    torch.save(saved, tmp_path / "g.pth", _use_new_zipfile_serialization=zipped)
    model = load_model(tmp_path / "g.pth")
    z = Draw(1)(3, *model.latent.shape)
    with torch.no_grad():
        found, expected = model.generator(z), net(z)
    assert float(expected.std()) > 1e-4
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
    assert model.facts["format"] == "pickled-sequence"
    assert ("forward" in model.facts) == (wrapped == "class")
    told = [text for text in Network(model.generator, model.latent.shape).notices if "in its forward" in text]
    assert len(told) == (wrapped == "class")


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_pickled_decoder_gives_the_image_that_its_state_dict_gives(wrapped: bool, tmp_path: Path) -> None:
    net = made(lambda: nn.Sequential(nn.Linear(4, 9), nn.ReLU(), nn.Linear(9, 64), nn.Tanh()))
    torch.save(Around(net) if wrapped else net, tmp_path / "whole.pth")
    torch.save(net.state_dict(), tmp_path / "weights.pth")
    whole = load_model(tmp_path / "whole.pth").generator
    weights = load_model(tmp_path / "weights.pth", activation="relu,tanh").generator
    z = Draw(1)(3, 4)
    assert whole(z).shape == (3, 1, 8, 8)
    assert torch.equal(whole(z), weights(z))


@pytest.mark.parametrize("more", [{"scale": 0.5}, {"img_shape": (1, 8, 8)}, {"flip": True}, {"mode": "tanh"}])
def test_a_class_that_keeps_more_than_sizes_is_refused(more: dict[str, object], tmp_path: Path) -> None:
    around = Around(made(odd))
    around.nz, around.parallel = 6, None
    torch.save(around, tmp_path / "g.pth")
    assert load_model(tmp_path / "g.pth").latent.shape == (6, 1, 1)
    for name, value in more.items():
        setattr(around, name, value)
    torch.save(around, tmp_path / "g.pth")
    with pytest.raises(CheckpointError, match="whole pickled network, of which nothing was run") as refused:
        load_model(tmp_path / "g.pth")
    assert "net.load_state_dict(egbas.load_weights(" in str(refused.value)


def test_plain_pickles_are_read_too(tmp_path: Path) -> None:
    net = made(odd)
    (tmp_path / "g.pkl").write_bytes(pickle.dumps(net))
    z = Draw(1)(3, 6, 1, 1)
    assert torch.equal(load_model(tmp_path / "g.pkl").generator(z), net(z))


def hooked() -> nn.Module:
    net = dense()
    net[3].register_forward_hook(print_nothing)
    return net


def hooked_outside() -> nn.Module:
    net = dense()
    net.register_forward_hook(print_nothing)
    return net


def print_nothing(*_: object) -> None:
    """A hook that a pickle can name."""


@pytest.mark.parametrize(
    "net",
    [
        Around(dense(), hidden=True),
        nn.Sequential(nn.Linear(2, 4), Around(nn.ReLU()), nn.Linear(4, 9)),
        nn.Sequential(nn.Linear(2, 4), nn.PReLU(), nn.Linear(4, 9)),
        nn.Sequential(nn.ConvTranspose2d(2, 4, 4, groups=2), nn.ReLU(), nn.ConvTranspose2d(4, 3, 4)),
        nn.Sequential(nn.ConvTranspose2d(2, 4, (4, 3)), nn.ReLU(), nn.ConvTranspose2d(4, 3, 4)),
        nn.Sequential(nn.Linear(2, 4), nn.ELU(0.5), nn.Linear(4, 9)),
        nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4, affine=False), nn.Linear(4, 9)),
        nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU()),
        hooked(),
        hooked_outside(),
    ],
)
def test_what_is_not_told_in_full_is_refused_with_what_to_do(tmp_path: Path, net: nn.Module) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save(net.eval(), tmp_path / "g.pth")
    with pytest.raises(CheckpointError, match=r"a whole pickled network, of which nothing was run") as refused:
        read_checkpoint(tmp_path / "g.pth")
    assert "egbas.load_weights(" in str(refused.value)


def test_a_pickled_dcgan_is_not_guessed_to_have_relus(tmp_path: Path) -> None:
    """Names and shapes are those of the PyTorch examples; the pickle tells another slope."""
    layers = [nn.ConvTranspose2d(9, 8, 4, bias=False), nn.BatchNorm2d(8), nn.LeakyReLU(0.2)]
    net = made(lambda: nn.Sequential(*layers, nn.ConvTranspose2d(8, 3, 4, 2, 1, bias=False)))
    torch.save(Around(net).eval(), tmp_path / "g.pth")
    z = Draw(1)(3, 9, 1, 1)
    assert torch.equal(load_model(tmp_path / "g.pth").generator(z), net(z))


def test_negative_variances_are_refused(tmp_path: Path) -> None:
    net = made(odd)
    with torch.no_grad():
        net[1].running_var[0] = -1  # type: ignore[index]
    torch.save(net, tmp_path / "g.pth")
    with pytest.raises(CheckpointError, match="variances of 'batch_norm2' are negative"):
        read_checkpoint(tmp_path / "g.pth")


def test_a_part_of_a_whole_pickled_network_is_told_too(tmp_path: Path) -> None:
    """A decoder beside an encoder, by its name and by a key."""
    layers = [nn.ConvTranspose2d(9, 8, 4, bias=False), nn.BatchNorm2d(8), nn.LeakyReLU(0.2)]
    net = made(lambda: nn.Sequential(*layers, nn.ConvTranspose2d(8, 3, 4, 2, 1, bias=False)))
    whole = nn.ModuleDict({"encoder": nn.Linear(2, 2), "decoder": net})
    torch.save({"vae": Around(whole).eval()}, tmp_path / "g.pth")
    z = Draw(1)(3, 9, 1, 1)
    for key in (None, "vae.net.decoder"):
        assert torch.equal(load_model(tmp_path / "g.pth", key=key).generator(z), net(z))
