# SPDX-License-Identifier: MIT
"""What is given for a network: what is plain works, the rest says what to give."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import egbas
from egbas.network import Network
from egbas.network.given import as_index, network_of, shape_of
from tests import problems

PLAIN = problems.Plain()


@pytest.mark.parametrize("given", [PLAIN, PLAIN.forward, PLAIN.__call__])
def test_the_network_that_is_meant(given: Any) -> None:
    assert network_of(given) is PLAIN


@pytest.mark.parametrize(
    "wrap",
    [
        nn.DataParallel,
        lambda network: torch.compile(network, backend="eager"),
        lambda network: nn.DataParallel(torch.compile(network, backend="eager")),
    ],
)
def test_what_computes_the_same_is_taken_off(wrap: Any) -> None:
    assert network_of(wrap(PLAIN)) is PLAIN
    assert [layer.path for layer in Network(wrap(PLAIN), (2,)).layers] == ["1"]


def test_a_compiled_part_is_run_as_it_is_written() -> None:
    network = problems.Plain().eval()

    def never(graph: Any, inputs: Any) -> Any:
        raise AssertionError("torch compiled it")

    network[1] = torch.compile(network[1], backend=never)
    (layer,) = Network(network, (2,)).layers
    assert layer.path == "1._orig_mod"
    assert Network(network, (2,)).split(1).head(problems.QUERY[None]).tolist() == [problems.QUERY_H.tolist()]


def test_weights_of_inference_mode() -> None:
    with torch.inference_mode():
        made = problems.Plain().eval()
    few = egbas.GbRrtConfig(iterations=10)
    run = egbas.explore(made, problems.QUERY, 1, rng=0, samples=0, gbrrt=few)
    assert torch.equal(run.latents, egbas.explore(PLAIN, problems.QUERY, 1, rng=0, samples=0, gbrrt=few).latents)


def test_a_model_is_explored_in_its_latent_space() -> None:
    model: Any = egbas.load_model("dcgan-mnist-2d")
    z0, few = torch.tensor([0.3, -0.2]), egbas.GbRrtConfig(iterations=10)
    run = egbas.explore(model, z0, 1, rng=0, samples=0, gbrrt=few)
    assert run.generator is model.generator
    assert run.latent == model.latent
    assert run.model_name == "dcgan-mnist-2d"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (problems.Plain, r"the class Plain .* make one of it, Plain\(...\)"),
        (lambda z: z, "the function <lambda> .* in the forward of a module"),
        (PLAIN.state_dict(), "a OrderedDict of 3 entries .*load_state_dict"),
        ("dcgan-mnist", r"load it first, egbas.load_model\('dcgan-mnist'\).generator"),
        (None, "a NoneType .* pass the module itself"),
    ],
)
def test_what_is_no_network(given: Any, message: str) -> None:
    for use in (lambda: Network(given, (2,)), lambda: egbas.explore(given, torch.ones(2), 1, rng=0)):
        with pytest.raises(egbas.NetworkError, match=message):
            use()
    with pytest.raises(egbas.NetworkError, match=message):
        egbas.estimate(given, torch.ones(2), 1)


def test_a_shape_may_be_one_size() -> None:
    assert shape_of(64) == shape_of(np.int64(64)) == shape_of([64]) == shape_of(torch.Size([64])) == (64,)
    assert egbas.list_layers(PLAIN, 2)[0].path == "1"  # type: ignore[arg-type]
    for given in (0, (), (2, -1), "2x", True, 1.5, None):
        with pytest.raises(egbas.ShapeError, match="not a list of positive sizes"):
            shape_of(given)


@pytest.mark.parametrize("shape", [(10**9,), (2**32, 2**32), (99_999_999_999, 99_999_999_999)])
def test_a_shape_that_no_machine_has_room_for_is_out_of_range(shape: tuple[int, ...]) -> None:
    with pytest.raises(egbas.ShapeError, match="is out of range; expected 100,000,000 coordinates at most"):
        shape_of(shape)
    with pytest.raises(egbas.ConfigError, match="is out of range; expected 100,000,000 coordinates at most"):
        egbas.LatentSpace(shape=shape)


def test_an_index_of_thousands_of_digits_is_none() -> None:
    digits = "9" * 5000  # Python refuses to read it
    assert [as_index(text) for text in (digits, f"-{digits}", "", "-", "x", "1.0")] == [None] * 6
    assert [as_index(text) for text in ("0", "-1", "12")] == [0, -1, 12]
    with pytest.raises(egbas.NetworkError, match="there is no output"):
        Network(PLAIN, (2,), output=digits)
    with pytest.raises(egbas.LayerNotFoundError):
        Network(PLAIN, (2,)).resolve(f"1#{digits}")


class Numbered(nn.Module):
    """Modules with a # in their names; one is called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.add_module("map#a", problems.linear(problems.FIRST, problems.SHIFT))
        self.add_module("act#2", nn.ReLU())
        self.add_module("out#", problems.linear(problems.SECOND))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        first, act, out = self.children()
        return out(act(act(first(z))))


@pytest.mark.parametrize("layer", ["map#a", "act#2#1", 1, "out#"])
def test_a_name_may_have_a_hash_in_it(layer: int | str) -> None:
    split = Network(Numbered(), (2,)).split(layer)
    tail = split.at(problems.QUERY)
    assert tail.route == "graph"
    expected = problems.QUERY_X if layer == "out#" else problems.QUERY_H
    assert split.head(problems.QUERY[None])[0].tolist() == expected.tolist()
