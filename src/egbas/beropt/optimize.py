# SPDX-License-Identifier: MIT
"""Algorithm 1 from its start to the supporting set.

In: the tail of a network at a query. Out: theta, the kept units with their signs, how well they carry the image.
Gradient steps through relaxed masks (``descent``), then a local search over single units (``local_search``).
"""

import math
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from egbas.beropt.config import BerOptConfig
from egbas.beropt.descent import Descent, Progress, descend, polarisation
from egbas.beropt.local_search import ROUNDS, TRIED_IN_A_ROUND, local_search
from egbas.beropt.objective import Objective, is_large
from egbas.beropt.result import BerOptResult, BerOptStatus
from egbas.network import Tail

_MASKS = 4
_USUAL_ROUNDS = 20
_LARGE_ROUNDS = 2  # for large images, where it would otherwise take longer than the steps before it
_MOSTLY_LOST = 0.5


def optimize(
    tail: Tail, config: BerOptConfig, *, rng: torch.Generator, progress: Progress | None = None
) -> BerOptResult:
    """Find the supporting set of the tail's query (Algorithm 1).

    Args:
        tail: the network above the layer, at the query.
        config: the settings.
        rng: a CPU generator; the masks come from it.
        progress: called with (step, largest number of steps, text).

    Raises:
        NetworkError: the image of the query is zero everywhere, so that no relative distance exists.
    """
    if config.masks is None:
        config = replace(config, masks=default_masks(tail.x.numel()))
    objective = Objective(tail, config)
    descents = [descend(objective, config.initial_theta, rng=rng, progress=progress)]
    # The set of no units is a local minimum that the L1 term may run into. Where most of the image is lost, a second
    # start from the side of faithful images decides which of the two is better.
    left = objective.fidelity(descents[0].theta > config.threshold)
    if objective.n_candidates and left > _MOSTLY_LOST * objective.empty_fidelity():
        descents.append(descend(objective, (1 + config.initial_theta) / 2, rng=rng, progress=progress))
    results = [_result(objective, descent, rng=rng) for descent in descents]
    return min(results, key=lambda result: result.fidelity + config.sparsity * len(result.units) / objective.n_units)


def default_masks(image_size: int) -> int:
    """Masks a step where the settings do not say, for images of so many values."""
    return 1 if is_large(image_size) else _MASKS


def largest_search(image_size: int) -> int:
    """Masks that the local search tries, as a rule at most, for images of so many values."""
    return TRIED_IN_A_ROUND * (_LARGE_ROUNDS if is_large(image_size) else _USUAL_ROUNDS)


def _improved(objective: Objective, descent: Descent) -> Float[Tensor, " candidates"]:
    """Set theta to 0 or 1 for the units whose other side of a half lowers the loss."""
    theta, config = descent.theta, objective.config
    if len(theta) == 0:
        return theta
    assert config.masks is not None  # chosen above
    rounds = _LARGE_ROUNDS if is_large(objective.tail.x.numel()) else ROUNDS
    if descent.status is BerOptStatus.MAX_STEPS:
        # Much is left to flip where theta has not settled: no more passes than the steps took, of which each counts
        # three, for its way back takes as long as two.
        rounds = min(rounds, math.ceil(3 * len(descent.losses) * config.masks / TRIED_IN_A_ROUND))
    kept = theta > 0.5
    searched = local_search(kept, objective.distance, config.sparsity / objective.n_units, rounds=rounds)
    return torch.where(searched == kept, theta, searched.to(theta))


def _result(objective: Objective, descent: Descent, *, rng: torch.Generator) -> BerOptResult:
    tail, config = objective.tail, objective.config
    theta = _improved(objective, descent)
    kept = theta > config.threshold
    units = objective.candidates[kept]
    all_theta = theta.new_zeros(objective.n_units).index_copy(0, objective.candidates, theta)
    return BerOptResult(
        theta=all_theta.cpu(),
        units=units.cpu(),
        signs=tail.h[units].sign().to(torch.int8).cpu(),
        fidelity=objective.fidelity(kept),
        sampled_fidelity=objective.sampled_fidelity(theta, rng=rng),
        polarisation=polarisation(theta),
        losses=descent.losses.cpu(),
        sizes=descent.sizes.cpu(),
        status=BerOptStatus.EMPTY if len(units) == 0 else descent.status,
        config=config,
    )
