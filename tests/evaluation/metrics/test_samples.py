# SPDX-License-Identifier: MIT

import torch

from egbas.evaluation.baselines import e_gbas, l2_ball
from egbas.evaluation.metrics.samples import search_evaluations, share_in_region
from tests.runs import colour_run


def test_own_samples_are_in_the_region() -> None:
    run = colour_run()
    assert share_in_region(run.region, e_gbas(run).latents) == 1
    ball = l2_ball(run, rng=torch.Generator().manual_seed(0)).latents
    assert share_in_region(run.region, ball) == run.region.contains(ball).double().mean().item() < 1


def test_evaluations() -> None:
    run = colour_run()
    assert search_evaluations(run) == run.beropt.steps * 4 + run.tree.evaluations
