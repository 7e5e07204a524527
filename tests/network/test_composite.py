# SPDX-License-Identifier: MIT
"""Activations written out by hand are one layer, and a masked unit gives what they make of zero."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from egbas.errors import NetworkError
from egbas.network import Network
from egbas.network.composite import Composite, Step, find_composites
from tests import problems

Function = Callable[[Tensor], Tensor]
Z = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))


def gelu_tanh(x: Tensor) -> Tensor:
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def gelu_gpt2(x: Tensor) -> Tensor:
    return 0.5 * x * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * torch.pow(x, 3.0))))


def gelu_in_sums(x: Tensor) -> Tensor:
    half = x / 2
    return half + half * torch.tanh(x.mul(0.7978845608).mul(1 + 0.044715 * x.square()))


def gelu_erf(x: Tensor) -> Tensor:
    return x * 0.5 * (1.0 + torch.erf(x / math.sqrt(2.0)))


def swish_inplace(x: Tensor) -> Tensor:
    return x.mul_(x.sigmoid())


def swish_statement(x: Tensor) -> Tensor:
    gate = torch.sigmoid(x)
    x *= gate
    return x


COMPOSITES: dict[str, Function] = {
    "gelu_tanh": gelu_tanh,
    "gelu_gpt2": gelu_gpt2,
    "gelu_in_sums": gelu_in_sums,
    "gelu_erf": gelu_erf,
    "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),
    "swish": lambda x: x * x.sigmoid(),
    "swish_inplace": swish_inplace,
    "swish_statement": swish_statement,
    "mish": lambda x: x * torch.tanh(F.softplus(x)),
    "hardsigmoid": lambda x: x * F.hardsigmoid(x),
    "hardswish": lambda x: x * F.relu6(x + 3) / 6,
    "shifted_swish": lambda x: (x + 1) * torch.sigmoid(x) - torch.sigmoid(x),
    "addcmul": lambda x: torch.addcmul(torch.zeros_like(x), x, torch.sigmoid(x)),
    "where": lambda x: torch.where(x > 0, x, F.elu(x)),
    "prelu": lambda x: F.relu(x) - 0.3 * F.relu(-x),
    "gelu_viewed": lambda x: 0.5 * x * (1 + torch.tanh(0.79788456 * (x + 0.044715 * x**3).view(-1)).view_as(x)),
    "gelu_reshaped": lambda x: gelu_tanh(x.reshape(x.shape[0], -1, 1)).reshape(x.shape),
    "gelu_unsqueezed": lambda x: (x[..., None] * torch.sigmoid(1.702 * x.unsqueeze(-1))).squeeze(-1),
    "swish_expanded": lambda x: x * torch.sigmoid(x).expand_as(x).expand(x.shape),
    "swish_by_einsum": lambda x: torch.einsum("..., ... -> ...", x, torch.sigmoid(x)),
    "x_and_sigmoid": lambda x: x + torch.sigmoid(x),
    "gate_less_half": lambda x: (1 + x) * torch.sigmoid(x),
}
SINGLE: dict[str, Function] = {
    "relu": F.relu, "relu6": F.relu6, "leaky_relu": lambda x: F.leaky_relu(x, 0.2), "elu": F.elu, "celu": F.celu,
    "selu": F.selu, "gelu": F.gelu, "gelu_of_torch": lambda x: F.gelu(x, approximate="tanh"), "silu": F.silu,
    "mish_of_torch": F.mish, "hardswish_of_torch": F.hardswish, "tanh": torch.tanh, "softsign": F.softsign,
    "hardtanh": F.hardtanh, "softshrink": F.softshrink, "sigmoid": torch.sigmoid, "softplus": F.softplus,
    "logsigmoid": F.logsigmoid, "hardsigmoid_of_torch": F.hardsigmoid, "threshold": lambda x: F.threshold(x, 0.2, 0.7),
    "clamped": lambda x: F.hardtanh(x, 0.1, 0.9), "sigmoid_inplace": lambda x: x.sigmoid_(),
}  # fmt: skip


class Written(nn.Module):
    """The two maps around a function: in the network itself, or in a module of its own."""

    def __init__(self, function: Function, *, inside: bool = False) -> None:
        super().__init__()
        self.first, self.second = problems.linear(problems.FIRST, problems.SHIFT), problems.linear(problems.SECOND)
        self.act = Act(function) if inside else function

    def forward(self, z: Tensor) -> Tensor:
        return self.second(self.act(self.first(z)))


class Act(nn.Module):
    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class Branching(Written):
    """Control flow that torch.fx cannot follow."""

    def forward(self, z: Tensor) -> Tensor:
        return super().forward(z if float(z.detach().abs().max()) < 1e6 else z / 2)


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("kind", [Written, Branching])
@pytest.mark.parametrize("name", [*COMPOSITES, *SINGLE])
def test_a_masked_unit_gives_the_value_at_zero(name: str, kind: type[Written], inside: bool) -> None:
    function = (COMPOSITES | SINGLE)[name]
    generator = kind(function, inside=inside).eval()
    network = Network(generator, (2,))
    assert [layer.number for layer in network.layers] == [1]
    split = network.split("act" if inside else 1)
    first, second = generator.first, generator.second
    generator.requires_grad_(False)
    torch.testing.assert_close(split.head(Z), first(Z))
    for z in Z[:4]:
        tail = split.at(z)
        assert tail.route == ("graph" if kind is Written else "hooks")
        torch.testing.assert_close(tail.h, first(z[None])[0])
        torch.testing.assert_close(tail.x, generator(z[None])[0])
        for mask in torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 3):
            a = torch.stack([function((m * h)[None].clone())[0] for m, h in zip(mask, first(z), strict=True)])
            torch.testing.assert_close(tail((mask * tail.a)[None]), second(a[None]))


def test_a_composite_is_one_layer_under_the_name_of_its_first_call() -> None:
    network = Network(nn.Sequential(Written(COMPOSITES["mish"]), nn.Linear(2, 2), nn.ReLU()), (2,))
    assert [layer.path for layer in network.layers] == ["0.softplus()", "2"]
    assert network.layers[0].kind == "composite of softplus, tanh"
    assert network.resolve("0.tanh()") == network.resolve(1)
    assert network.split(2).at(problems.QUERY).a.shape == (2,)


@pytest.mark.parametrize("name", ["gelu_tanh", "mish", "hardswish"])
def test_composites_are_split_in_float64_and_at_their_last_linear_map(name: str) -> None:
    generator = nn.Sequential(*(Written(COMPOSITES[name], inside=True) for _ in range(2))).eval()
    split = Network(generator, (2,)).split(2)
    double = split.in_float64()
    torch.testing.assert_close(double.head(Z).float(), split.head(Z))
    last = split.last_linear()
    assert last is not None
    torch.testing.assert_close(last.post(last.linear(last.stem(Z))), split.head(Z))


def test_the_pre_activation_may_be_the_latents() -> None:
    generator = nn.Sequential(Act(gelu_tanh), nn.Linear(2, 2))
    split = Network(generator, (2,)).split(1)
    assert torch.equal(split.head(Z), Z)
    assert torch.equal(split.at(Z[0])(torch.zeros(1, 2)), generator[1].bias[None])


def test_a_network_that_cannot_be_copied() -> None:
    class Locked(Written):
        def __deepcopy__(self, memo: object) -> None:
            raise TypeError

    generator = Locked(gelu_tanh)
    tail = Network(generator, (2,)).split(1).at(problems.QUERY)
    assert tail(torch.zeros(1, 3)).tolist() == [[0.0, 0.0]]
    assert not generator._forward_pre_hooks


def gelu_of(gate: Tensor, x: Tensor) -> Tensor:
    return gate * 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


GATED: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "geglu": gelu_of,
    "swiglu": lambda gate, x: gate * x * torch.sigmoid(x),
    "swiglu_in_brackets": lambda gate, x: gate * (x * torch.sigmoid(x)),
    "mish": lambda gate, x: gate * x * torch.tanh(F.softplus(x)),
    "in_sums": lambda gate, x: gate * x / 2 + gate * (x / 2) * torch.erf(x / math.sqrt(2)),
    "viewed": lambda gate, x: gate * x * torch.sigmoid(x.reshape(-1)).view_as(x),
    "with_torch": lambda gate, x: gate * F.gelu(x),
}


@pytest.mark.parametrize("kind", [Written, Branching])
@pytest.mark.parametrize("name", GATED)
def test_a_gated_unit_is_taken_out_whole(name: str, kind: type[Written]) -> None:
    function = GATED[name]

    def halves(x: Tensor) -> Tensor:
        gate, x = x.chunk(2, dim=-1)
        return function(gate, x)

    generator = kind(halves).eval()
    rng = torch.Generator().manual_seed(1)
    generator.first = problems.linear(torch.randn(6, 2, generator=rng).tolist(), torch.randn(6, generator=rng).tolist())
    generator.requires_grad_(False)
    network = Network(generator, (2,))
    assert [layer.number for layer in network.layers] == [1]
    split = network.split(1)
    for z in Z[:4]:
        tail = split.at(z)
        gate, x = generator.first(z).chunk(2)
        torch.testing.assert_close(tail.h, x)
        torch.testing.assert_close(tail.x, generator(z[None])[0])
        assert tail.route == ("graph" if kind is Written else "hooks")
        for mask in torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 3):
            a = function(gate[None], (mask * x)[None])
            torch.testing.assert_close(tail((mask * tail.a)[None]), generator.second(a))


# Of x (n, 2, 3): name, function, and whether torch.fx follows it.
MOVED: dict[str, tuple[Function, bool]] = {
    "swish": (lambda x: x * torch.sigmoid(x.permute(0, 2, 1)).permute(0, 2, 1), True),
    "swish_of_list": (lambda x: x * torch.permute(torch.permute(x, [2, 0, 1]).sigmoid(), [1, 2, 0]), True),
    "transposed": (lambda x: x * x.transpose(1, 2).sigmoid().transpose(2, 1), True),
    "matrix": (lambda x: x * torch.sigmoid(x.mT).mT, False),
    "moved": (lambda x: x * x.movedim(1, 2).sigmoid().movedim(2, 1), False),
    "of_two": (lambda x: (x.transpose(1, 2) * torch.sigmoid(x.permute(0, 2, 1))).swapaxes(1, 2), False),
    "gelu": (lambda x: 0.5 * x * (1 + torch.tanh(0.8 * (x.mT + 0.04 * x.mT**3)).mT.contiguous()), False),
    "flat": (lambda x: x * F.softplus(x.mT.reshape(-1)).tanh().view(-1, 3, 2).mT, False),
    "batch_last": (lambda x: x * x.permute(1, 2, 0).sigmoid().permute(2, 0, 1), True),
    "in_parts": (lambda x: x * x.view(-1, 2, 3, 1).permute(0, 2, 3, 1).sigmoid().view(-1, 3, 2).mT, False),
    "within": (lambda x: gelu_tanh(x.permute(0, 2, 1)).permute(0, 2, 1), True),
    "gated": (lambda x: x.roll(1, 1) * x * torch.sigmoid(x.permute(0, 2, 1)).permute(0, 2, 1), True),
}


class Moved(Written):
    """Six units, (2, 3), in the middle."""

    def __init__(self, function: Function) -> None:
        super().__init__(function)
        rng = torch.Generator().manual_seed(1)
        weights = [torch.randn(*shape, generator=rng).tolist() for shape in ((6, 2), (6,), (2, 6))]
        self.first, self.second = problems.linear(*weights[:2]), problems.linear(weights[2])

    def forward(self, z: Tensor) -> Tensor:
        return self.second(self.act(self.first(z).view(-1, 2, 3)).flatten(1))


@pytest.mark.parametrize("name", MOVED)
def test_elements_that_are_moved_and_moved_back_are_the_same(name: str) -> None:
    function, is_followed = MOVED[name]
    generator = Moved(function).requires_grad_(False)
    network = Network(generator, (2,))
    assert [layer.number for layer in network.layers] == [1]
    split = network.split(1)
    order = torch.arange(6).view(2, 3)
    order = order.T.flatten() if name == "within" else order.flatten()  # there, the activation is between the moves
    back = order.argsort()
    for z in Z[:3]:
        h, tail = generator.first(z), split.at(z)
        torch.testing.assert_close(tail.h, h[order])
        if is_followed:
            assert tail.route == "graph"
        for unit in range(6):
            mask = torch.ones(6)
            mask[unit] = 0
            x = (mask[back] * h).view(1, 2, 3)
            a = function(x)
            if name == "gated":  # the gate, which reads all units, stays
                a = h.view(1, 2, 3).roll(1, 1) * x * torch.sigmoid(x)
            torch.testing.assert_close(tail((mask * tail.a)[None]), generator.second(a.flatten(1)))


def test_an_activation_whose_output_is_in_another_order_is_refused() -> None:
    split = Network(Moved(lambda x: x.mT * torch.sigmoid(x.transpose(1, 2))), (2,)).split(1)
    with pytest.raises(NetworkError, match="in another order"):
        split.at(problems.QUERY)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: (y := x.repeat(1, 1, 2)[:, :, :2]) * torch.sigmoid(y.mT),  # a square: other elements
        lambda x: x * torch.sigmoid(x @ x.mT @ x),  # what is moved is mixed
        lambda x: x.flip(1) * torch.sigmoid(x.permute(0, 2, 1)).permute(0, 2, 1),
    ],
)
def test_what_is_moved_and_not_moved_back_is_no_composite(function: Function) -> None:
    generator = Moved(function)
    generator.second = nn.Linear(function(torch.ones(1, 2, 3)).numel(), 2)
    assert [layer.kind for layer in Network(generator, (2,)).layers] == ["sigmoid"]


def test_one_way_through_moves_stays_one_non_linearity() -> None:
    layers = Network(Moved(lambda x: torch.relu(x.mT).mT), (2,)).layers
    assert [(layer.kind, layer.shape) for layer in layers] == [("relu", (3, 2))]


def test_a_gate_that_is_no_part_of_an_activation_stays_outside() -> None:
    def residual(x: Tensor) -> Tensor:
        gate, h = x.chunk(2, dim=-1)
        return gelu_of(gate, h) + gate.roll(1, 1)

    generator = Written(residual)
    generator.first = problems.linear(torch.randn(6, 2, generator=torch.Generator().manual_seed(1)).tolist(), [0.1] * 6)
    split = Network(generator.requires_grad_(False), (2,)).split(1)
    tail = split.at(Z[0])
    gate = generator.first(Z[0]).chunk(2)[0]
    torch.testing.assert_close(tail(torch.zeros(1, 3))[0], generator.second(gate.roll(1, 0)))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: torch.cat([x * (gate := torch.sigmoid(x)), gate], dim=1)[:, :3] + gate.roll(1, 1),
        lambda x: (x * (gate := torch.sigmoid(x))).roll(1, 1) + x * (1 - gate),
    ],
)
def test_a_composite_of_which_a_part_is_used_elsewhere_is_refused(function: Function) -> None:
    split = Network(Written(function), (2,)).split(1)
    with pytest.raises(NetworkError, match="also used elsewhere"):
        split.at(problems.QUERY)


@pytest.mark.parametrize(
    ("function", "kinds"),
    [
        (lambda x: 2 * torch.sigmoid(x) - 1, ["sigmoid"]),  # one way from x to the output
        (lambda x: x + torch.tanh(x.roll(1, 1)), ["tanh"]),  # a skip past what mixes the elements
        (lambda x: x[:, :3] * torch.sigmoid(x[:, [2, 1, 0]]), ["sigmoid"]),  # a gate of other elements
        (lambda x: torch.einsum("ni,nj->ni", x, torch.sigmoid(x)), ["sigmoid"]),
        (lambda x: (x[:, None] * torch.sigmoid(x).unsqueeze(1).expand(-1, 3, -1))[:, 0], ["sigmoid"]),
        (lambda x: torch.relu(x) * x.mean(1, keepdim=True), ["relu"]),
        (torch.erf, []),
        (lambda x: torch.relu(x[:, np.array([2, 1, 0])]), ["relu"]),  # an index that is compared element by element
    ],
)
def test_what_is_no_composite_stays_as_it_was(function: Function, kinds: list[str]) -> None:
    assert [layer.kind for layer in Network(Written(function), (2,)).layers] == kinds


def step(value: int, *operands: int, curve: bool = False, mixes: bool = False) -> Step:
    return Step(value=value, operands=operands, is_elementwise=not mixes, is_curve=curve)


def test_the_largest_composite_is_found() -> None:
    # 1 = x; 2 = sigmoid(1); 3 = 1 * 2; 4 = 1 + 3; 5 = a map of 4; 6 = relu(5)
    steps = [step(1, 0, mixes=True), step(2, 1, curve=True), step(3, 1, 2), step(4, 1, 3), step(5, 4, mixes=True)]
    found = Composite(start=1, first=2, end=4, curves=(2,), is_closed=True)
    assert find_composites([*steps, step(6, 5, curve=True)]) == [found]


def test_a_gated_composite_ends_where_its_ways_meet() -> None:
    # 1 = x; 2 = gate; 3 = 1 * 2; 4 = tanh(1); 5 = 3 * 4; 6 = a skip; 7 = 5 + 6
    steps = [step(1, 0, mixes=True), step(2, 0, mixes=True), step(3, 1, 2), step(4, 1, curve=True), step(5, 3, 4)]
    found = Composite(start=1, first=3, end=5, curves=(4,), is_closed=True)
    assert find_composites([*steps, step(6, 0, mixes=True), step(7, 5, 6)]) == [found]


def test_two_ways_without_a_non_linearity_are_no_composite() -> None:
    assert find_composites([step(1, 0, mixes=True), step(2, 1), step(3, 1, 2), step(4, 3, curve=True)]) == []
