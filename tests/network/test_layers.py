# SPDX-License-Identifier: MIT
"""Names of layers: paths, numbers, modules, and what cannot be named."""

import pytest
import torch
from torch import Tensor, nn

from egbas.errors import LayerNotFoundError
from egbas.network import Layer, Network, list_layers
from egbas.network.layers import spelled
from egbas.zoo.mnist_dcgan import DcganGenerator
from tests import problems


def paths(generator: nn.Module) -> list[str]:
    return [layer.path for layer in list_layers(generator, (2,))]


def test_the_dcgan_has_five_layers() -> None:
    layers = list_layers(DcganGenerator(2).eval(), (2,))
    assert [layer.number for layer in layers] == [1, 2, 3, 4, 5]
    assert [layer.path for layer in layers] == ["relu1", "relu2", "relu3", "relu4", "tanh"]
    assert [layer.kind for layer in layers] == ["ReLU"] * 4 + ["Tanh"]
    assert layers[1] == Layer(number=2, path="relu2", kind="ReLU", shape=(64, 7, 7), units=3136)


@pytest.mark.parametrize(
    ("generator", "expected"),
    [
        (problems.Plain(), ["1"]),
        (problems.Nested(), ["body.0.1"]),
        (problems.Functional(), ["relu()"]),
        (problems.InPlaceStatement(), ["relu()"]),
        (problems.SharedActivation(), ["act#1", "act#2", "act#3"]),
        (problems.SharedBlock(), ["block.1#1", "block.1#2"]),
        (problems.Concatenation(), ["tanh()", "relu()"]),
        (problems.ScaledNetwork(), ["act"]),
        (problems.MutatingNetwork(), []),
        (problems.SwishNetwork(), ["1.sigmoid()"]),
        (nn.Sequential(problems.Functional(), problems.Functional()), ["0.relu()", "1.relu()"]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_paths(generator: nn.Module, expected: list[str]) -> None:
    assert paths(generator) == expected


def test_every_listed_path_number_and_layer_resolves_to_itself() -> None:
    network = Network(problems.SharedActivation(), (2,))
    for layer in network.layers:
        assert layer.number is not None
        assert network.resolve(layer.path) == network.resolve(layer.number) == network.resolve(layer) == layer


def test_a_module_that_is_no_non_linearity_has_no_number() -> None:
    generator = problems.Nested()
    network = Network(generator, (2,))
    expected = Layer(number=None, path="body.0.0", kind="Linear", shape=(3,), units=3)
    assert network.resolve("body.0.0") == network.resolve(generator.get_submodule("body.0.0")) == expected
    assert network.resolve("body").kind == "Sequential"


def test_a_custom_activation_module_means_its_call() -> None:
    generator = problems.SwishNetwork()
    network = Network(generator, (2,))
    assert network.resolve("1") == network.resolve(generator[1]) == network.resolve(1)


def test_a_custom_activation_called_twice_is_indexed() -> None:
    swish = problems.Swish()
    network = Network(nn.Sequential(swish, swish), (2,))
    assert [layer.path for layer in network.layers] == ["0.sigmoid()#1", "0.sigmoid()#2"]
    assert network.resolve("0#2") == network.resolve("1#2") == network.resolve(2)
    with pytest.raises(LayerNotFoundError, match=r"called several times.*0#1, 0#2"):
        network.resolve("0")


def test_a_module_under_two_names_is_one() -> None:
    assert Network(_Forwarding(nn.ReLU()), (2,)).resolve("again").path == "act"


class _Forwarding(nn.Module):
    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.act = module
        self.again = module
        self.unused = nn.Linear(2, 2)

    def forward(self, z: Tensor) -> Tensor:
        return self.again(z)


def test_several_calls_without_an_index_are_refused_with_the_names() -> None:
    network = Network(problems.SharedBlock(), (2,))
    with pytest.raises(LayerNotFoundError, match=r"several times.*block.1#1, block.1#2"):
        network.resolve("block.1")
    with pytest.raises(LayerNotFoundError, match=r"several times.*block#1, block#2"):
        network.resolve("block")
    assert network.resolve("block#2").number is None


def test_an_unknown_path_gets_the_nearest_names() -> None:
    network = Network(DcganGenerator(2).eval(), (2,))
    with pytest.raises(LayerNotFoundError, match=r"'rellu3' is not in the generator; did you mean 'relu3'"):
        network.resolve("rellu3")
    with pytest.raises(LayerNotFoundError, match=r"relu1, relu2, relu3, relu4, tanh"):
        network.resolve("encoder.attention")


@pytest.mark.parametrize("number", [0, -1, 6, True])
def test_a_number_out_of_range_is_refused(number: int) -> None:
    with pytest.raises(LayerNotFoundError):
        Network(DcganGenerator(2).eval(), (2,)).resolve(number)


def test_a_number_in_a_network_without_non_linearities_is_refused() -> None:
    with pytest.raises(LayerNotFoundError, match="no non-linearity was seen"):
        Network(problems.MutatingNetwork(), (2,)).resolve(1)


def test_a_foreign_module_is_refused() -> None:
    with pytest.raises(LayerNotFoundError, match="not in the generator"):
        Network(problems.Plain(), (2,)).resolve(nn.ReLU())


def test_a_module_that_is_never_called_is_refused() -> None:
    with pytest.raises(LayerNotFoundError, match="'unused' is never called"):
        Network(_Forwarding(nn.ReLU()), (2,)).resolve("unused")


class _Odd(nn.Module):
    """Layers that a network cannot be split at: constant, complex, a tuple, without a batch."""

    def __init__(self) -> None:
        super().__init__()
        self.constant, self.both = nn.Tanh(), _Both()
        self.complex, self.batchless, self.last = nn.Identity(), nn.Tanh(), nn.ReLU()

    def forward(self, z: Tensor) -> Tensor:
        gain = self.constant(torch.ones(len(z), 2)) + self.batchless(torch.ones(2))
        turned = self.complex(torch.complex(z, z))
        return self.last(self.both(z)[0] * gain + turned.real)


class _Both(nn.Module):
    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return z, z


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("constant", "same values for every latent"),
        ("complex", "boundaries need real numbers"),
        ("batchless", "not hold one row for each latent"),
    ],
)
def test_a_layer_that_cannot_be_cut_at_is_refused(layer: str, message: str) -> None:
    network = Network(_Odd(), (2,))
    with pytest.raises(LayerNotFoundError, match=message):
        network.split(layer)
    assert network.split("last").at(torch.ones(2)).a.shape == (2,)


def test_a_layer_that_only_far_latents_move_is_reached() -> None:
    # relu(z1 + z2 - 20) is 0 for every likely latent, so the next pre-activation is constant there.
    network = Network(
        nn.Sequential(problems.linear([[1.0, 1.0]], [-20.0]), nn.ReLU(), problems.linear([[1.0]]), nn.ReLU()),
        (2,),
    )
    assert network.split(2).layer.units == 1


def test_a_leading_dot_says_that_a_path_follows() -> None:
    linears = [nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2), nn.ReLU()]
    network = Network(nn.Sequential(*linears), (2,))
    assert network.resolve(".3") == network.resolve("3") == network.resolve(2)
    assert network.resolve(3).path == "5"
    assert network.resolve(".4").kind == "Linear"
    assert network.resolve(".") == network.resolve("")
    assert Network(DcganGenerator(2).eval(), (2,)).resolve(".relu2").number == 2
    with pytest.raises(LayerNotFoundError, match=r"'\.\.3' is not in the generator"):
        network.resolve("..3")
    with pytest.raises(LayerNotFoundError, match=r"expected 1 to 3: \.1, \.3, \.5; the module of the path 4 is '\.4'"):
        network.resolve(4)


@pytest.mark.parametrize(
    ("path", "expected"),
    [("3", ".3"), ("1-4", ".1-4"), ("", "."), ("relu1", "relu1"), ("3.act", "3.act"), ("3#2", "3#2")],
)
def test_a_path_is_spelled_so_that_it_is_no_number(path: str, expected: str) -> None:
    assert spelled(path) == expected


def test_every_key_names_its_layer() -> None:
    network = Network(nn.Sequential(nn.Linear(2, 2), nn.ReLU()), (2,))
    for path in ("", "0", "1"):
        layer = network.resolve(path)
        assert network.resolve(layer.key) == layer
    assert [network.resolve(path).key for path in ("", "0", "1")] == [".", ".0", 1]
