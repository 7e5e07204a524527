# SPDX-License-Identifier: MIT
"""A user's hooks: listeners stay silent, what changes the network stays and is told."""

import functools
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook
from torch.nn.utils import prune

import egbas
from egbas.exploration.result import Exploration
from egbas.network import Network, list_layers
from egbas.network.network import count_units
from tests import problems

SHORT = egbas.GbRrtConfig(iterations=50)


def explored(generator: nn.Module) -> Exploration:
    config = egbas.BerOptConfig(sparsity=0.1, anneal_steps=50, max_steps=100)
    return egbas.explore(generator, problems.QUERY, 1, rng=0, samples=20, gbrrt=SHORT, beropt=config)


def listeners(generator: nn.Module) -> list[Any]:
    """One of every kind, each of which notes that it was called."""
    heard: list[Any] = []
    act = generator.get_submodule("1")
    generator.register_forward_pre_hook(lambda module, inputs: heard.append("before"))
    act.register_forward_hook(lambda module, inputs, output: heard.append("after"))
    act.register_forward_hook(functools.partial(lambda store, *_: store.append("partial"), heard))
    act.register_forward_hook(lambda module, args, kwargs, output: heard.append("with kwargs"), with_kwargs=True)
    return heard


def test_listeners_are_called_once_and_change_nothing() -> None:
    generator = problems.Plain()
    heard = listeners(generator)
    hooks = {name: list(value) for name, value in vars(generator[1]).items() if "hooks" in name}
    run = explored(generator)
    assert sorted(heard) == ["after", "before", "with kwargs"]  # a partial is copied with its list
    assert {name: list(value) for name, value in vars(generator[1]).items() if "hooks" in name} == hooks
    plain = explored(problems.Plain())
    assert run.warnings == plain.warnings
    assert torch.equal(run.theta, plain.theta) and torch.equal(run.latents, plain.latents)
    assert torch.equal(run.exact.latents, plain.exact.latents)
    assert not any(list(run.network._forward.fresh().get_submodule("1")._forward_hooks))
    generator(problems.QUERY[None])
    assert len(heard) == 7  # the user's own passes are heard as ever


def test_hooks_of_backward_passes_are_never_called() -> None:
    generator, heard = problems.Plain(), []
    generator[1].register_full_backward_hook(lambda module, got, given: heard.append(1))
    generator[1].register_full_backward_pre_hook(lambda module, given: heard.append(1))
    assert explored(generator).network.split(1).at(problems.QUERY).route == "graph"
    assert heard == []


def test_what_a_listener_computes_is_no_layer() -> None:
    generator, means = problems.Plain(), []
    generator[1].register_forward_hook(lambda module, inputs, output: means.append(torch.relu(output).mean()))
    assert [layer.path for layer in list_layers(generator, (2,))] == ["1"]


def doubled(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
    return output * 2


def doubled_in_place(module: nn.Module, inputs: Any, output: Tensor) -> None:
    output.mul_(2)


def clipped(module: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    return (inputs[0].clamp(-100, 100),)  # no latent of the check is so far out


@pytest.mark.parametrize("hook", [doubled, doubled_in_place])
def test_a_hook_that_changes_the_images_stays_and_is_told(hook: Any) -> None:
    generator, heard = problems.Plain(), []
    generator[2].register_forward_hook(hook)
    generator[1].register_forward_hook(lambda *_: heard.append(1))
    run = explored(generator)
    assert torch.equal(run.query_image, 2 * problems.QUERY_X)
    assert "hooks at '2' that change what it computes" in run.warnings[0]
    assert heard == [1]  # the listener beside it is silent


def test_a_hook_that_might_change_something_stays() -> None:
    generator = problems.Plain()
    generator.register_forward_pre_hook(clipped)
    network = Network(generator, (2,))
    assert "hooks at its top that change" in network.notices[0]
    far = torch.tensor([[1000.0, 0.0]])
    assert torch.equal(network.generate(far), network.generate(far.clamp(max=100)))


class Remembering(problems.TwoMaps):
    """Forward reads what a hook has kept."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: Tensor | None = None
        self.first.register_forward_hook(self.keep)

    def keep(self, module: nn.Module, inputs: Any, output: Tensor) -> None:
        self.kept = output

    def forward(self, z: Tensor) -> Tensor:
        self.first(z)
        assert self.kept is not None
        return self.second(torch.relu(self.kept))


def test_a_hook_that_forward_relies_on_stays() -> None:
    generator = Remembering()
    generator(torch.ones(3, 2))  # an image of before is no image of now
    network = Network(generator, (2,))
    assert network.generate(problems.QUERY[None]).tolist() == [problems.QUERY_X.tolist()]
    assert "hooks at 'first'" in network.notices[0]
    assert network.split("first").in_float64().head(problems.QUERY[None]).tolist() == [problems.QUERY_H.tolist()]


def test_hooks_of_torch_stay_without_a_word() -> None:
    generator = problems.Plain()
    prune.l1_unstructured(generator[0], "weight", amount=1)
    assert Network(generator, (2,)).notices == ()


def test_hooks_of_a_network_that_cannot_be_copied_are_told() -> None:
    generator, heard = problems.Stateful(lock=True), []
    generator.register_forward_hook(lambda *_: heard.append(1))
    assert "cannot be copied, so that its hooks at its top are called" in Network(generator, (2,)).notices[0]
    assert heard


def test_hooks_on_all_modules_are_told() -> None:
    handle = register_module_forward_hook(lambda *_: None)
    try:
        assert "hooks on all modules of this process" in Network(problems.Plain(), (2,)).notices[0]
    finally:
        handle.remove()


def test_counting_units_calls_no_hook() -> None:
    generator = problems.Plain()
    heard = listeners(generator)
    assert count_units(generator, (2,)) == 3
    assert heard == []


def test_a_hook_that_raises_is_the_networks_error() -> None:
    generator = problems.Plain()

    def failing(*_: Any) -> None:
        raise ValueError("no")

    generator[1].register_forward_hook(failing)
    with pytest.raises(egbas.NetworkError, match="raised ValueError"):
        Network(generator, (2,))
