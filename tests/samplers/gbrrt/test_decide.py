# SPDX-License-Identifier: MIT
"""One pass over windows whose outcome is known by hand; test_growth shows that all passes give Algorithm 2."""

from dataclasses import dataclass

import numpy as np
import torch

from egbas.geometry import Flat
from egbas.samplers.gbrrt import OUTSIDE, TOO_CLOSE
from egbas.samplers.gbrrt.decide import choose, decide
from egbas.samplers.gbrrt.window import INSIDE, NOT_INSIDE, UNKNOWN, Rejections, Stride, Window
from tests.samplers.gbrrt.test_window import tree_of, window

START = torch.zeros(1, 2)
STEP = 0.5


@dataclass
class Pass:
    """What a pass did, by the numbers of the targets, which count from 1."""

    accepted: list[int]
    parents: list[int]
    rejected: dict[int, int]
    waiting: list[int]
    window: Window


def decided(pending: Window) -> Pass:
    nodes, rejections = tree_of(START), Rejections.empty(len(pending.nearest), START[0].numpy())
    stride = Stride.of(Flat(START[0]), STEP)
    n_waiting, n_nodes, n_rejected = decide(pending, len(pending.nearest), nodes, 1, rejections, stride)
    return Pass(
        accepted=nodes.iterations[1:n_nodes].tolist(),
        parents=nodes.parents[1:n_nodes].tolist(),
        rejected=dict(
            zip(rejections.iterations[:n_rejected].tolist(), rejections.reasons[:n_rejected].tolist(), strict=True)
        ),
        waiting=pending.iterations[:n_waiting].tolist(),
        window=pending,
    )


def pending(*targets: list[float], verdicts: list[int]) -> Window:
    found = window(Flat(START[0]), START, list(targets), STEP)
    found.verdicts[:] = verdicts
    return found


def test_targets_that_do_not_meet_are_decided_by_their_verdicts() -> None:
    made = decided(pending([0.0, 5.0], [5.0, 0.0], [-5.0, 0.0], verdicts=[INSIDE, NOT_INSIDE, INSIDE]))
    assert (made.accepted, made.parents, made.rejected, made.waiting) == ([1, 3], [0, 0], {2: OUTSIDE}, [])


def test_a_displaced_target_steers_anew_and_the_others_are_decided() -> None:
    made = decided(pending([0.0, 5.0], [0.1, 5.0], [5.0, 0.0], verdicts=[INSIDE] * 3))
    assert (made.accepted, made.rejected, made.waiting) == ([1, 3], {}, [2])
    assert made.window.nearest[0] == 1
    assert made.window.verdicts[0] == UNKNOWN
    np.testing.assert_allclose(made.window.candidates[0], [0.011, 1.0], atol=1e-3)
    np.testing.assert_allclose(made.window.squares[0], 0.1**2 + 4.5**2, rtol=1e-6)


def test_what_is_outside_displaces_nobody() -> None:
    made = decided(pending([0.0, 5.0], [0.1, 5.0], verdicts=[NOT_INSIDE, INSIDE]))
    assert (made.accepted, made.rejected, made.waiting) == ([2], {1: OUTSIDE}, [])


def test_a_candidate_that_an_earlier_one_crowds_is_too_close() -> None:
    # The second steps beyond its target, to (0.5, 0), which is 0.32 from (0.4, 0.3); its target stays nearer the start.
    made = decided(pending([4.0, 3.0], [0.1, 0.0], verdicts=[INSIDE, INSIDE]))
    assert (made.accepted, made.rejected) == ([1], {2: TOO_CLOSE})


def test_what_an_open_candidate_may_crowd_waits_whatever_its_verdict() -> None:
    for verdict in (INSIDE, NOT_INSIDE):  # outside or too close: the reason hangs on the first
        made = decided(pending([4.0, 3.0], [0.1, 0.0], [-5.0, 0.0], verdicts=[UNKNOWN, verdict, INSIDE]))
        assert (made.accepted, made.rejected, made.waiting) == ([3], {}, [1, 2])


def test_what_hangs_on_an_open_candidate_waits_and_the_others_are_decided() -> None:
    # The second steers anew from the first; the third would, too, from the second, if that one is added.
    made = decided(pending([0.0, 5.0], [0.0, 6.0], [0.05, 7.0], [5.0, 0.0], verdicts=[INSIDE] * 4))
    assert (made.accepted, made.rejected, made.waiting) == ([1, 4], {}, [2, 3])
    assert made.window.nearest[:2].tolist() == [1, 1]
    assert made.window.verdicts[:2].tolist() == [UNKNOWN, UNKNOWN]
    assert not made.window.is_displaced[:2].any()


def test_where_an_open_target_may_steer_to_counts_too() -> None:
    # The second target waits: if the first candidate, (0.5, 0), is added, it steers from there to (0.8, 0.4), which is
    # within a step of the third candidate, (0.48, 0.14), and nearer to the fourth target than the start.
    targets = [9.0, 0.0], [1.1, 0.8], [0.96, 0.28], [1.0, 1.0]
    made = decided(pending(*targets, verdicts=[UNKNOWN, NOT_INSIDE, INSIDE, INSIDE]))
    assert (made.accepted, made.rejected, made.waiting) == ([], {}, [1, 2, 3, 4])


def test_too_many_ghosts_end_the_pass() -> None:
    close = [[0.01 * k, 5.0 + k] for k in range(12)]  # each would steer from all those before it
    made = decided(pending(*close, [5.0, 0.0], verdicts=[UNKNOWN] * 12 + [INSIDE]))
    assert made.accepted == []
    assert made.waiting == list(range(1, 14))


def test_an_untested_candidate_waits_and_holds_up_only_what_hangs_on_it() -> None:
    made = decided(pending([0.0, 5.0], [0.1, 5.0], [5.0, 0.0], verdicts=[UNKNOWN, INSIDE, INSIDE]))
    assert made.accepted == [3]  # the second may be displaced by the first
    made = decided(pending([0.0, 5.0], [-5.0, 0.0], [5.0, 0.0], verdicts=[UNKNOWN, INSIDE, INSIDE]))
    assert (made.accepted, made.waiting) == ([2, 3], [1])


def test_an_untested_candidate_that_is_displaced_steers_anew() -> None:
    made = decided(pending([0.0, 5.0], [0.1, 5.0], verdicts=[INSIDE, UNKNOWN]))
    assert made.waiting == [2]
    assert made.window.nearest[0] == 1


def test_what_will_likely_be_displaced_is_not_worth_a_test() -> None:
    waiting, rows = pending([0.0, 5.0], [0.1, 5.0], [0.2, 5.0], [5.0, 0.0], verdicts=[UNKNOWN] * 4), np.zeros(4, int)

    def chosen(acceptance: float) -> list[int]:
        return rows[: choose(waiting, 4, acceptance, rows)].tolist()

    assert chosen(0.9) == [0, 3]
    assert chosen(0.3) == [0, 1, 3]
    assert chosen(0.1) == chosen(0.0) == [0, 1, 2, 3]
    waiting.verdicts[0] = NOT_INSIDE
    assert chosen(0.9) == [1, 3]
    waiting.is_free[1] = False
    assert chosen(0.9) == [2, 3]
