# SPDX-License-Identifier: MIT
"""The shortlist keeps all that may be the nearest, or says that it could not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from egbas.samplers.gbrrt.nearest.shortlist import Shortlist
from egbas.samplers.gbrrt.window import Array


def look(values: Array, slack: float, room: int, block: int) -> Shortlist:
    """Of one target at zero on a line, whose rough squared distances are the values."""
    short = Shortlist(np.array([slack], np.float32), room=room)
    for start in range(0, len(values), block):
        rough = values[start : start + block]
        short.add(np.zeros((1, len(rough)), np.float32), rough, start)
    return short


@settings(max_examples=200, deadline=None)
@given(
    values=st.lists(st.integers(0, 20), min_size=1, max_size=200),
    slack=st.sampled_from([0.0, 0.5, 3.0]),
    room=st.sampled_from([2, 5, 300]),
    block=st.sampled_from([1, 64, 70, 500]),
)
def test_it_is_overfull_or_right(values: list[int], slack: float, room: int, block: int) -> None:
    # The true order among those within the slack is the other way round.
    rough = np.array(values, np.float32)
    true = np.where(rough <= rough.min() + slack, 20 - rough, 100 + rough)
    short = look(rough, slack, room, block)
    parents, squares = np.array([-1]), np.array([-1.0])
    short.decide(np.zeros((1, 1), np.float32), np.sqrt(true)[:, None].astype(np.float32), parents, squares)
    n_within = int((rough <= rough.min() + slack).sum())
    if len(short.overfull):
        assert n_within > room or room < len(values)
        assert parents.tolist() == [-1]
    else:
        assert parents.tolist() == [int(true.argmin())]
    if n_within > room:
        assert short.overfull.tolist() == [0]


@pytest.mark.parametrize("n", [33, 1000])
def test_values_that_are_all_the_same_are_too_many(n: int) -> None:
    assert look(np.full(n, np.float32(1 / 3)), 0.0, 32, 64).overfull.tolist() == [0]


def test_a_crowd_that_turns_out_to_be_far_is_forgotten() -> None:
    crowd = np.append(np.full(100, 9.0), [1.0, 2.0]).astype(np.float32)
    short = look(crowd, 0.5, 32, 64)
    assert len(short.overfull) == 0
