# SPDX-License-Identifier: MIT
"""The loop of BerOpt without random numbers: the mean of the masks stands for the masks.

Deviation from paper: Algorithm 1 draws masks from Ber(theta). Here theta itself is the mask (a mean-field relaxation),
so that the set is one of the network and the query, not of a seed. Two things keep theta from staying between 0 and 1,
where it is no set. The price of a unit becomes concave (Zhang 2010, MCP). The last steps run on the thresholded mask,
with the gradient of the relaxed one (straight-through, Bengio et al. 2013), and the best set that they meet is taken:
units of little worth swing to and fro.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from egbas.beropt.descent import Adam, Descent, Progress, schedule
from egbas.beropt.objective import Objective
from egbas.beropt.result import BerOptStatus

_RELAXED = 0.7  # share of the annealing that runs on theta itself; from there on on the thresholded mask
_PATIENCE = 50  # steps without a better set that end the descent


@torch.no_grad()
def descend(objective: Objective, initial_theta: float, *, progress: Progress | None) -> Descent:
    """Take steps from one start until no better set comes; the best of the thresholded ones is what is left.

    Args:
        objective: the loss; its config has the settings.
        initial_theta: where every theta starts.
        progress: called with (step, largest number of steps, text).
    """
    config = objective.config
    logits = objective.tail.a.new_full((objective.n_candidates,), math.log(initial_theta / (1 - initial_theta)))
    price = config.sparsity / objective.n_units
    prices = price if objective.sizes is None else price * objective.sizes.to(torch.float32)
    take, status = Adam(logits), BerOptStatus.MAX_STEPS
    best, lowest, since = logits.clone(), math.inf, 0
    distances, sizes = [logits.new_zeros(())], []
    for step in range(config.max_steps if objective.n_candidates else 0):
        temperature, rate = schedule(config, step)
        done = min(1.0, step / config.anneal_steps)
        theta, kept = _theta(logits, temperature), logits > 0
        is_relaxed = done < _RELAXED
        distance, slope = objective.distance_and_slope((theta if is_relaxed else kept.to(theta))[None])
        distances.append(distance)
        sizes.append(objective.size(theta if is_relaxed else kept).to(theta))
        loss = math.inf if is_relaxed else (distance + price * sizes[-1]).item()
        if loss < lowest:
            best, lowest, since = logits.clone(), loss, step
        # A unit costs theta + c theta (1 - theta). At c = 1 that is flat at theta = 1: what is kept is pulled no more.
        concavity = min(1.0, done / _RELAXED)
        slope = slope.add_(prices * (1 + concavity * (1 - 2 * theta)))
        take(slope.mul_(theta).mul_(1 - theta).div_(temperature), rate)
        if progress and step % 10 == 0:
            progress(step, config.max_steps, f"distance {distance.item():.3f}, {int(objective.size(kept))} units")
        if step + 1 >= config.anneal_steps and step - since >= _PATIENCE:
            status = BerOptStatus.CONVERGED
            break
    of_steps = torch.stack(sizes) if sizes else logits.new_zeros(0)
    losses = torch.stack(distances)[1:] + price * of_steps
    theta = _at_last(best, config.temperatures[1], config.threshold)
    return Descent(theta=theta, losses=losses, sizes=of_steps, status=status)


def _theta(logits: Float[Tensor, " candidates"], temperature: float) -> Float[Tensor, " candidates"]:
    return (logits / temperature).sigmoid_()


def _at_last(logits: Tensor, temperature: float, threshold: float) -> Float[Tensor, " candidates"]:
    """Theta, with the units that the last steps kept above the threshold, and no others."""
    theta, kept = _theta(logits, temperature), logits > 0
    return torch.where((theta > threshold) == kept, theta, kept.to(theta))
