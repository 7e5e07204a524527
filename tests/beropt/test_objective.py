# SPDX-License-Identifier: MIT
"""The loss of masks: distances by hand, and the written-out gradient against autograd's."""

import dataclasses

import pytest
import torch
from torch import Tensor, nn

from egbas.beropt import BerOptConfig
from egbas.beropt.objective import Objective
from egbas.errors import NetworkError
from egbas.network import Network, Tail
from egbas.reproduce.brute_force import random_network
from tests.problems import HALVES_QUERY, HalvesNet, RedundantUnit, linear

CONFIG = BerOptConfig(masks=3)


def tail_of(generator: nn.Module, z0: list[float]) -> Tail:
    return Network(generator.eval(), (len(z0),)).split(1).at(torch.tensor(z0))


def test_distance_is_that_of_the_masked_layer() -> None:
    tail = tail_of(random_network(seed=3), [0.5, -1.0, 0.3, 0.8])
    objective = Objective(tail, CONFIG)
    masks = torch.rand(5, objective.n_candidates, generator=torch.Generator().manual_seed(1))
    outputs = torch.zeros(5, len(tail.a))
    outputs[:, objective.candidates] = masks * tail.a[objective.candidates]
    expected = (tail(outputs) - tail.x).flatten(1).norm(dim=1) / tail.x.norm()
    torch.testing.assert_close(objective.distance(masks), expected)


@pytest.mark.parametrize("values_at_once", [1, 10_000])
def test_the_gradient_is_autograds(monkeypatch: pytest.MonkeyPatch, values_at_once: int) -> None:
    monkeypatch.setattr("egbas.beropt.objective._VALUES_AT_ONCE", values_at_once)  # one mask a part, or all
    tail = tail_of(random_network(seed=3).double(), [0.5, -1.0, 0.3, 0.8])
    tail = dataclasses.replace(tail, a=tail.a.double())
    objective, temperature = Objective(tail, CONFIG), 0.4
    rng = torch.Generator().manual_seed(1)
    logits = torch.randn(objective.n_candidates, generator=rng, dtype=torch.float64, requires_grad=True)
    noise = torch.randn(3, objective.n_candidates, generator=rng, dtype=torch.float64)
    masks = ((logits + noise) / temperature).sigmoid()
    expected = objective.distance(masks).mean()
    got, slope = objective.distance_and_gradient(masks.detach(), temperature)
    assert got.item() == pytest.approx(expected.item(), rel=1e-12)
    torch.testing.assert_close(slope, torch.autograd.grad(expected, logits)[0], rtol=1e-10, atol=1e-14)


def test_units_that_cannot_change_the_image_are_no_candidates() -> None:
    net = nn.Sequential(linear([[1.0, 0.0], [-1.0, 0.0], [0.0, 0.0]]), nn.Sigmoid(), linear([[1.0] * 3]))
    tail = tail_of(net, [1.0, 1.0])
    assert Objective(tail, CONFIG).candidates.tolist() == [0, 1]  # the third lies on its own boundary
    off = nn.Sequential(linear([[1.0, 0.0], [-1.0, 0.0]]), nn.ReLU(), linear([[1.0] * 2], [1.0]))
    assert Objective(tail_of(off, [1.0, 1.0]), CONFIG).candidates.tolist() == [0]


def test_an_image_whose_norm_is_no_number_is_refused() -> None:
    huge = nn.Sequential(linear([[1.0, 0.0]]), nn.ReLU(), linear([[1e22], [1e22]]))
    with pytest.raises(NetworkError, match=r"the norm of the query's image is no number in torch\.float32: .* 1e\+22"):
        Objective(tail_of(huge, [1.0, 1.0]), CONFIG)


def test_without_candidates_every_mask_loses_as_much() -> None:
    off = nn.Sequential(linear([[-1.0, 0.0]]), nn.ReLU(), linear([[1.0]], [1.0]))
    objective = Objective(tail_of(off, [1.0, 1.0]), CONFIG)
    assert objective.distance(torch.zeros(2, 0)).tolist() == [0.0, 0.0]


def test_a_set_of_all_units_loses_nothing() -> None:
    objective = Objective(tail_of(RedundantUnit(), [1.0, 1.0]), CONFIG)
    everything: Tensor = torch.ones(objective.n_candidates, dtype=torch.bool)
    assert objective.fidelity(everything) == 0.0
    assert objective.sampled_fidelity(everything.float(), rng=torch.Generator()) == 0.0
    assert objective.empty_fidelity() == pytest.approx(1.0)


LEFT_HALF = torch.tensor([[True, True, False, False]] * 2)


def test_the_focus_is_all_that_the_distance_counts() -> None:
    tail = tail_of(HalvesNet(), HALVES_QUERY.tolist())  # units (0.8, 1.2, 1.3, 0.7), the first two in the left half
    objective = Objective(tail, CONFIG, LEFT_HALF)
    lost = objective.distance(torch.tensor([[0.0, 1.0, 1.0, 1.0], [1.0, 0.0, 1.0, 1.0], [1.0, 1.0, 0.0, 0.0]]))
    norm = (0.8**2 + 1.2**2) ** 0.5
    assert lost.tolist() == pytest.approx([0.8 / norm, 1.2 / norm, 0.0])
    assert objective.empty_fidelity() == pytest.approx(1.0)


def test_a_focus_on_everything_is_no_focus() -> None:
    tail = tail_of(HalvesNet(), HALVES_QUERY.tolist())
    masks = torch.rand(5, 4, generator=torch.Generator().manual_seed(1))
    whole = Objective(tail, CONFIG, torch.ones(2, 4, dtype=torch.bool))
    assert torch.equal(whole.distance(masks), Objective(tail, CONFIG).distance(masks))


def test_the_gradient_in_a_focus_is_autograds() -> None:
    tail = tail_of(HalvesNet().double(), HALVES_QUERY.tolist())
    objective, temperature = Objective(tail, CONFIG, LEFT_HALF), 0.4
    logits = torch.linspace(-1, 1, 12, dtype=torch.float64).reshape(3, 4).requires_grad_()
    masks = (logits / temperature).sigmoid()
    distance = objective.distance(masks).mean()
    got, slope = objective.distance_and_gradient(masks.detach(), temperature)
    assert got.item() == pytest.approx(distance.item(), rel=1e-12)
    torch.testing.assert_close(slope, torch.autograd.grad(distance, logits)[0].sum(dim=0), rtol=1e-10, atol=1e-14)
    assert slope[2:].tolist() == [0.0, 0.0]  # units of the right half


def test_a_focus_on_colours_is_on_all_channels() -> None:
    net = nn.Sequential(linear([[1.0, 0.0], [0.0, 1.0]]), nn.ReLU(), nn.Unflatten(1, (2, 1, 1)))  # a channel for each
    objective = Objective(tail_of(net, [3.0, 4.0]), CONFIG, torch.ones(1, 1, dtype=torch.bool))
    assert objective.distance(torch.tensor([[0.0, 1.0], [1.0, 0.0]])).tolist() == pytest.approx([0.6, 0.8])


def test_a_black_focus_has_no_relative_distance() -> None:
    tail = tail_of(HalvesNet(), [0.2, -0.3])
    black = dataclasses.replace(tail, x=tail.x * ~LEFT_HALF)
    with pytest.raises(NetworkError, match="zero in the focus"):
        Objective(black, CONFIG, LEFT_HALF)
    Objective(black, CONFIG)


def grouped_tail() -> Tail:
    net = random_network(seed=3).double()
    tail = tail_of(net, [0.5, -1.0, 0.3, 0.8])
    n = len(tail.a)
    layer = dataclasses.replace(tail.layer, shape=(2, n // 2))  # as if neighbours were the positions of a channel
    return dataclasses.replace(tail, a=tail.a.double(), layer=layer)


def test_a_mask_of_channels_is_that_of_their_active_units() -> None:
    tail = grouped_tail()
    single, grouped = Objective(tail, CONFIG), Objective(tail, dataclasses.replace(CONFIG, units="channel"))
    assert 0 < grouped.n_candidates < single.n_candidates
    assert grouped.sizes is not None and int(grouped.sizes.sum()) == single.n_candidates
    masks = torch.rand(4, grouped.n_candidates, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    spread = torch.stack([grouped.of_every_unit(mask) for mask in masks])
    torch.testing.assert_close(grouped.distance(masks), single.distance(spread[:, single.candidates]))
    assert grouped.size(masks[0]).item() == pytest.approx(spread[0].sum().item())


def test_the_units_of_a_set_of_channels_are_the_active_ones() -> None:
    tail = grouped_tail()
    grouped = Objective(tail, dataclasses.replace(CONFIG, units="channel"))
    kept = torch.zeros(grouped.n_candidates, dtype=torch.bool)
    kept[1] = True
    size = len(tail.a) // 2
    channel = int(grouped.candidates[1]) // size
    active = tail.is_active.nonzero()[:, 0]
    assert grouped.units_of(kept).tolist() == [unit for unit in active.tolist() if unit // size == channel]
    assert torch.equal(grouped.of_every_unit(kept.double()).nonzero()[:, 0], grouped.units_of(kept))


def test_the_gradient_of_channels_is_autograds() -> None:
    objective, temperature = Objective(grouped_tail(), dataclasses.replace(CONFIG, units="channel")), 0.4
    rng = torch.Generator().manual_seed(1)
    logits = torch.randn(objective.n_candidates, generator=rng, dtype=torch.float64, requires_grad=True)
    masks = (logits.expand(3, -1) / temperature).sigmoid()
    expected = objective.distance(masks).mean()
    slope = objective.distance_and_gradient(masks.detach(), temperature)[1]
    torch.testing.assert_close(slope, torch.autograd.grad(expected, logits)[0], rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("at_once", [1, 10_000])
def test_a_sketch_is_what_the_gap_does_by_first_order(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr("egbas.beropt.objective._VALUES_AT_ONCE", at_once)  # one row a part, or all
    tail = tail_of(random_network(seed=3), [0.5, -1.0, 0.3, 0.8])
    objective = Objective(tail, CONFIG)
    kept = torch.arange(objective.n_candidates) % 2 == 0

    def gap(mask: Tensor) -> Tensor:
        outputs = torch.zeros(1, len(tail.a)).index_copy(
            1, objective.candidates, (mask * objective.tail.a[objective.candidates])[None]
        )
        return (tail(outputs) - tail.x).flatten() / tail.x.norm()

    jacobian = torch.autograd.functional.jacobian(gap, kept.float())
    assert isinstance(jacobian, Tensor)
    error, slope, columns = objective.sketch(kept, 400, rng=torch.Generator().manual_seed(0))
    assert error == pytest.approx(objective.fidelity(kept), rel=1e-5)
    torch.testing.assert_close(slope, gap(kept.float()) @ jacobian, rtol=1e-4, atol=1e-6)
    # 400 random signs: inner products are right to some 5 % of the norms.
    norms = jacobian.norm(dim=0)
    difference = columns.T @ columns - jacobian.T @ jacobian
    assert float((difference.abs() / (norms[:, None] * norms).clamp_min(1e-9)).max()) < 0.3
    assert objective.sketch(kept, 0, rng=torch.Generator().manual_seed(0))[2].shape == (0, objective.n_candidates)


def test_a_sketch_counts_the_pixels_of_the_focus_alone() -> None:
    tail = tail_of(HalvesNet(), HALVES_QUERY.tolist())
    focus = torch.zeros(tail.x.shape[-2:], dtype=torch.bool)
    focus[:, : focus.shape[1] // 2] = True
    objective = Objective(tail, CONFIG, focus)
    nothing = torch.zeros(objective.n_candidates, dtype=torch.bool)
    error, _, columns = objective.sketch(nothing, 8, rng=torch.Generator().manual_seed(0))
    assert error == pytest.approx(objective.fidelity(nothing))
    assert (columns == 0).all(dim=0).sum() == objective.n_candidates / 2  # units of the other half
