# SPDX-License-Identifier: MIT
import itertools
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from egbas.errors import CheckpointError, NetworkError
from egbas.network import Network
from egbas.storage import write_file
from egbas.zoo.convert import convert
from egbas.zoo.formats import read_checkpoint
from egbas.zoo.formats.sequential import numbered
from egbas.zoo.models import load_model
from tests.zoo.formats.reference import Draw


def up(a: int, b: int, *, first: bool = False, bias: bool = False, kernel: int = 4) -> nn.Module:
    return nn.ConvTranspose2d(a, b, kernel, *((1, 0) if first else (2, 1)), bias=bias)


def block(a: int, b: int, *, first: bool = False, after: tuple[nn.Module, ...] = ()) -> list[nn.Module]:
    return [up(a, b, first=first), nn.BatchNorm2d(b), nn.ReLU(), *after]


def drop(a: int, b: int, *, first: bool = False) -> list[nn.Module]:
    return block(a, b, first=first, after=(nn.Dropout(0.3),))


def conv_first_act(a: int, b: int, *, first: bool = False) -> list[nn.Module]:
    return [up(a, b, first=first), nn.ReLU(), nn.BatchNorm2d(b)]


def old_spectral(layer: nn.Module) -> nn.Module:
    return nn.utils.spectral_norm(layer)


def normed(wrap: Callable[[nn.Module], nn.Module]) -> nn.Module:
    """Two layers of one width, whose dimensions the shapes do not tell."""
    layers = [wrap(up(9, 8, first=True)), nn.BatchNorm2d(8), nn.ReLU()]
    layers += [wrap(up(8, 8)), nn.BatchNorm2d(8), nn.ReLU(), wrap(up(8, 3)), nn.Tanh()]
    return nn.Sequential(*layers)


DCGANS: dict[str, Callable[[], nn.Module]] = {
    "dropout between blocks": lambda: nn.Sequential(*drop(9, 8, first=True), *drop(8, 6), up(6, 3), nn.Tanh()),
    "dropout in one block": lambda: nn.Sequential(*drop(9, 8, first=True), *block(8, 6), up(6, 3), nn.Tanh()),
    "one block": lambda: nn.Sequential(*block(9, 8, first=True), up(8, 1), nn.Tanh()),
    "five blocks": lambda: nn.Sequential(
        *block(9, 8, first=True), *block(8, 7), *block(7, 6), *block(6, 5), *block(5, 4), up(4, 3), nn.Tanh()
    ),
    "a 1 x 1 layer at the end": lambda: nn.Sequential(
        *block(9, 8, first=True), *block(8, 6), nn.ConvTranspose2d(6, 1, 1, bias=False), nn.Tanh()
    ),
    "biases": lambda: nn.Sequential(
        up(9, 8, first=True, bias=True), nn.BatchNorm2d(8), nn.ReLU(), up(8, 3, bias=True), nn.Tanh()
    ),
    "no norms": lambda: nn.Sequential(up(9, 8, first=True), nn.ReLU(), up(8, 6), nn.ReLU(), up(6, 3), nn.Tanh()),
    "a norm left out": lambda: nn.Sequential(up(9, 8, first=True), nn.ReLU(), *block(8, 6), up(6, 3), nn.Tanh()),
    "norm after the activation": lambda: nn.Sequential(
        *conv_first_act(9, 8, first=True), *conv_first_act(8, 6), up(6, 3), nn.Tanh()
    ),
    "a first kernel of 7": lambda: nn.Sequential(
        up(9, 8, first=True, kernel=7), nn.BatchNorm2d(8), nn.ReLU(), up(8, 1), nn.Tanh()
    ),
    "blocks in blocks": lambda: nn.Sequential(
        nn.Sequential(*block(9, 8, first=True)), nn.Sequential(*block(8, 6)), up(6, 3), nn.Tanh()
    ),
    "two linear maps in a row": lambda: nn.Sequential(up(9, 8, first=True), up(8, 6), nn.ReLU(), up(6, 3), nn.Tanh()),
    "spectral norm by hooks": lambda: normed(old_spectral),
    "spectral norm": lambda: normed(parametrizations.spectral_norm),
    "weight norm": lambda: normed(parametrizations.weight_norm),
}


def made(make: Callable[[], nn.Module]) -> nn.Module:
    """A network with weights and statistics that are not those of its start."""
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(1)
        net = make()
        with torch.no_grad():
            for part in net.modules():
                if isinstance(part, nn.BatchNorm2d):
                    part.running_mean.normal_()  # type: ignore[union-attr]
                    part.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
                    part.weight.uniform_(0.5, 2)
                    part.bias.normal_()
    return net.eval()


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("prefix", ["main.", "", "netG.gen."])
@pytest.mark.parametrize("name", DCGANS)
def test_a_dcgan_of_any_numbering_computes_what_the_original_does(tmp_path: Path, name: str, prefix: str) -> None:
    net = made(DCGANS[name])
    torch.save({f"{prefix}{key}": value for key, value in net.state_dict().items()}, tmp_path / "g.pth")
    model = load_model(tmp_path / "g.pth")
    z = Draw(1)(3, 9, 1, 1)
    with torch.no_grad():
        found, expected = model.generator(z), net(z)
    assert model.latent.shape == (9, 1, 1)
    assert float(expected.std()) > 1e-3
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)


def test_what_was_assumed_is_told_and_can_be_said(tmp_path: Path) -> None:
    net = made(lambda: nn.Sequential(up(9, 8, first=True), nn.LeakyReLU(0.1), up(8, 1)))
    torch.save(net.state_dict(), tmp_path / "g.pth")
    guessed = load_model(tmp_path / "g.pth")
    assert "relu, and tanh at the end" in guessed.facts["activations"]
    assert "taken as relu, and tanh" in Network(guessed.generator, (9, 1, 1)).notices[0]
    model = load_model(tmp_path / "g.pth", activation="leaky_relu:0.1,none")
    z = Draw(1)(3, 9, 1, 1)
    assert torch.equal(model.generator(z), net(z))
    assert "activations" not in model.facts
    assert Network(model.generator, (9, 1, 1)).notices == ()
    assert model.generator.zoo_choices == {"activation": "leaky_relu:0.1,none"}


def test_a_layer_of_1_x_1_may_have_cut_the_border_and_this_is_told(tmp_path: Path) -> None:
    torch.save(made(DCGANS["a 1 x 1 layer at the end"]).state_dict(), tmp_path / "g.pth")
    assert "border" in load_model(tmp_path / "g.pth").facts["last_layer"]


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([up(9, 8, first=True), nn.BatchNorm2d(8), nn.ReLU(), up(8, 3, kernel=3)], "kernels of 3 x 3"),
        ([up(9, 8, first=True), nn.BatchNorm2d(8), nn.ReLU(), up(8, 3, kernel=5), nn.ReLU()], "kernels of 5 x 5"),
        ([up(9, 8, first=True), nn.InstanceNorm2d(8), nn.ReLU(), up(8, 3)], "may be an instance norm"),
        ([up(9, 8, first=True), nn.Dropout(), nn.BatchNorm2d(8), nn.ReLU(), up(8, 3)], "which is the activation"),
        ([up(9, 8, first=True), nn.BatchNorm2d(8), nn.BatchNorm2d(8), nn.ReLU(), up(8, 3)], "two batch norms"),
    ],
)
def test_what_leaves_a_doubt_is_refused(tmp_path: Path, layers: list[nn.Module], message: str) -> None:
    torch.save(nn.Sequential(*layers).state_dict(), tmp_path / "g.pth")
    with pytest.raises(CheckpointError, match=rf"{message}.*") as refused:
        read_checkpoint(tmp_path / "g.pth")
    assert "own code" in str(refused.value) or "does not read" in str(refused.value)


@pytest.mark.parametrize("kind", ["one-hot", "table", "linear", "product"])
@pytest.mark.parametrize("is_first", [False, True])
def test_labels_are_an_input(kind: str, is_first: bool, tmp_path: Path) -> None:
    latent = 50 if kind == "one-hot" else 5
    width = {"one-hot": 10, "table": 4, "linear": 3, "product": 5}[kind]
    shape, both = (latent, *([] if kind == "linear" else [1, 1])), latent + (width if kind != "product" else 0)
    make: Callable[[], nn.Module] = (lambda: mlp(both, 9, 64)) if kind == "linear" else lambda: made_conditional(both)
    net, rows = made(make), torch.eye(10) if kind == "one-hot" else Draw(4)(6, width)
    state = {f"main.{key}": value for key, value in net.state_dict().items()}
    torch.save(state | ({} if kind == "one-hot" else {"label_emb.weight": rows}), tmp_path / "g.pth")
    model = load_model(tmp_path / "g.pth", activation="relu,none" if kind == "linear" else None)
    assert model.latent.shape == shape
    z = Draw(1)(3, *shape)
    beside = rows[2].reshape(1, -1, *[1] * (len(shape) - 1)).expand(3, *[-1] * len(shape))
    expected = net(torch.cat([beside, z] if is_first else [z, beside], dim=1)) if kind != "product" else None
    inputs = {"label": 2, "labels_first": is_first}
    if kind == "product":
        inputs, expected = {"label": 2, "added": is_first}, net(beside + z if is_first else beside * z)
    network = Network(model.generator, shape, inputs=inputs)
    assert any("--input label=0" in text for text in network.notices)
    torch.testing.assert_close(network.generate(z.flatten(1)).flatten(1), expected.flatten(1))
    assert network.split(1).at(z[0].flatten()).route == "graph"
    choice = "relu,none" if kind == "linear" else None
    convert(tmp_path / "g.pth", tmp_path / "g.safetensors", write_file, activation=choice)
    again = Network(load_model(tmp_path / "g.safetensors").generator, shape, inputs=inputs)
    assert torch.equal(again.generate(z.flatten(1)), network.generate(z.flatten(1)))


def made_conditional(size: int) -> nn.Module:
    return nn.Sequential(*block(size, 8, first=True), up(8, 1), nn.Tanh())


def test_a_label_that_was_forgotten_is_asked_for(tmp_path: Path) -> None:
    torch.save(made(lambda: made_conditional(110)).state_dict(), tmp_path / "g.pth")
    model = load_model(tmp_path / "g.pth")
    with pytest.raises(NetworkError, match=r"takes a label from 0 to 9: --input label=0"):
        Network(model.generator, model.latent.shape)


def test_labels_that_leave_no_latent_are_refused(tmp_path: Path) -> None:
    state = {f"main.{key}": value for key, value in made(DCGANS["one block"]).state_dict().items()}
    torch.save(state | {"label_emb.weight": torch.zeros(10, 50)}, tmp_path / "g.pth")
    with pytest.raises(CheckpointError, match=r"labels have 50 values and its first layer takes 9"):
        read_checkpoint(tmp_path / "g.pth")


def mlp(*sizes: int, act: type[nn.Module] = nn.ReLU, last: nn.Module | None = None, dropout: bool = False) -> nn.Module:
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(sizes):
        layers += [nn.Linear(a, b), act(), *([nn.Dropout()] if dropout else [])]
    return nn.Sequential(*layers[: -2 if dropout else -1], *([] if last is None else [last])).eval()


@pytest.mark.parametrize(
    ("net", "said", "image"),
    [
        (mlp(5, 8, 64), "relu", (1, 8, 8)),
        (mlp(5, 8, 9, 192, act=nn.SiLU, last=nn.Sigmoid()), "silu,sigmoid", (3, 8, 8)),
        (mlp(5, 8, 7, last=nn.Tanh(), act=nn.GELU, dropout=True), "gelu,tanh", (7,)),
        (
            nn.Sequential(nn.Linear(3, 4, bias=False), nn.Linear(4, 100), nn.ReLU(), nn.Linear(100, 144)),
            "relu",
            (1, 12, 12),
        ),
    ],
)
@pytest.mark.parametrize("prefix", ["", "decoder.", "net."])
def test_a_decoder_of_linear_layers_with_its_activation_said(
    tmp_path: Path, net: nn.Module, said: str, image: tuple[int, ...], prefix: str
) -> None:
    beside: dict[str, Tensor] = {"encoder.0.weight": torch.zeros(2, 2)} if prefix == "decoder." else {}
    torch.save({f"{prefix}{key}": value for key, value in net.state_dict().items()} | beside, tmp_path / "g.pth")
    model = load_model(tmp_path / "g.pth", activation=said)
    z = Draw(1)(4, model.latent.size)
    assert model.generator(z).shape[1:] == image
    torch.testing.assert_close(model.generator(z).flatten(1), net(z), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    ("net", "said", "message"),
    [
        (mlp(5, 8, 64), None, r"linear layers \(5 -> 8 -> 64\).*--activation relu"),
        (mlp(5, 8, 64), "rlu", "'rlu' is unknown"),
        (mlp(5, 8, 64), "relu,", "'' is unknown"),
        (mlp(64, 8, 5), "relu", "give fewer values than they take"),
        (nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 64)), "relu", "epsilon"),
    ],
)
def test_decoders_that_are_not_told_are_refused(tmp_path: Path, net: nn.Module, said: Any, message: str) -> None:
    torch.save(net.state_dict(), tmp_path / "g.pth")
    with pytest.raises(CheckpointError, match=rf"g\.pth: .*{message}"):
        read_checkpoint(tmp_path / "g.pth", activation=said)


def test_an_activation_for_a_format_that_tells_its_own_is_refused(tmp_path: Path) -> None:
    (tmp_path / "g.safetensors").parent.mkdir(exist_ok=True)
    torch.save(mlp(5, 8, 64).state_dict(), tmp_path / "g.pth")
    convert(tmp_path / "g.pth", tmp_path / "g.safetensors", lambda p, d: p.write_bytes(d) and None, activation="relu")
    z = Draw(1)(2, 5)
    model = load_model(tmp_path / "g.safetensors")
    assert torch.equal(model.generator(z), load_model(tmp_path / "g.pth", activation="relu").generator(z))
    with pytest.raises(CheckpointError, match="its format is egbas, whose activations are known"):
        load_model(tmp_path / "g.safetensors", activation="relu")
    with pytest.raises(CheckpointError, match="leave --key out"):
        load_model(tmp_path / "g.safetensors", key="generator")


@pytest.mark.parametrize(
    "names",
    [
        ["0.weight", "fc.weight"],
        ["0.weight", "a.1.weight"],
        ["0.weight", "00000.weight"],
        ["0.weight", "1.running_mean"],
        ["0.weight", "1.scale"],
    ],
)
def test_names_of_several_kinds_are_no_sequence(tmp_path: Path, names: list[str]) -> None:
    torch.save({name: torch.zeros(2, 2) for name in names}, tmp_path / "g.pth")
    with pytest.raises(CheckpointError, match="of no format"):
        read_checkpoint(tmp_path / "g.pth", activation="relu")
    assert numbered({}) == []


@pytest.mark.parametrize("shape", [(0, 2), (2, 0, 4, 4), (2, 2, 4, 3), (2, 2, 2), ()])
def test_shapes_of_no_layer_are_no_sequence(tmp_path: Path, shape: tuple[int, ...]) -> None:
    torch.save({"0.weight": torch.zeros(shape), "2.weight": torch.zeros(2, 2)}, tmp_path / "g.pth")
    with pytest.raises(CheckpointError, match="of no format"):
        read_checkpoint(tmp_path / "g.pth", activation="relu")
