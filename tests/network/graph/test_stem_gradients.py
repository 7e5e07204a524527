# SPDX-License-Identifier: MIT
import pytest
import torch
from torch import Tensor, fx, nn

from egbas.network.graph.stem_gradients import RecordedStem

RNG = torch.Generator().manual_seed(0)


class Normalised(nn.Module):
    """Divides by the length, as PGGAN does."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + 1e-8)


def stem() -> nn.Module:
    norm = nn.BatchNorm2d(6)
    norm.running_mean, norm.running_var = torch.randn(6), torch.rand(6) + 0.5
    return nn.Sequential(
        Normalised(),
        nn.Linear(5, 6 * 3 * 2),
        nn.Unflatten(1, (6, 3, 2)),
        norm,
        nn.ReLU(),
        nn.ConvTranspose2d(6, 4, 3, stride=2, padding=1),
        nn.LeakyReLU(),
        nn.Conv2d(4, 3, 3, padding=1),
        Normalised(),
    )


@pytest.mark.parametrize("rows", [[0], [1, 4, 5], list(range(6))])
def test_value_and_gradients_of_some_rows_are_those_of_autograd(rows: list[int]) -> None:
    graph = fx.symbolic_trace(stem().eval().requires_grad_(False))
    z = torch.randn(6, 5, generator=RNG)
    recorded = RecordedStem.of(graph, z)
    assert recorded is not None
    leaf = z.clone().requires_grad_()
    value = graph(leaf)
    weights = torch.randn(value.shape, generator=RNG)
    (expected,) = torch.autograd.grad(value, leaf, weights)
    record = recorded.record(z)
    torch.testing.assert_close(record[recorded.last], value.detach(), rtol=1e-4, atol=1e-5)
    pulled = recorded.pull(record, torch.tensor(rows), weights[rows])
    torch.testing.assert_close(pulled, expected[rows], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("side", [6, 7])
def test_pools_of_two_by_two_are_taken_by_halves(side: int) -> None:
    layers = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(3, 2, 3), nn.ReLU())
    graph = fx.symbolic_trace(layers.eval().requires_grad_(False))
    z = torch.randn(5, 1, side, side, generator=RNG)
    recorded = RecordedStem.of(graph, z)
    assert recorded is not None
    modules = [type(module).__name__ for block in recorded.blocks for module in block.run.__self__.modules()]
    assert "_Halves" in modules and "MaxPool2d" not in modules
    leaf, weights, rows = z.clone().requires_grad_(), torch.randn(5, 2, 1, 1, generator=RNG), torch.tensor([0, 3])
    value = graph(leaf)
    (expected,) = torch.autograd.grad(value, leaf, weights)
    record = recorded.record(z)
    torch.testing.assert_close(record[recorded.last], value.detach())
    torch.testing.assert_close(recorded.pull(record, rows, weights[rows]), expected[rows])


def test_other_pools_stay_as_they_are() -> None:
    pool = nn.MaxPool2d(3, stride=2, padding=1)
    graph = fx.symbolic_trace(
        nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), pool, nn.Conv2d(3, 2, 3)).requires_grad_(False)
    )
    z = torch.randn(4, 1, 9, 9, generator=RNG)
    recorded = RecordedStem.of(graph.eval(), z)
    assert recorded is not None
    torch.testing.assert_close(recorded.record(z)[recorded.last], graph(z))


class SizeOfBatch(nn.Module):
    """Cannot be computed for some rows of a batch."""

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], -1).relu() * x.shape[0]


def test_a_stem_that_mixes_in_the_batch_is_left_to_autograd() -> None:
    assert RecordedStem.of(fx.symbolic_trace(SizeOfBatch()), torch.randn(4, 3, generator=RNG)) is None
