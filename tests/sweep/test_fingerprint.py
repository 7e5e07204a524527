# SPDX-License-Identifier: MIT
import copy
import functools
import json
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from egbas.network import Network
from egbas.sweep.fingerprint import answers_of, behaviour_of, function_sha256, network_sha256


def plain(slope: float = 0.2) -> nn.Sequential:
    net = nn.Sequential(nn.Linear(2, 3), nn.LeakyReLU(slope), nn.Linear(3, 4))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.arange(parameter.numel(), dtype=torch.float32).reshape(parameter.shape))
    return net.eval()


class Holder(nn.Module):
    def __init__(
        self, weights: list[Tensor], activation: Callable[[Tensor], Tensor] = F.relu, scale: float = 1.0
    ) -> None:
        super().__init__()
        self.weights, self.activation, self.scale = weights, activation, scale


class Other(Holder):
    pass


def weights(first: float = 1.0) -> list[Tensor]:
    return [torch.full((2, 2), first, dtype=torch.float32)]


def with_hook() -> nn.Module:
    net = plain()
    net[1].register_forward_hook(lambda module, inputs, output: 2 * output)
    return net


def moved() -> nn.Module:
    net = plain()
    with torch.no_grad():
        net[0].weight[0, 0] += 1e-6  # pyright: ignore[reportArgumentType]
    return net


def test_the_same_network_made_twice_has_one_checksum() -> None:
    assert network_sha256(plain()) == network_sha256(plain())
    assert network_sha256(Holder(weights())) == network_sha256(Holder(weights()))
    named = plain()
    named.zoo_name = "whatever"  # pyright: ignore[reportArgumentType]
    assert network_sha256(named) == network_sha256(plain())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (plain(), plain(0.1)),
        (plain(), moved()),
        (plain(), plain().double()),
        (plain(), nn.Sequential(plain())),
        (plain(), with_hook()),
        (Holder(weights()), Holder(weights(2.0))),
        (Holder(weights()), Holder(weights(), F.gelu)),
        (Holder(weights()), Holder(weights(), scale=2.0)),
        (Holder(weights()), Other(weights())),
        (Holder(weights(), lambda x: x + 1), Holder(weights(), lambda x: x + 2)),
    ],
)
def test_another_network_has_another(one: nn.Module, other: nn.Module) -> None:
    assert network_sha256(one) != network_sha256(other)


def judge(images: Tensor) -> dict[str, Tensor]:
    return {"light": images.mean()}


def scaled(factor: object) -> Callable[[Tensor], object]:
    return lambda images: (images, factor)


def test_functions_count_by_their_code_and_what_they_hold() -> None:
    assert function_sha256(judge) == function_sha256(judge)
    different = [
        judge,
        scaled(1.0),
        scaled(2.0),
        scaled(np.ones(2)),
        scaled(np.zeros(2)),
        scaled({"a": 1}),
        functools.partial(judge, images=1),
        functools.partial(judge, images=2),
        plain(),
        Holder(weights()).forward,
        Holder(weights(3.0)).forward,
    ]
    assert len({function_sha256(each) for each in different}) == len(different)
    assert function_sha256(scaled(1.0)) == function_sha256(scaled(1.0))


def test_what_holds_itself_ends() -> None:
    looped = Holder(weights())
    looped.list = [looped.weights]  # pyright: ignore[reportArgumentType]
    looped.list.append(looped.list)  # pyright: ignore[reportCallIssue, reportAttributeAccessIssue]
    assert len(network_sha256(looped)) == 64


STRENGTH = [1.0]  # stands for a constant in another file, which no checksum of a class sees


class Borrowing(nn.Module):
    def forward(self, z: Tensor) -> Tensor:
        return torch.tanh(z) * STRENGTH[0] + 0.5


class Hidden(nn.Module):
    def __init__(self, slope: float) -> None:
        super().__init__()
        self._slope = slope

    def forward(self, z: Tensor) -> Tensor:
        return F.leaky_relu(z, self._slope)


class Inheriting(Hidden):
    pass


def test_what_a_network_does_is_seen_whatever_code_does_it() -> None:
    before = behaviour_of(Network(Borrowing(), (3,)))
    assert before == behaviour_of(Network(Borrowing(), (3,)))
    STRENGTH[0] = 1.1
    try:
        assert behaviour_of(Network(Borrowing(), (3,))) != before
    finally:
        STRENGTH[0] = 1.0


def test_the_last_digits_are_no_other_behaviour() -> None:
    net = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 4)).eval()
    single, double = behaviour_of(Network(net, (3,))), behaviour_of(Network(copy.deepcopy(net).double(), (3,)))
    assert single == double


def test_private_settings_and_classes_above_count() -> None:
    assert network_sha256(Hidden(0.1)) != network_sha256(Hidden(0.2))
    assert network_sha256(Inheriting(0.1)) != network_sha256(Hidden(0.1))
    assert network_sha256(Hidden(0.1)) == network_sha256(Hidden(0.1))


def borrowing_judge(images: Tensor) -> dict[str, Tensor]:
    return {"strong": images.flatten(1).mean(dim=1) * STRENGTH[0]}


def random_features(images: Tensor) -> Tensor:
    images.mul_(0)
    return torch.rand(len(images), 3)


def test_what_a_judge_says_is_seen_whatever_code_says_it() -> None:
    images = torch.linspace(-1, 1, 64).reshape(4, 1, 4, 4)
    before, kept = answers_of(borrowing_judge, images), images.clone()
    STRENGTH[0] = 1.1
    try:
        assert answers_of(borrowing_judge, images) != before
    finally:
        STRENGTH[0] = 1.0
    assert answers_of(borrowing_judge, images) == before
    state = torch.get_rng_state()
    assert answers_of(random_features, images) == answers_of(random_features, images)
    assert torch.equal(torch.get_rng_state(), state) and torch.equal(images, kept)
    assert answers_of(nn.Sequential(nn.Flatten(), nn.Linear(16, 2)).eval(), images) is not None


@pytest.mark.parametrize(
    "answer",
    [None, "a", [], {}, {"a": [1, 2]}, (torch.ones(2), 1j), torch.tensor([]), [1.0, float("nan")], {1: {2: 3}}],
)
def test_any_answer_is_taken(answer: object) -> None:
    json.dumps(answers_of(lambda _: answer, torch.zeros(1, 1)), allow_nan=False)


def test_a_judge_that_fails_is_left_to_the_exploration() -> None:
    assert answers_of(lambda images: images.nothing, torch.zeros(1, 1)) == "raises AttributeError"
