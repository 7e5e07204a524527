# SPDX-License-Identifier: MIT
"""The supporting set of a weight (eq. 1): gradient steps, then a local search over single units."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from egbas.beropt import mean_field
from egbas.beropt.descent import Descent, Progress, descend, polarisation
from egbas.beropt.local_search import ROUNDS, TRIED_IN_A_ROUND, local_search
from egbas.beropt.objective import Objective, is_large
from egbas.beropt.result import BerOptResult, BerOptStatus

_USUAL_ROUNDS = 20
_LARGE_ROUNDS = 2  # for large images, where it would otherwise take longer than the steps before it
_MOSTLY_LOST = 0.5


def set_of_weight(objective: Objective, *, rng: torch.Generator, progress: Progress | None) -> BerOptResult:
    """Find the supporting set of an objective, whose sparsity is the weight of eq. 1.

    Args:
        objective: the loss; its config has the settings.
        rng: a CPU generator; the masks come from it.
        progress: called with (step, largest number of steps, text).
    """
    config = objective.config
    descents = [descended(objective, config.initial_theta, rng=rng, progress=progress)]
    # The set of no units is a local minimum that the L1 term may run into. Where most of the image is lost, a second
    # start from the side of faithful images decides which of the two is better.
    left = objective.fidelity(descents[0].theta > config.threshold)
    if objective.n_candidates and left > _MOSTLY_LOST * objective.empty_fidelity():
        descents.append(descended(objective, (1 + config.initial_theta) / 2, rng=rng, progress=progress))
    results = [_result(objective, descent, rng=rng) for descent in descents]
    return min(results, key=lambda result: result.fidelity + config.sparsity * len(result.units) / objective.n_units)


def descended(
    objective: Objective, initial_theta: float, *, rng: torch.Generator, progress: Progress | None
) -> Descent:
    """The steps from one start: with random masks, or with none."""
    if objective.config.masks == 0:
        return mean_field.descend(objective, initial_theta, progress=progress)
    return descend(objective, initial_theta, rng=rng, progress=progress)


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
        rounds = min(rounds, math.ceil(3 * len(descent.losses) * max(1, config.masks) / TRIED_IN_A_ROUND))
    kept = theta > 0.5
    price = config.sparsity / objective.n_units
    searched = local_search(kept, objective.distance, price, rounds=rounds, sizes=objective.sizes)
    return torch.where(searched == kept, theta, searched.to(theta))


def _result(objective: Objective, descent: Descent, *, rng: torch.Generator) -> BerOptResult:
    return of_descent(objective, descent, _improved(objective, descent), rng=rng)


def of_descent(objective: Objective, descent: Descent, theta: Tensor, *, rng: torch.Generator) -> BerOptResult:
    """The result of a descent whose theta (candidates,) may have changed since."""
    return of_theta(objective, theta, descent.losses.cpu(), descent.sizes.cpu(), descent.status, rng=rng)


def of_theta(
    objective: Objective,
    theta: Float[Tensor, " candidates"],
    losses: Float[Tensor, " steps"],
    sizes: Float[Tensor, " steps"],
    status: BerOptStatus,
    *,
    rng: torch.Generator,
) -> BerOptResult:
    """The result that a theta stands for, with the errors of its set and of masks drawn from it.

    Args:
        objective: the loss.
        theta: of the candidates; above the threshold a unit is kept.
        losses: of the steps.
        sizes: of the sets after the steps.
        status: how the steps ended.
        rng: a CPU generator; the masks come from it.
    """
    tail, config = objective.tail, objective.config
    kept = theta > config.threshold
    units = objective.units_of(kept)
    return BerOptResult(
        theta=objective.of_every_unit(theta).cpu(),
        units=units.cpu(),
        signs=tail.h[units].sign().to(torch.int8).cpu(),
        fidelity=objective.fidelity(kept),
        sampled_fidelity=objective.sampled_fidelity(theta, rng=rng),
        polarisation=polarisation(theta),
        losses=losses,
        sizes=sizes,
        status=BerOptStatus.EMPTY if len(units) == 0 else status,
        config=config,
    )


def largest_search(image_size: int) -> int:
    """Masks that the local search tries, as a rule at most, for images of so many values."""
    return TRIED_IN_A_ROUND * (_LARGE_ROUNDS if is_large(image_size) else _USUAL_ROUNDS)
