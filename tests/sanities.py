# SPDX-License-Identifier: MIT
"""The sanity of one small answer, for the tests of what is made of it."""

import functools

import torch
from torch import Tensor

from egbas.beropt import BerOptConfig
from egbas.cli.selftest import small_network
from egbas.evaluation.sanity import Sanity, check_sanity
from egbas.exploration.problem import Problem
from egbas.latent import LatentSpace
from egbas.network import Tail

QUERY = torch.tensor([0.3, -0.2])
QUICK = BerOptConfig(level=6, anneal_steps=60, max_steps=120)


def dark(images: Tensor) -> dict[str, Tensor]:
    """A judge: whether an image is dark."""
    return {"dark": (images.flatten(1).mean(dim=1) < 0).double()}


def asked(seed: int = 0) -> Sanity:
    """The four questions to the small network."""
    return check_sanity(
        small_network(),
        QUERY,
        1,
        rng=seed,
        samples=60,
        max_evaluations=6000,
        n_sets=2,
        judges=[dark],
        latent=LatentSpace(shape=(2,)),
        beropt=QUICK,
        model_name="small",
    )


@functools.cache
def small_sanity() -> Sanity:
    """The same once for all tests, which leave it as it is."""
    return asked()


def problem_of(network: torch.nn.Module, query: Tensor, layer: int = 1, **settings: object) -> tuple[Problem, Tail]:
    """A problem of one query, and its tail; some unit is active."""
    problem = Problem.of(
        network,
        [query],
        [0],
        layer,
        latent=LatentSpace(shape=tuple(query.shape), **settings),  # type: ignore[arg-type]
        geometry="auto",
        model_name=None,
    )
    assert problem.precisions is not None
    tail = problem.precisions.split.at(problem.queries[0])
    assert bool(tail.is_active.any())
    return problem, tail
