# SPDX-License-Identifier: MIT
import torch

from egbas.samplers.gbrrt import OUTSIDE, TOO_CLOSE, ContainsLatents, GbRrtStatus, Tree
from tests.regions import Ball


def test_acceptance_is_the_share_of_iterations_that_added_a_node() -> None:
    tree = Tree(
        latents=torch.zeros(4, 2),
        parents=torch.tensor([-1, 0, 0, 1]),
        rejected=torch.zeros(9, 2),
        rejected_reason=torch.tensor([OUTSIDE] * 5 + [TOO_CLOSE] * 4, dtype=torch.int8),
        evaluations=8,
        rounds=2,
        step_size=0.1,
        half_width=1.0,
        status=GbRrtStatus.COMPLETED,
    )
    assert tree.acceptance == 3 / 12


def test_a_region_is_what_tells_which_latents_it_contains() -> None:
    assert isinstance(Ball(), ContainsLatents)
    assert not isinstance(object(), ContainsLatents)
