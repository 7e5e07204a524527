# SPDX-License-Identifier: MIT
"""Tails: images known by hand, two routes to one answer, and when which route is taken."""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from egbas.errors import NetworkError, ShapeError
from egbas.network import Network, Tail
from egbas.network.graph.program import TailProgram
from egbas.region import Precisions
from egbas.zoo.mnist_dcgan import DcganGenerator
from egbas.zoo.models import load_model
from tests import problems

SECOND = torch.tensor(problems.SECOND)
QUERY = problems.QUERY


def leaky(x: Tensor) -> Tensor:
    return nn.functional.leaky_relu(x, 0.5)


# Problem, layer, its a0, the image of outputs a (n, units) for z0 = QUERY by hand, and the route.
CASES: list[tuple[type[nn.Module], int | str, list[float], Callable[[Tensor], Tensor], str]] = [
    (problems.Plain, 1, [3.0, 0.0, 2.0], lambda a: a @ SECOND.T, "graph"),
    (problems.Plain, "0", [3.0, -1.0, 2.0], lambda a: a.relu() @ SECOND.T, "graph"),
    (problems.Plain, "2", [5.0, -1.0], lambda a: a, "graph"),
    (problems.Nested, 1, [3.0, 0.0, 2.0], lambda a: a @ SECOND.T, "graph"),
    (problems.Nested, "body.0", [3.0, 0.0, 2.0], lambda a: a @ SECOND.T, "graph"),
    (problems.Functional, 1, [3.0, 0.0, 2.0], lambda a: a @ SECOND.T, "graph"),
    (problems.InPlaceModule, 1, [3.0, 0.0, 2.0], lambda a: a @ SECOND.T, "graph"),
    (problems.InPlaceModule, "0", [3.0, -1.0, 2.0], lambda a: a.relu() @ SECOND.T, "graph"),
    (problems.InPlaceStatement, 1, [3.0, 0.0, 2.0], lambda a: a @ SECOND.T, "graph"),
    (problems.InPlaceView, 1, [3.0, 0.0, 2.0], lambda a: a @ SECOND.T, "hooks"),
    (problems.InPlaceAbove, 1, [3.0, 0.0, 2.0], lambda a: 2 * a @ SECOND.T + QUERY + 1, "graph"),
    (problems.SharedActivation, 1, [3.0, 0.0, 2.0], lambda a: ((2 - a).relu() - 1).relu(), "graph"),
    (problems.SharedActivation, 2, [0.0, 2.0, 0.0], lambda a: (a - 1).relu(), "graph"),
    (problems.SharedActivation, "act#3", [0.0, 1.0, 0.0], lambda a: a, "graph"),
    (problems.SharedBlock, "block.1#1", [-1.0], lambda a: leaky(1 - a), "graph"),
    (problems.SharedBlock, "block#1", [-1.0], lambda a: leaky(1 - a), "graph"),
    (problems.SharedBlock, "block.0#2", [2.0], leaky, "graph"),
    (problems.ResidualBlock, 1, [3.0, 0.0, 2.0], lambda a: a @ SECOND.T + QUERY, "graph"),
    (
        problems.Concatenation, "relu()", [3.0, 0.0, 2.0],
        lambda a: torch.cat([a @ SECOND.T, QUERY.tanh().expand(len(a), 2)], 1), "graph",
    ),
    (problems.ScaledNetwork, 1, [-2.5], lambda a: 3 * a, "graph"),
    (problems.ScaledNetwork, "wrapped.conv", [3.0], lambda a: 3 * leaky(1 - 2 * a), "graph"),
    (problems.MutatingNetwork, "wrapper.inner", [3.0, -1.0, 2.0], lambda a: -a @ SECOND.T, "graph"),
    (problems.MutatingNetwork, "wrapper", [-3.0, 1.0, -2.0], lambda a: a @ SECOND.T, "graph"),
    (problems.BatchSizes, 1, [3.0, 0.0, 2.0], lambda a: (a + 1.5) @ SECOND.T, "graph"),
    (problems.Branching, 1, [3.0, 0.0, 2.0], lambda a: a @ SECOND.T, "hooks"),
    (problems.Branching, "first", [3.0, -1.0, 2.0], lambda a: a.relu() @ SECOND.T, "hooks"),
    (problems.Swallowing, 1, [3.0, 0.0, 2.0], lambda a: a @ SECOND.T, "graph"),
    (problems.Dictionary, 1, [3.0, 0.0, 2.0], lambda a: a @ SECOND.T, "graph"),
    (problems.Stateful, 1, [3.0, 0.0, 2.0], lambda a: a @ SECOND.T, "graph"),
    (
        problems.SwishNetwork, "1", [3.0, -1.0, 2.0],
        lambda a: a @ SECOND.T, "graph",
    ),
]  # fmt: skip


def make(problem: type[nn.Module], layer: int | str) -> Tail:
    return Network(problem(), (2,)).split(layer).at(QUERY)


@pytest.mark.parametrize(
    ("problem", "layer", "a0", "by_hand", "route"),
    CASES,
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_tails_by_hand(
    problem: type[nn.Module],
    layer: int | str,
    a0: list[float],
    by_hand: Callable[[Tensor], Tensor],
    route: str,
) -> None:
    generator = problem()
    network = Network(generator, (2,))
    split = network.split(layer)
    tail = split.at(QUERY)
    assert tail.route == route
    expected_a = problems.Swish()(torch.tensor(a0)) if problem is problems.SwishNetwork else torch.tensor(a0)
    torch.testing.assert_close(tail.a, expected_a)
    assert torch.equal(tail.h, split.head(QUERY[None])[0])
    torch.testing.assert_close(tail.x, network.generate(QUERY[None])[0])
    torch.testing.assert_close(tail(tail.a[None])[0], tail.x)

    rng = torch.Generator().manual_seed(1)
    for n in (1, 2, 5, 2):
        a = torch.randn(n, len(a0), generator=rng).requires_grad_()
        before = a.detach().clone()
        x, expected = tail(a), by_hand(a)
        torch.testing.assert_close(x, expected)
        weights = torch.randn(x.shape, generator=rng)
        gradient, expected_gradient = (torch.autograd.grad((y * weights).sum(), a)[0] for y in (x, expected))
        torch.testing.assert_close(gradient, expected_gradient)
        assert torch.equal(a.detach(), before)
    assert all(parameter.grad is None and parameter.requires_grad for parameter in generator.parameters())


def test_both_routes_of_the_dcgan_agree() -> None:
    torch.manual_seed(0)
    generator = DcganGenerator(2, (8, 4, 4, 2)).eval()
    traced = Network(generator, (2,))

    class Untraceable(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = generator

        def forward(self, z: Tensor) -> Tensor:
            return self.inner(z) if float(z.detach().abs().sum()) >= 0 else z

    hooked = Network(Untraceable().eval(), (2,))
    z0 = torch.randn(2)
    for number in range(1, 6):
        fast, slow = traced.split(number).at(z0), hooked.split(number).at(z0)
        assert (fast.route, slow.route) == ("graph", "hooks")
        a = (fast.a * (torch.rand(4, len(fast.a)) < 0.5)).requires_grad_()
        torch.testing.assert_close(fast(a), slow(a))
        gradients = [torch.autograd.grad(tail(a).square().sum(), a)[0] for tail in (fast, slow)]
        torch.testing.assert_close(gradients[0], gradients[1])


@pytest.mark.parametrize(("name", "number"), [("dcgan-mnist", 1), ("dcgan-mnist", 4), ("pggan-mnist", 3)])
def test_the_tail_does_less_work_for_the_same_images_and_gradients(name: str, number: int) -> None:
    model = load_model(name)
    split = Network(model.generator.double(), model.latent.shape).split(number)
    z0 = model.latent.sample(1, rng=torch.Generator().manual_seed(0))[0]
    tail, program = split.at(z0), split._program
    assert program is not None and isinstance(tail.run, TailProgram)
    folded = tail.run.program.graph
    assert len(folded.graph.nodes) <= len(program.graph.graph.nodes)
    assert any(str(node.target).startswith("folded_") for node in folded.graph.nodes)
    weights = [module.weight for module in program.graph.modules() if isinstance(module, nn.ConvTranspose2d)]
    assert all(weight.is_contiguous() for weight in weights)  # computed as the network is, up to the last bit
    as_it_is = replace(tail, run=TailProgram(program, tail.run.latents, tail.layer.shape))
    a = (tail.a * (torch.rand(3, len(tail.a), generator=torch.Generator().manual_seed(1)) < 0.5)).requires_grad_()
    images = [run(a) for run in (tail, as_it_is)]
    torch.testing.assert_close(*images)
    slopes = [torch.autograd.grad(image.square().sum(), a)[0] for image in images]
    torch.testing.assert_close(*slopes, rtol=1e-6, atol=1e-9)


def test_a_tail_that_cannot_be_folded_is_cut_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    class Wrong(nn.Module):
        def forward(self, a: Tensor) -> Tensor:
            return 9 * a[:, :2]

    wrong = fx.symbolic_trace(Wrong())
    for folded in (wrong, None):
        monkeypatch.setattr("egbas.network.split.fold", lambda *inputs, expected, folded=folded: folded)
        tail = make(problems.Plain, 1)
        assert tail.route == "graph"
        assert torch.equal(tail(tail.a[None])[0], tail.x)


@pytest.mark.parametrize("normalised", [nn.utils.spectral_norm, nn.utils.weight_norm])
@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
def test_weights_that_hooks_compute(normalised: Callable[[nn.Module], nn.Module]) -> None:
    torch.manual_seed(0)
    generator = nn.Sequential(
        nn.Unflatten(1, (2, 1, 1)),
        normalised(nn.ConvTranspose2d(2, 6, 4)),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        normalised(nn.ConvTranspose2d(6, 5, 4, 2, 1)),
        nn.BatchNorm2d(5),
        nn.ReLU(),
        normalised(nn.Conv2d(5, 1, 3)),
        nn.Tanh(),
    ).eval()
    for number in (1, 2):
        split = Network(generator, (2,)).split(number)
        tail = split.at(QUERY)
        assert tail.route == "graph"
        torch.testing.assert_close(tail(tail.a[None]), generator(QUERY[None]).detach(), rtol=0, atol=1e-4)
        assert Precisions.of(Network(generator, (2,)), split.layer).linear is not None


def test_a_convolution_without_a_batch_is_not_folded() -> None:
    class Squeezed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.conv = nn.Linear(2, 64), nn.Conv2d(4, 1, 3)

        def forward(self, z: Tensor) -> Tensor:
            y = self.conv(torch.relu(self.first(z)).view(-1, 4, 4, 4).squeeze())
            return y.view(z.shape[0], 1, 2, 2)

    torch.manual_seed(0)
    tail = Network(Squeezed().eval(), (2,)).split(1).at(QUERY)
    torch.testing.assert_close(tail(tail.a[None])[0], tail.x)


def test_the_cut_tail_never_computes_the_head_again() -> None:
    generator, calls = problems.ResidualBlock(), []
    generator.first.register_forward_hook(lambda *_: calls.append(1))
    tail = Network(generator, (2,)).split(1).at(QUERY)
    tail(torch.ones(7, 3))
    calls.clear()
    for _ in range(3):
        tail(torch.ones(7, 3))
    assert calls == []


def test_a_self_check_sends_a_wrong_graph_to_the_hooks() -> None:
    class BurnedIn(problems.TwoMaps):
        """Sizes asked of a plain int, which tracing sees once: a graph of it holds for one batch size."""

        def forward(self, z: Tensor) -> Tensor:
            h = torch.relu(self.first(z))
            rows = len(h) if isinstance(h, Tensor) else 1
            return self.second(h.view(rows, 3))

    assert make(BurnedIn, 1).route == "hooks"


def test_the_graph_is_checked_once_for_all_queries() -> None:
    generator = problems.Plain()
    split, passes = Network(generator, (2,)).split(1), []
    split._forward.replica.module.register_forward_hook(lambda *_: passes.append(1))
    first = split.at(QUERY)
    after_one = len(passes)
    second = split.at(2 * QUERY)
    assert (first.route, second.route) == ("graph", "graph")
    assert len(passes) == after_one + 1 < 2 * after_one  # the query's own image, no more
    assert torch.equal(second.x, generator(2 * QUERY[None])[0].detach())


def test_a_copied_cut_computes_the_same() -> None:
    split = Network(problems.Plain(), (2,)).split(1)
    copied = copy.deepcopy(split)
    assert torch.equal(copied.head(QUERY[None]), split.head(QUERY[None]))
    assert torch.equal(copied.at(QUERY).x, split.at(QUERY).x)


def test_a_network_that_cannot_be_copied_is_cut_by_hooks() -> None:
    generator = problems.Stateful(lock=True)
    tail = Network(generator, (2,)).split(1).at(QUERY)
    assert tail.route == "hooks"
    a = torch.ones(2, 3, requires_grad=True)
    tail(a).sum().backward()
    assert a.grad is not None and a.grad.tolist() == [[2.0, 1.0, -1.0]] * 2
    assert generator.n_passes.item() == 0
    assert all(parameter.grad is None and parameter.requires_grad for parameter in generator.parameters())


def test_a_tail_without_gradient_is_refused() -> None:
    class NoGrad(problems.Plain):
        @torch.no_grad()
        def forward(self, z: Tensor) -> Tensor:
            return super().forward(z)

    class Auxiliary(problems.TwoMaps):
        def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
            h = self.first(z)
            return self.second(h), torch.tanh(h)

    for problem in (NoGrad, Auxiliary):
        with pytest.raises(NetworkError, match="no gradient gets from the layer"):
            make(problem, 1)


@pytest.mark.parametrize("shape", [(3,), (2, 4), (1, 3, 1)])
def test_outputs_of_the_wrong_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"expected \(n, 3\)"):
        make(problems.Plain, 1)(torch.zeros(shape))


def test_a_change_of_the_returned_image_does_not_reach_the_tail() -> None:
    tail = make(problems.ResidualBlock, 1)
    tail(torch.zeros(2, 3)).zero_()
    assert tail(torch.zeros(2, 3)).tolist() == [[1.0, 2.0]] * 2


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_precisions(dtype: torch.dtype) -> None:
    generator = problems.Plain().to(dtype)
    tail = Network(generator, (2,)).split(1).at(QUERY)
    assert (tail.route, tail.x.dtype, tail.x.tolist()) == ("graph", dtype, problems.QUERY_X.tolist())


class Overwriting(problems.TwoMaps):
    """What is above the layer, or below it, overwrites what a backward pass needs."""

    def __init__(self, work: Callable[[Tensor], Tensor], *, traceable: bool) -> None:
        super().__init__()
        self.work = work
        self.traceable = traceable

    def forward(self, z: Tensor) -> Tensor:
        if not self.traceable and len(z) < 0:  # torch.fx has no len
            return z
        h = self.work(self.first(z))
        return self.second(self.work(torch.relu(h)))


def plus(h: Tensor) -> Tensor:
    y = torch.relu(h)
    y += 1
    return y


def in_place(h: Tensor) -> Tensor:
    y = (h * 1).relu_()
    y += h
    return y


OVERWRITING = [plus, in_place, lambda h: torch.sigmoid(h).mul_(2), lambda h: torch.exp(h / 4).add_(1)]


@pytest.mark.parametrize("traceable", [True, False])
@pytest.mark.parametrize("work", OVERWRITING)
def test_what_a_backward_pass_needs_may_be_overwritten(work: Callable[[Tensor], Tensor], traceable: bool) -> None:
    network = Network(Overwriting(work, traceable=traceable), (2,))
    split = network.split(min(2, len(network.layers)))
    tail = split.at(problems.QUERY)
    assert tail.route == ("graph" if traceable else "hooks")
    a = (tail.a[None].double() + 0.3).requires_grad_()  # off the kinks
    exact = split.in_float64().at(problems.QUERY.double())
    assert torch.autograd.gradcheck(exact, a)
    z = problems.QUERY[None].double().requires_grad_()
    assert torch.autograd.gradcheck(split.in_float64().differentiable, z)


class NoBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clamp(-9, 9)


class Above(problems.TwoMaps):
    """What is done above the first layer, and below the second."""

    def __init__(self, work: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.work = work

    def forward(self, z: Tensor) -> Tensor:
        return torch.relu(self.second(self.work(F.relu(self.first(z)))))


@pytest.mark.filterwarnings("ignore")  # checkpoint's own
@pytest.mark.parametrize(
    "work",
    [NoBackward.apply, lambda h: checkpoint(torch.sin, h, use_reentrant=True)],
    ids=["a function without backward", "checkpoint"],
)
def test_a_network_without_a_backward_pass_is_refused_before_any_work(work: Callable[[Tensor], Tensor]) -> None:
    generator = Above(work)
    network = Network(generator, (2,))
    with pytest.raises(NetworkError, match=r"backward pass from the image to the layer fails .* choose a layer above"):
        network.split(1).at(problems.QUERY)
    network.split(2).at(torch.tensor([1.0, 0.5]))  # above it


def test_a_head_without_a_backward_pass_says_so() -> None:
    split = Network(Above(NoBackward.apply), (2,)).split(2)
    with pytest.raises(NetworkError, match=r"to the latent fails .*--samples 0"):
        split.differentiable(problems.QUERY[None].requires_grad_())
