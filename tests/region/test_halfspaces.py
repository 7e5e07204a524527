# SPDX-License-Identifier: MIT
"""Verdicts unit by unit against the signs of all units, close to boundaries and away from them."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor

from egbas.network import Network
from egbas.region import Precisions
from egbas.region.halfspaces import INSIDE, NOT_FINITE, OUTSIDE, UNCLEAR, Halfspaces
from egbas.region.kept_units import KeptUnits
from egbas.zoo.models import load_model

SPREADS = {1: 0.2, 2: 0.05, 3: 0.05, 4: 0.02}  # so that a good part of the latents is inside


def halfspaces_of(layer: int, n_units: int = 40) -> tuple[Halfspaces, Tensor, Tensor]:
    """Halfspaces, latents on all sides of them, and their units' pre-activations in float64."""
    model = load_model("dcgan-mnist-2d")
    network = Network(model.generator, model.latent.shape)
    precisions = Precisions.of(network, network.resolve(layer))
    rng = torch.Generator().manual_seed(layer)
    z0 = model.latent.sample(1, rng=rng)
    units = torch.randperm(precisions.split.layer.units, generator=rng)[:n_units]
    kept = precisions.kept(units)
    assert kept is not None
    signs = precisions.exact.head(z0)[0, units].sign().to(torch.int8)
    probes = z0 + 0.2 * torch.randn(33, 2, generator=rng)
    z = z0 + SPREADS[layer] * torch.randn(400, 2, generator=rng)
    halfspaces = Halfspaces.measured(kept, signs, probes, precisions.exact.head(probes)[:, units])
    return halfspaces, z, precisions.exact.head(z)[:, units] * signs


@pytest.mark.parametrize("layer", [1, 2, 3, 4])
def test_verdicts_are_the_signs_of_all_units(layer: int) -> None:
    halfspaces, z, margins = halfspaces_of(layer)
    verdicts = halfspaces.judge(halfspaces.units.stem(z))[0]
    is_clear = verdicts != UNCLEAR
    assert is_clear.mean() > 0.95
    assert halfspaces.rounding > 0
    is_inside = (margins >= 0).all(dim=1).numpy()
    assert (verdicts[is_clear] == np.where(is_inside, INSIDE, OUTSIDE)[is_clear]).all()
    assert 10 < is_inside.sum() < 390


def test_what_is_close_to_a_boundary_is_unclear_unless_it_is_outside_another() -> None:
    halfspaces, z, margins = halfspaces_of(3)
    x = halfspaces.units.stem(z)
    size = np.linalg.norm(x.reshape(len(x), -1).astype(np.float64), axis=1) + halfspaces.reference
    coarse = dataclasses.replace(halfspaces, rounding=0.0002)
    low, bound = margins.min(dim=1).values.numpy(), 0.0002 * size
    expected = np.where(low < -bound, OUTSIDE, np.where(low > bound, INSIDE, UNCLEAR))
    assert (coarse.judge(x)[0] == expected).all()
    assert set(expected) == {OUTSIDE, INSIDE, UNCLEAR}


def test_answers_depend_neither_on_the_order_of_the_units_nor_on_the_batch() -> None:
    halfspaces, z, _ = halfspaces_of(2)
    x = halfspaces.units.stem(z)
    first = halfspaces.judge(x)[0]
    assert halfspaces.orders[0].tolist() != list(range(40))  # those that turned latents away have moved to the front
    assert sorted(halfspaces.orders[0]) == list(range(40))
    assert (halfspaces.judge(x)[0] == first).all()
    assert [int(halfspaces.judge(row[None])[1]) for row in x] == first.tolist()


def test_several_threads_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    halfspaces, z, _ = halfspaces_of(2)
    x = halfspaces.units.stem(z)
    alone = halfspaces.judge(x)[0]
    monkeypatch.setattr("egbas.region.halfspaces._WORTH_A_THREAD", 0)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    assert (halfspaces.judge(x)[0] == alone).all()
    assert (halfspaces.judge(x[:1])[0] == alone[:1]).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_told(bad: float) -> None:
    halfspaces, z, _ = halfspaces_of(2)
    x = halfspaces.units.stem(z[:3])
    x[1, 0, 5] = bad
    expected = halfspaces.judge(x)[0]
    assert expected[1] == NOT_FINITE
    assert (expected[[0, 2]] != NOT_FINITE).all()


def test_a_unit_that_is_not_finite_is_told() -> None:
    halfspaces, z, _ = halfspaces_of(1)
    packed = halfspaces.units.packed
    packed.offset[:] = np.inf
    units: KeptUnits = dataclasses.replace(halfspaces.units, packed=packed)
    verdicts, largest = dataclasses.replace(halfspaces, units=units).judge(units.stem(z))
    assert (verdicts == NOT_FINITE).all()
    assert largest == NOT_FINITE
