# SPDX-License-Identifier: MIT
import torch

from egbas.samplers.gbrrt import OUTSIDE, TOO_CLOSE, GbRrtStatus, Tree


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
    assert tree.iterations == 12
    assert len(tree.drawn) == 3  # the query was given


def test_a_status_is_its_word_and_has_a_sentence() -> None:
    assert GbRrtStatus.COMPLETED == "COMPLETED"
    assert all(status.sentence for status in GbRrtStatus)
