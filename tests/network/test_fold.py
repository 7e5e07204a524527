# SPDX-License-Identifier: MIT
"""Folded stems against the stems themselves: every kind of upsampling and convolution, and what must be left alone."""

import pytest
import torch
from torch import Tensor, fx, nn

from egbas.network import Network
from egbas.network.fold import fold
from egbas.zoo.models import load_model

Size = int | tuple[int, int]


def folded(module: nn.Module, *shape: int) -> tuple[fx.GraphModule, Tensor, Tensor]:
    """The folded graph, what it gives for five inputs, and what the module itself gives."""
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    x = torch.randn(5, *shape, generator=torch.Generator().manual_seed(0))
    expected = module(x)
    graph = fx.symbolic_trace(module)
    return graph, fold(graph, x[:1])(x), expected


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
            self.up, self.conv = nn.Upsample(scale_factor=2), nn.Conv2d(3, 3, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            y = self.up(x)
            return self.conv(y) + y

    graph, got, expected = folded(Skip(), 3, 4, 4)
    assert set(kinds(graph)) == {nn.Upsample, nn.ConvTranspose2d}
    torch.testing.assert_close(got, expected, rtol=0, atol=2e-6 * float(expected.abs().max()))


def test_the_stem_of_a_pggan() -> None:
    model = load_model("pggan-mnist")
    stages = Network(model.generator, (64,)).cut(6).stages()
    assert stages is not None
    z = model.latent.sample(9, rng=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = stages.stem(z)
        got = fold(stages.stem, z[:1])(z)
    assert kinds(stages.stem).count(nn.ConvTranspose2d) == 2
    assert nn.Upsample not in kinds(stages.stem)
    torch.testing.assert_close(got, expected, rtol=0, atol=2e-6 * float(expected.abs().max()))
