# SPDX-License-Identifier: MIT
"""One pass over windows whose outcome is known by hand; test_growth shows that all passes give Algorithm 2."""

import numpy as np
import torch

from egbas.gbrrt.commit import Conflicts, Decisions, Nodes, decide
from egbas.gbrrt.nearness import Ruler
from egbas.gbrrt.window import INSIDE, NOT_INSIDE, UNKNOWN, Stride, Window
from egbas.geometry import Flat
from tests.gbrrt.test_window import window

START = torch.zeros(1, 2)
STEP = 0.5


def decided(pending: Window) -> Decisions:
    ruler = Ruler(np.zeros(2))
    nodes = Nodes(points=ruler.points(START.numpy()), iterations=np.array([-1]))
    stride = Stride(Flat(START[0]), STEP)
    return decide(pending, Conflicts.of(pending, stride), stride, ruler, nodes)


def pending(*targets: list[float], verdicts: list[int]) -> Window:
    found = window(Flat(START[0]), START, list(targets), STEP)
    found.verdicts[:] = verdicts
    return found


def test_targets_that_do_not_meet_are_decided_by_their_verdicts() -> None:
    made = decided(pending([0.0, 5.0], [5.0, 0.0], [-5.0, 0.0], verdicts=[INSIDE, NOT_INSIDE, INSIDE]))
    assert made.accepted.tolist() == [0, 2]
    assert made.outside.tolist() == [1]
    assert made.is_decided.all()


def test_a_displaced_target_steers_anew_and_the_others_are_decided() -> None:
    waiting = pending([0.0, 5.0], [0.1, 5.0], [5.0, 0.0], verdicts=[INSIDE] * 3)
    made = decided(waiting)
    assert made.accepted.tolist() == [0, 2]
    assert (made.displaced.tolist(), made.parents.tolist()) == ([1], [0])
    assert made.is_decided.tolist() == [True, False, True]
    assert waiting.verdicts[1] == UNKNOWN
    np.testing.assert_allclose(waiting.candidates.latents[1], [0.011, 1.0], atol=1e-3)


def test_what_is_outside_displaces_nobody() -> None:
    made = decided(pending([0.0, 5.0], [0.1, 5.0], verdicts=[NOT_INSIDE, INSIDE]))
    assert made.accepted.tolist() == [1]
    assert made.is_decided.all()


def test_a_candidate_that_an_earlier_one_crowds_is_too_close() -> None:
    # The second steps beyond its target, to (0.5, 0), which is 0.32 from (0.4, 0.3); its target stays nearer the start.
    made = decided(pending([4.0, 3.0], [0.1, 0.0], verdicts=[INSIDE, INSIDE]))
    assert made.accepted.tolist() == [0]
    assert made.too_close.tolist() == [1]


def test_the_pass_ends_where_a_candidate_hangs_on_an_open_one() -> None:
    # The second steers anew from the first; the third would, too, from the second, if that one is added.
    made = decided(pending([0.0, 5.0], [0.0, 6.0], [0.05, 7.0], [5.0, 0.0], verdicts=[INSIDE] * 4))
    assert made.accepted.tolist() == [0]
    assert made.displaced.tolist() == [1, 2]
    assert made.is_decided.tolist() == [True, False, False, False]


def test_an_untested_candidate_waits_and_holds_up_only_what_hangs_on_it() -> None:
    made = decided(pending([0.0, 5.0], [0.1, 5.0], [5.0, 0.0], verdicts=[UNKNOWN, INSIDE, INSIDE]))
    assert made.accepted.tolist() == []  # the second may be displaced by the first, and there the pass ends
    made = decided(pending([0.0, 5.0], [-5.0, 0.0], [5.0, 0.0], verdicts=[UNKNOWN, INSIDE, INSIDE]))
    assert made.accepted.tolist() == [1, 2]
    assert made.is_decided.tolist() == [False, True, True]


def test_an_untested_candidate_that_is_displaced_steers_anew() -> None:
    waiting = pending([0.0, 5.0], [0.1, 5.0], verdicts=[INSIDE, UNKNOWN])
    made = decided(waiting)
    assert (made.displaced.tolist(), made.parents.tolist()) == ([1], [0])


def test_what_will_likely_be_displaced_is_not_worth_a_test() -> None:
    waiting = pending([0.0, 5.0], [0.1, 5.0], [0.2, 5.0], [5.0, 0.0], verdicts=[UNKNOWN] * 4)
    conflicts = Conflicts.of(waiting, Stride(Flat(START[0]), STEP))
    assert conflicts.worth_testing(waiting, 0.9).tolist() == [True, False, False, True]
    assert conflicts.worth_testing(waiting, 0.3).tolist() == [True, True, False, True]
    assert conflicts.worth_testing(waiting, 0.1).all()
    waiting.verdicts[0] = NOT_INSIDE
    assert conflicts.worth_testing(waiting, 0.9).tolist() == [False, True, False, True]
