# SPDX-License-Identifier: MIT
import dataclasses

import torch
from torch import nn

from egbas.beropt import BerOptConfig
from egbas.exploration.explore import explore
from egbas.exploration.record import metrics_of
from egbas.exploration.warnings import warnings_of
from egbas.region import Certificate
from egbas.samplers.contract import Samples
from egbas.samplers.gbrrt import GbRrtConfig, GbRrtStatus
from tests.runs import plane_run

GOOD = Certificate(n_samples=3, n_inside=3, smallest_margin=None, dtype="float32")


def of(samples: Samples, certificate: Certificate = GOOD) -> tuple[str, ...]:
    run = plane_run()
    return warnings_of(run.query, run.latent, None, {"walk": samples}, {"walk": certificate})


def test_samples_of_ones_own_have_nothing_to_answer_for() -> None:
    assert of(Samples(latents=torch.zeros(3, 2), status="COMPLETED", evaluations=3)) == ()


def test_no_samples_and_samples_outside_are_told() -> None:
    samples = Samples(latents=torch.zeros(0, 2), status="COMPLETED", evaluations=3)
    assert of(samples) == ("The sampler 'walk' gave no samples.",)
    samples = dataclasses.replace(samples, latents=torch.zeros(3, 2))
    outside = dataclasses.replace(GOOD, n_inside=1)
    assert of(samples, outside) == ("2 of 3 samples of 'walk' lie outside the region.",)


def test_a_tree_that_did_not_grow_is_told() -> None:
    tree = plane_run().grown
    status = GbRrtStatus.NOTHING_ACCEPTED
    stump = dataclasses.replace(
        tree, latents=tree.latents[:1], parents=tree.parents[:1], status=status, sentence=status.sentence
    )
    assert any(text.startswith("GB-RRT: no candidate was accepted") for text in of(stump))


def test_a_query_outside_the_support_is_told() -> None:
    run = plane_run()
    samples = Samples(latents=torch.zeros(3, 2), status="COMPLETED", evaluations=3)
    (text,) = warnings_of(torch.full((2,), 5.0), run.latent, None, {"walk": samples}, {"walk": GOOD})
    assert "outside the support" in text


def test_a_run_of_a_fresh_network_says_that_its_weights_look_random() -> None:
    torch.manual_seed(0)
    generator = nn.Sequential(nn.Linear(8, 256), nn.ReLU(), nn.Linear(256, 16), nn.Unflatten(1, (1, 4, 4))).eval()
    run = explore(
        generator,
        torch.ones(8),
        1,
        rng=0,
        samples=0,
        beropt=BerOptConfig(max_steps=20, anneal_steps=20),
        gbrrt=GbRrtConfig(iterations=20),
    )
    assert any(text.startswith("The weights look random, all 2 tensors") for text in run.warnings)
    assert metrics_of(run)["weights"]["random"] == ["0.weight", "2.weight"]
