# SPDX-License-Identifier: MIT
"""Folded stems against the stems themselves: every kind of upsampling and convolution, and what must be left alone."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, fx, nn

from egbas.network import Network
from egbas.network.graph.fold import fold
from egbas.zoo.models import load_model

Size = int | tuple[int, int]


def folded(module: nn.Module, *shape: int) -> tuple[fx.GraphModule, Tensor, Tensor]:
    """The folded graph, what it gives for five inputs, and what the module itself gives."""
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    x = torch.randn(5, *shape, generator=torch.Generator().manual_seed(0))
    expected = module(x)
    graph = fx.symbolic_trace(module)
    smaller = fold(graph, x[:2], expected=expected[:2]) or graph
    return smaller, smaller(x), expected


def kinds(graph: fx.GraphModule) -> list[type[nn.Module]]:
    return [type(graph.get_submodule(str(node.target))) for node in graph.graph.nodes if node.op == "call_module"]


@pytest.mark.parametrize(
    ("kernel", "padding", "scale"),
    [(3, 1, 2), (3, 0, 2), (3, 2, 2), (5, 2, 2), (2, 1, 3), ((3, 2), (1, 0), 2), (4, 1, 4)],
)
@pytest.mark.parametrize("bias", [True, False])
def test_upsampling_and_convolution(kernel: Size, padding: Size, scale: int, bias: bool) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Upsample(scale_factor=scale), nn.Conv2d(3, 4, kernel, padding=padding, bias=bias))
    graph, got, expected = folded(net, 3, 5, 6)
    assert kinds(graph) == [nn.ConvTranspose2d]
    torch.testing.assert_close(got, expected, rtol=0, atol=2e-6 * float(expected.abs().max()))


@pytest.mark.parametrize(
    "first",
    [
        nn.Conv2d(6, 4, 4, padding=3),
        nn.Conv2d(6, 4, 4, padding=3, bias=False),
        nn.Conv2d(6, 4, 3, padding=2, stride=2),
        nn.Conv2d(6, 4, 3, padding=1, groups=2),
        nn.ConvTranspose2d(6, 4, 4),
        nn.ConvTranspose2d(6, 4, (3, 2), stride=2, padding=1, output_padding=1),
    ],
)
def test_a_convolution_of_one_pixel(first: nn.Module) -> None:
    graph, got, expected = folded(nn.Sequential(nn.Unflatten(1, (6, 1, 1)), first, nn.ReLU()), 6)
    assert type(first) not in kinds(graph)
    torch.testing.assert_close(got, expected, rtol=0, atol=2e-6 * float(expected.abs().max()))


@pytest.mark.parametrize(
    "net",
    [
        nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(3, 4, 3, padding=1)),
        nn.Sequential(nn.Upsample(size=(10, 12)), nn.Conv2d(3, 4, 3, padding=1)),
        nn.Sequential(nn.Upsample(scale_factor=1.5), nn.Conv2d(3, 4, 3, padding=1)),
        nn.Sequential(nn.Upsample(scale_factor=(2, 3)), nn.Conv2d(3, 4, 3, padding=1)),
        nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(3, 4, 1)),
        nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(3, 4, 3, padding=4)),
        nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(3, 4, 3, padding=1, stride=2)),
        nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(3, 4, 3, padding=2, dilation=2)),
        nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(3, 3, 3, padding=1, groups=3)),
        nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect")),
        nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(3, 4, 3, padding="same")),
        nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Upsample(scale_factor=2)),
    ],
)
def test_what_is_left_as_it_is(net: nn.Sequential) -> None:
    before = [type(module) for module in net]
    graph, got, expected = folded(net, 3, 5, 6)
    assert kinds(graph) == before
    assert torch.equal(got, expected)


def test_upsampling_by_a_function() -> None:
    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 5, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            x = self.first(nn.functional.interpolate(x, scale_factor=2))
            return self.second(nn.functional.interpolate(x, None, (2.0, 2.0), "nearest"))

    graph, got, expected = folded(Functional(), 3, 4, 4)
    assert kinds(graph) == [nn.ConvTranspose2d] * 2
    torch.testing.assert_close(got, expected, rtol=0, atol=2e-6 * float(expected.abs().max()))


def test_an_upsampling_that_others_read_stays_for_them() -> None:
    class Skip(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up, self.conv = nn.Upsample(scale_factor=2), nn.Conv2d(4, 4, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            y = self.up(x)
            return self.conv(y) + y

    graph, got, expected = folded(Skip(), 4, 4, 4)
    assert set(kinds(graph)) == {nn.Upsample, nn.ConvTranspose2d}
    torch.testing.assert_close(got, expected, rtol=0, atol=2e-6 * float(expected.abs().max()))


class InPlace(nn.Module):
    """Changes the upsampled tensor in place between the upsampling and the convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.conv, self.act = nn.Upsample(scale_factor=2), nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.up(x)
        y.mul_(3.0)
        self.act(y)
        return self.conv(y)


class InPlaceBelow(InPlace):
    """Changes what was upsampled, after that."""

    def forward(self, x: Tensor) -> Tensor:
        x = x + 1
        y = self.up(x)
        x.mul_(3.0)
        return self.conv(y)


class Keyword(InPlace):
    """Names its argument."""

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.up(input=x))


@pytest.mark.parametrize("make", [InPlace, InPlaceBelow, Keyword])
def test_what_would_be_another_function_is_not_folded(make: Callable[[], nn.Module]) -> None:
    graph, got, expected = folded(make(), 3, 4, 4)
    assert nn.ConvTranspose2d not in kinds(graph)
    assert torch.equal(got, expected)


def test_operations_in_place_whose_results_nobody_takes_stay() -> None:
    class Unassigned(InPlace):
        def forward(self, x: Tensor) -> Tensor:
            y = self.conv(self.up(x))
            self.act(y)
            return y + 1

    graph, got, expected = folded(Unassigned(), 3, 4, 4)
    assert nn.ConvTranspose2d in kinds(graph)
    torch.testing.assert_close(got, expected, rtol=0, atol=2e-6 * float(expected.abs().max()))


@pytest.mark.parametrize("number", [0, 1, 2])
def test_modules_with_hooks_stay(number: int) -> None:
    net = nn.Sequential(
        nn.Upsample(scale_factor=2), nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 3, 3)
    )
    with_statistics(net)[number].register_forward_hook(lambda module, inputs, output: output.clamp(-9, 9))  # idle here
    graph, got, expected = folded(net, 3, 4, 4)
    assert type(net[number]) in kinds(graph)
    torch.testing.assert_close(got, expected, rtol=0, atol=4e-6 * float(expected.abs().max()))


def test_what_cannot_be_folded_is_none() -> None:
    graph, x = fx.symbolic_trace(nn.Sequential(nn.Linear(3, 3))), torch.ones(2, 3)
    assert fold(graph, x, expected=graph(x)) is not None
    assert fold(graph, x, expected=graph(x) + 1) is None
    assert fold(graph, torch.ones(2, 4), expected=graph(x)) is None  # which raises


def with_statistics(net: nn.Module) -> nn.Module:
    """Batch norms that have seen some data."""
    rng = torch.Generator().manual_seed(0)
    for norm in net.modules():
        if isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None and norm.running_var is not None:
            norm.running_mean.copy_(torch.randn(norm.num_features, generator=rng))
            norm.running_var.copy_(torch.rand(norm.num_features, generator=rng) + 0.1)
    return net.eval()


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(4, 6, 3, padding=1),
        nn.Conv2d(4, 6, 3, stride=2, bias=False),
        nn.Conv2d(4, 6, 3, groups=2),
        nn.ConvTranspose2d(4, 6, 4, stride=2, padding=1, bias=False),
        nn.ConvTranspose2d(4, 6, 3, stride=2, output_padding=1),
    ],
)
def test_batch_normalisation_is_part_of_the_weights(conv: nn.Module, affine: bool) -> None:
    net = with_statistics(nn.Sequential(conv, nn.BatchNorm2d(6, affine=affine), nn.ReLU()))
    graph, got, expected = folded(net, 4, 5, 6)
    assert kinds(graph) == [type(conv), nn.ReLU]
    torch.testing.assert_close(got, expected, rtol=0, atol=4e-6 * float(expected.abs().max()))


def test_batch_normalisation_that_stays() -> None:
    class Read(nn.Module):
        """The convolution's own output is read, too."""

        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4)

        def forward(self, x: Tensor) -> Tensor:
            y = self.conv(x)
            return self.norm(y) + y

    grouped = nn.Sequential(nn.ConvTranspose2d(4, 4, 3, groups=2), nn.BatchNorm2d(4))
    of_the_batch = nn.Sequential(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4, track_running_stats=False))
    for net in (Read(), grouped, of_the_batch):
        graph, got, expected = folded(with_statistics(net), 4, 5, 6)
        assert nn.BatchNorm2d in kinds(graph)
        assert torch.equal(got, expected)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (nn.Conv2d, {"kernel_size": 3, "padding": 1}),
        (nn.Conv2d, {"kernel_size": (5, 2), "padding": (4, 0)}),
        (nn.ConvTranspose2d, {"kernel_size": 4, "stride": 2, "padding": 1}),
        (nn.ConvTranspose2d, {"kernel_size": (2, 3), "stride": (3, 1)}),
    ],
)
def test_a_convolution_to_few_channels(
    kind: type[nn.Module], options: dict[str, Size], channels: int, bias: bool
) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(kind(5, channels, bias=bias, **options), nn.Tanh()).double()
    for parameter in net.parameters():
        parameter.requires_grad_(False)
    x = torch.randn(4, 5, 6, 7, dtype=torch.float64, requires_grad=True)
    graph = fold(fx.symbolic_trace(net), x.detach()[:2], expected=net(x.detach()[:2]))
    assert graph is not None
    assert kind not in kinds(graph)
    got, expected = graph(x), net(x)
    torch.testing.assert_close(got, expected)
    weight = torch.randn(expected.shape, dtype=torch.float64)
    slopes = [torch.autograd.grad((image * weight).sum(), x)[0] for image in (got, expected)]
    torch.testing.assert_close(*slopes)


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(4, 3, 1),
        nn.Conv2d(4, 4, 3),
        nn.Conv2d(4, 2, 3, stride=2),
        nn.Conv2d(4, 2, 3, groups=2),
        nn.Conv2d(4, 2, 3, dilation=2),
        nn.Conv2d(4, 2, 3, padding=3),
        nn.Conv2d(4, 2, 3, padding="same"),
        nn.Conv2d(4, 2, 3, padding=1, padding_mode="circular"),
        nn.ConvTranspose2d(4, 2, 3, stride=2, output_padding=1),
    ],
)
def test_other_convolutions_stay(conv: nn.Module) -> None:
    graph, got, expected = folded(nn.Sequential(conv), 4, 5, 6)
    assert kinds(graph) == [type(conv)]
    assert torch.equal(got, expected)


def test_no_random_number_is_drawn() -> None:
    net = nn.Sequential(nn.Unflatten(1, (6, 1, 1)), nn.Conv2d(6, 4, 4, padding=3), nn.Upsample(scale_factor=2))
    net = nn.Sequential(*net, nn.Conv2d(4, 4, 3, padding=1)).requires_grad_(False)
    graph, state = fx.symbolic_trace(net), torch.get_rng_state()
    assert fold(graph, torch.ones(2, 6), expected=net(torch.ones(2, 6))) is not None
    assert torch.equal(torch.get_rng_state(), state)


def test_the_stem_of_a_pggan() -> None:
    model = load_model("pggan-mnist")
    head = Network(model.generator, (64,)).split(6).last_linear()
    assert head is not None
    z = model.latent.sample(9, rng=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = head.stem(z)
        stem = fold(head.stem, z[:2], expected=expected[:2])
        assert stem is not None
        got = stem(z)
    assert kinds(stem).count(nn.ConvTranspose2d) == 2
    assert nn.Upsample not in kinds(stem)
    assert nn.Upsample in kinds(head.stem)
    torch.testing.assert_close(got, expected, rtol=0, atol=2e-6 * float(expected.abs().max()))
