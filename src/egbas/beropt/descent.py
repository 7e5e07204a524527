# SPDX-License-Identifier: MIT
"""The loop of BerOpt (Jeon et al. 2020, Algorithm 1): gradient steps through relaxed Bernoulli masks.

Beside the tail a step is some twenty passes over masks and theta. They are written out, with their gradients, and run
in place: through autograd and an optimizer object they took as long as the tail of a small network.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.optim.adam import adam

from egbas.beropt.config import BerOptConfig
from egbas.beropt.objective import Objective
from egbas.beropt.result import BerOptStatus

Progress = Callable[[int, int, str], None]

_BETAS = (0.9, 0.99)
_EPS = 1e-8
_CHECK_EVERY = 25


@dataclass(frozen=True, kw_only=True, eq=False)
class Descent:
    """Where the steps from one start ended.

    Attributes:
        theta: (candidates,) of the candidates.
        losses: (steps,) the loss at every step.
        sizes: (steps,) the expected size of the set, sum(theta) over its units, after every step.
        status: how it ended.
    """

    theta: Float[Tensor, " candidates"]
    losses: Float[Tensor, " steps"]
    sizes: Float[Tensor, " steps"]
    status: BerOptStatus


@torch.no_grad()
def descend(objective: Objective, initial_theta: float, *, rng: torch.Generator, progress: Progress | None) -> Descent:
    """Take steps from one start until the set has settled.

    Args:
        objective: the loss; its config has the settings.
        initial_theta: where every theta starts.
        rng: a CPU generator; the masks come from it.
        progress: called with (step, largest number of steps, text).
    """
    config = objective.config
    assert config.masks is not None  # chosen by optimize
    n_steps = config.max_steps if objective.n_candidates else 0
    logits = objective.tail.a.new_full((objective.n_candidates,), math.log(initial_theta / (1 - initial_theta)))
    theta = logits.sigmoid()
    # A unit costs sparsity / D_l; in this order, as autograd would have it. A group costs as much as its units.
    price = theta.new_ones(()).div_(objective.n_units).mul_(config.sparsity).expand_as(theta)
    price = price if objective.sizes is None else price * objective.sizes
    take, settled, status = Adam(logits), _Settled(), BerOptStatus.MAX_STEPS
    distances, sizes = [], [objective.size(theta)]
    for step in range(n_steps):
        temperature, rate = schedule(config, step)
        masks = _relaxed_masks(logits, temperature, config.masks, rng=rng)
        distance, slope = objective.distance_and_gradient(masks, temperature)
        take(slope.add_(torch.ops.aten.sigmoid_backward(price, theta)), rate)
        torch.sigmoid(logits, out=theta)
        distances.append(distance)
        sizes.append(objective.size(theta))
        if progress and step % 10 == 0:
            text = f"distance {distance.item():.3f}, {sizes[-1].item():.0f} units expected"
            progress(step, config.max_steps, text)
        is_check = step + 1 >= config.anneal_steps and (step + 1 - config.anneal_steps) % _CHECK_EVERY == 0
        if is_check and settled(objective, theta, rng=rng):
            status = BerOptStatus.CONVERGED
            break
    of_steps = torch.stack(sizes)
    losses = torch.stack([logits.new_zeros(()), *distances])[1:] + config.sparsity * of_steps[:-1] / objective.n_units
    return Descent(theta=theta, losses=losses, sizes=of_steps[1:], status=status)


def polarisation(theta: Float[Tensor, " candidates"]) -> float:
    """Share of theta within 0.05 of 0 or 1."""
    if len(theta) == 0:
        return 1.0
    return ((theta < 0.05) | (theta > 0.95)).float().mean().item()


def _relaxed_masks(
    logits: Float[Tensor, " candidates"], temperature: float, n: int, *, rng: torch.Generator
) -> Float[Tensor, "masks candidates"]:
    """Draw n relaxed Bernoulli masks: sigmoid((logits + log u - log(1 - u)) / temperature), Maddison et al. 2017.

    The second half has the noise of the first with the other sign (antithetic variates): each mask is drawn from the
    same distribution, their mean varies less, and a step draws half as many numbers.
    ``torch.distributions.RelaxedBernoulli`` takes no generator.
    """
    uniform = torch.rand((n + 1) // 2, len(logits), generator=rng, dtype=torch.float32)
    noise = uniform.to(logits).logit_(torch.finfo(logits.dtype).eps)
    return torch.cat([logits + noise, logits - noise[: n // 2]]).div_(temperature).sigmoid_()


class Adam:
    """Kingma and Ba 2015 by torch's own function, without the ado of an optimizer object."""

    def __init__(self, values: Float[Tensor, " n"]) -> None:
        """Start at some values, which every call changes in place."""
        self.values = [values]
        self.first, self.second = [torch.zeros_like(values)], [torch.zeros_like(values)]
        self.steps = [torch.zeros((), device=values.device, dtype=torch.float32)]

    def __call__(self, slope: Float[Tensor, " n"], rate: float) -> None:
        """Take a step against a gradient, at a learning rate."""
        adam(
            self.values,
            [slope],
            self.first,
            self.second,
            [],
            self.steps,
            foreach=False,
            fused=True,
            amsgrad=False,
            beta1=_BETAS[0],
            beta2=_BETAS[1],
            lr=rate,
            weight_decay=0.0,
            eps=_EPS,
            maximize=False,
        )


class _Settled:
    """The convergence test: polarised theta, thresholded set as faithful as sampled ones, and unchanged."""

    def __init__(self) -> None:
        self.kept: Tensor | None = None

    def __call__(self, objective: Objective, theta: Tensor, *, rng: torch.Generator) -> bool:
        kept = theta > objective.config.threshold
        before, self.kept = self.kept, kept
        if before is None:
            return False
        if not _is_stable(before, kept) or polarisation(theta) < 0.9:
            return False
        return abs(objective.fidelity(kept) - objective.sampled_fidelity(theta, rng=rng)) < 0.05


def _is_stable(before: Bool[Tensor, " candidates"], now: Bool[Tensor, " candidates"]) -> bool:
    """Whether a set is the one of the check before: 97 % of both in common."""
    union = (before | now).sum().item()
    return union == 0 or (before & now).sum().item() >= 0.97 * union


def schedule(config: BerOptConfig, step: int) -> tuple[float, float]:
    """Temperature (geometric) and learning rate (cosine to a tenth) of a step."""
    done = min(1.0, step / config.anneal_steps)
    hot, cold = config.temperatures
    return hot * (cold / hot) ** done, config.learning_rate * (0.55 + 0.45 * math.cos(math.pi * done))
