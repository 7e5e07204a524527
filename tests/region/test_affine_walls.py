# SPDX-License-Identifier: MIT
"""Verdicts of compiled code on latents, against those of the halfspaces they come from."""

import dataclasses

import numpy as np
import pytest
import torch

from egbas.region.affine_walls import affine_walls, verdict_of
from egbas.region.halfspaces import INSIDE, OUTSIDE, UNCLEAR
from tests.region.test_halfspaces import halfspaces_of


@pytest.mark.parametrize("rounding", [None, 0.01])
def test_verdicts_are_those_of_the_halfspaces(rounding: float | None) -> None:
    halfspaces, z, _ = halfspaces_of(1)
    if rounding is not None:  # so coarse that many latents are unclear
        halfspaces = dataclasses.replace(halfspaces, rounding=rounding)
    expected = halfspaces.judge(halfspaces.units.stem(z))[0]
    walls = affine_walls(halfspaces)
    assert walls is not None
    assert [verdict_of(latent, walls) for latent in z.numpy()] == expected.tolist()
    assert set(expected) >= ({OUTSIDE, INSIDE} if rounding is None else {OUTSIDE, UNCLEAR})
    assert sorted(walls.order) == list(range(40))


def test_an_order_of_their_own() -> None:
    halfspaces, z, _ = halfspaces_of(1)
    before = halfspaces.orders[0].copy()
    walls = affine_walls(halfspaces)
    assert walls is not None
    for latent in z.numpy():
        verdict_of(latent, walls)
    assert walls.order.tolist() != before.tolist()  # those that turned latents away have moved to the front
    assert halfspaces.orders[0].tolist() == before.tolist()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_left_to_the_region(bad: float) -> None:
    halfspaces, _, _ = halfspaces_of(1)
    walls = affine_walls(halfspaces)
    assert walls is not None
    assert verdict_of(torch.tensor([bad, 1.0]).numpy(), walls) == UNCLEAR
    huge = walls._replace(rows=np.full_like(walls.rows, 3e38))
    assert verdict_of(torch.tensor([10.0, 1.0]).numpy(), huge) == UNCLEAR


def test_a_stem_between_latents_and_units_gives_none() -> None:
    assert affine_walls(halfspaces_of(2)[0]) is None
    assert affine_walls(None) is None
