# SPDX-License-Identifier: MIT
"""BerOpt (Jeon et al. 2020, Algorithm 1): the smallest supporting set of a layer, by an optimised Bernoulli mask.

In: the tail of a network at a query. Out: theta, the kept units with their signs, how well they carry the image.
Gradient steps through relaxed masks, then a local search over single units (``egbas.local_search``).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum

import torch
from jaxtyping import Bool, Float, Int, Int8
from torch import Tensor

from egbas.errors import ConfigError, NetworkError
from egbas.local_search import TRIED_IN_A_ROUND, local_search
from egbas.network import Tail

Progress = Callable[[int, int, str], None]


class BerOptStatus(Enum):
    """How BerOpt ended."""

    CONVERGED = "theta is polarised and the kept set no longer changes"
    MAX_STEPS = "the steps ran out before theta settled; raise max_steps"
    EMPTY = "no unit has theta above the threshold; lower the sparsity or the threshold"


@dataclass(frozen=True, kw_only=True)
class BerOptConfig:
    """Settings of BerOpt; one default serves every layer and model, because the loss is relative.

    Attributes:
        sparsity: weight of mean(theta) against the relative distance; lambda = sparsity * ||G(z0)|| / D_l. > 0.
        threshold: p; units with theta above it form the supporting set. In (0, 1).
        masks: Bernoulli masks a step, >= 1; None: 4, or 1 where an image has more than 100,000 values (256 x 256 in
            colour), for which a step takes most of a second on a processor.
        initial_theta: where every theta starts. From 0.5, layer 1 of a 2-D latent loses all its units to the L1 term
            before the masks have shown which of them matter; well above it the set shrinks from the side of
            faithful images. In (0, 1).
        learning_rate: of Adam on the logits of theta, at the start; falls along a cosine to a tenth. > 0.
        temperatures: of the relaxed Bernoulli masks, at the start and after the annealing. > 0.
        anneal_steps: steps over which temperature and learning rate fall. >= 1.
        max_steps: bound on all steps; those after the annealing wait for convergence. >= anneal_steps.
    """

    sparsity: float = 1.0
    threshold: float = 0.5
    masks: int | None = None
    initial_theta: float = 0.75
    learning_rate: float = 0.3
    temperatures: tuple[float, float] = (1.0, 0.1)
    anneal_steps: int = 400
    max_steps: int = 1500

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("sparsity", "learning_rate"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ConfigError(f"BerOpt's {name} is {value}; it must be a positive number")
        for name in ("threshold", "initial_theta"):
            value = getattr(self, name)
            if not 0 < value < 1:
                raise ConfigError(f"BerOpt's {name} is {value}; it must lie between 0 and 1, for example 0.5")
        if (self.masks is not None and self.masks < 1) or self.anneal_steps < 1:
            raise ConfigError(
                f"BerOpt's masks ({self.masks}) and anneal_steps ({self.anneal_steps}) must be at least 1"
            )
        if self.max_steps < self.anneal_steps:
            raise ConfigError(f"BerOpt's max_steps ({self.max_steps}) is below its anneal_steps ({self.anneal_steps})")
        if len(self.temperatures) != 2 or not all(math.isfinite(t) and t > 0 for t in self.temperatures):
            raise ConfigError(f"BerOpt's temperatures are {self.temperatures}; they must be two positive numbers")


@dataclass(frozen=True, kw_only=True, eq=False)
class BerOptResult:
    """What BerOpt found.

    Attributes:
        theta: (units,) probability of keeping each unit of the layer.
        units: (k,) int64 indices, in the flattened layer, of the units with theta above the threshold.
        signs: (k,) int8 in {-1, +1}, the sides of their boundaries that the query is on.
        fidelity: ||f_{L:l+1}(h0 * 1[theta > p]) - G(z0)|| / ||G(z0)||; 0 is perfect.
        sampled_fidelity: the same, mean over masks drawn from Ber(theta).
        polarisation: share of the units that can matter whose theta is within 0.05 of 0 or 1.
        losses: (steps,) the loss at every step.
        sizes: (steps,) the expected size of the set, sum(theta), at every step.
        status: how it ended.
        config: the settings it ran with.
    """

    theta: Float[Tensor, " units"]
    units: Int[Tensor, " k"]
    signs: Int8[Tensor, " k"]
    fidelity: float
    sampled_fidelity: float
    polarisation: float
    losses: Float[Tensor, " steps"]
    sizes: Float[Tensor, " steps"]
    status: BerOptStatus
    config: BerOptConfig

    @property
    def steps(self) -> int:
        """How many steps were taken."""
        return len(self.losses)

    @property
    def evaluations(self) -> int:
        """Passes of one mask through the tail, forward and back, that the steps took."""
        assert self.config.masks is not None  # `optimize` settles it
        return self.steps * self.config.masks


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
        config = replace(config, masks=default_masks(tail))
    objective = _Objective(tail, config)
    descents = [_descend(objective, config.initial_theta, rng=rng, progress=progress)]
    # The set of no units is a local minimum that the L1 term may run into. Where most of the image is lost, a second
    # start from the side of faithful images decides which of the two is better.
    left = objective.fidelity(descents[0].theta > config.threshold)
    if objective.n_candidates and left > _MOSTLY_LOST * objective.empty_fidelity():
        descents.append(_descend(objective, (1 + config.initial_theta) / 2, rng=rng, progress=progress))
    return min((_result(objective, descent, rng=rng) for descent in descents), key=objective.value)


def default_masks(tail: Tail) -> int:
    """Masks a step where the settings do not say."""
    return 1 if _is_large(tail) else _MASKS


def largest_search(tail: Tail) -> int:
    """Masks that the local search tries, as a rule at most."""
    return TRIED_IN_A_ROUND * (_LARGE_ROUNDS if _is_large(tail) else _USUAL_ROUNDS)


_MASKS = 4
_USUAL_ROUNDS = 20
_LARGE_IMAGE = 100_000  # values; from there on a forward pass of the tail takes a good part of a second
_VALUES_AT_ONCE = 200_000  # of images in one pass
_LARGE_ROUNDS = 2  # of the local search, which would otherwise take longer than the steps before it
_MOSTLY_LOST = 0.5
_CHECK_EVERY = 25
_N_CHECK_MASKS = 8


@dataclass(frozen=True, kw_only=True, eq=False)
class _Descent:
    """Where the steps from one start ended: theta of the candidates, what every step recorded, and how."""

    theta: Float[Tensor, " candidates"]
    losses: list[Tensor]
    sizes: list[Tensor]
    status: BerOptStatus


def _descend(
    objective: "_Objective", initial_theta: float, *, rng: torch.Generator, progress: Progress | None
) -> _Descent:
    """Take steps from one start until the set has settled."""
    tail, config = objective.tail, objective.config
    start = math.log(initial_theta / (1 - initial_theta))
    logits = tail.a.new_full((objective.n_candidates,), start, requires_grad=True)
    adam = torch.optim.Adam([logits], lr=config.learning_rate, betas=(0.9, 0.99))
    losses, sizes = [], []
    status = BerOptStatus.MAX_STEPS
    settled = _Settled()
    for step in range(config.max_steps if objective.n_candidates else 0):
        temperature, rate = _schedule(config, step)
        adam.param_groups[0]["lr"] = rate
        loss = objective.loss(logits, temperature, rng=rng)
        adam.zero_grad(set_to_none=True)
        loss.backward()
        adam.step()
        losses.append(loss.detach())
        sizes.append(logits.detach().sigmoid().sum())
        if progress and step % 10 == 0:
            progress(step, config.max_steps, f"loss {loss.item():.3f}, {sizes[-1].item():.0f} units expected")
        is_check = step + 1 >= config.anneal_steps and (step + 1 - config.anneal_steps) % _CHECK_EVERY == 0
        if is_check and settled(objective, logits.detach().sigmoid(), rng=rng):
            status = BerOptStatus.CONVERGED
            break
    return _Descent(theta=logits.detach().sigmoid(), losses=losses, sizes=sizes, status=status)


def _is_large(tail: Tail) -> bool:
    return tail.x.numel() > _LARGE_IMAGE


class _Objective:
    """The loss of eq. 1 divided by ||G(z0)||, over the units that can matter."""

    def __init__(self, tail: Tail, config: BerOptConfig) -> None:
        self.tail, self.config = tail, config
        self.norm = tail.x.norm()
        if not self.norm > 0:
            raise NetworkError("the query's image is zero everywhere; BerOpt's distance is relative to its norm")
        # A unit whose output is zero at the query cannot change the image, and one that lies on its own boundary
        # has no side: for both the minimiser is theta = 0, so they are left out of the search.
        self.candidates = ((tail.a != 0) & (tail.h != 0)).nonzero()[:, 0]  # (candidates,)
        self.n_candidates = len(self.candidates)
        self.n_units = len(tail.a)

    def distance(self, masks: Float[Tensor, "masks candidates"]) -> Float[Tensor, " masks"]:
        """Relative distance between the masked image and the query's image."""
        a = self.tail.a.new_zeros(len(masks), self.n_units)
        a = a.index_copy(1, self.candidates, masks.to(a) * self.tail.a[self.candidates])  # (masks, units)
        # Large images one by one: a batch of four of 256 x 256 takes a third longer than they do alone.
        at_once = max(1, _VALUES_AT_ONCE // self.tail.x.numel())
        images = (self.tail(part) for part in a.split(at_once))
        return torch.cat([(x - self.tail.x).flatten(1).norm(dim=1) / self.norm for x in images])

    def loss(self, logits: Float[Tensor, " candidates"], temperature: float, *, rng: torch.Generator) -> Tensor:
        assert self.config.masks is not None  # chosen by optimize
        masks = _relaxed_masks(logits, temperature, self.config.masks, rng=rng)
        return self.distance(masks).mean() + self.config.sparsity * logits.sigmoid().sum() / self.n_units

    @torch.no_grad()
    def fidelity(self, kept: Bool[Tensor, " candidates"]) -> float:
        return self.distance(kept[None].to(self.tail.a.dtype)).item()

    def empty_fidelity(self) -> float:
        return self.fidelity(torch.zeros(self.n_candidates, dtype=torch.bool, device=self.tail.a.device))

    def value(self, found: BerOptResult) -> float:
        """The loss of a thresholded set."""
        return found.fidelity + self.config.sparsity * len(found.units) / self.n_units

    @torch.no_grad()
    def sampled_fidelity(self, theta: Float[Tensor, " candidates"], *, rng: torch.Generator) -> float:
        uniform = torch.rand(_N_CHECK_MASKS, self.n_candidates, generator=rng).to(theta)
        return self.distance((uniform < theta).to(theta)).mean().item()


class _Settled:
    """The convergence test: polarised theta, thresholded set as faithful as sampled ones, and unchanged."""

    def __init__(self) -> None:
        self.kept: Tensor | None = None

    def __call__(self, objective: _Objective, theta: Tensor, *, rng: torch.Generator) -> bool:
        kept = theta > objective.config.threshold
        before, self.kept = self.kept, kept
        if before is None:
            return False
        union = (before | kept).sum().item()
        is_stable = union == 0 or (before & kept).sum().item() >= 0.97 * union
        if not is_stable or _polarisation(theta) < 0.9:
            return False
        return abs(objective.fidelity(kept) - objective.sampled_fidelity(theta, rng=rng)) < 0.05


def _schedule(config: BerOptConfig, step: int) -> tuple[float, float]:
    """Temperature (geometric) and learning rate (cosine to a tenth) of a step."""
    done = min(1.0, step / config.anneal_steps)
    hot, cold = config.temperatures
    return hot * (cold / hot) ** done, config.learning_rate * (0.55 + 0.45 * math.cos(math.pi * done))


def _relaxed_masks(
    logits: Float[Tensor, " candidates"], temperature: float, n: int, *, rng: torch.Generator
) -> Float[Tensor, "masks candidates"]:
    """Draw n relaxed Bernoulli masks: sigmoid((logits + log u - log(1 - u)) / temperature), Maddison et al. 2017.

    ``torch.distributions.RelaxedBernoulli`` draws the same but takes no generator.
    """
    tiny = torch.finfo(logits.dtype).eps
    uniform = torch.rand(n, len(logits), generator=rng).to(logits).clamp(tiny, 1 - tiny)
    return ((logits + uniform.log() - (-uniform).log1p()) / temperature).sigmoid()


def _polarisation(theta: Float[Tensor, " candidates"]) -> float:
    if len(theta) == 0:
        return 1.0
    return ((theta < 0.05) | (theta > 0.95)).float().mean().item()


def _improved(objective: _Objective, theta: Float[Tensor, " candidates"]) -> Float[Tensor, " candidates"]:
    """Set theta to 0 or 1 for the units whose other side of a half lowers the loss."""
    if len(theta) == 0:
        return theta
    kept = theta > 0.5
    price = objective.config.sparsity / objective.n_units
    rounds = {"rounds": _LARGE_ROUNDS} if _is_large(objective.tail) else {}
    found = local_search(kept, objective.distance, price, **rounds)
    return torch.where(found == kept, theta, found.to(theta))


def _result(objective: _Objective, descent: _Descent, *, rng: torch.Generator) -> BerOptResult:
    tail, config, losses, sizes = objective.tail, objective.config, descent.losses, descent.sizes
    theta = _improved(objective, descent.theta)
    kept = theta > config.threshold
    units = objective.candidates[kept]
    all_theta = theta.new_zeros(objective.n_units).index_copy(0, objective.candidates, theta)
    empty = theta.new_zeros(0)
    return BerOptResult(
        theta=all_theta.cpu(),
        units=units.cpu(),
        signs=tail.h[units].sign().to(torch.int8).cpu(),
        fidelity=objective.fidelity(kept),
        sampled_fidelity=objective.sampled_fidelity(theta, rng=rng),
        polarisation=_polarisation(theta),
        losses=torch.stack(losses).cpu() if losses else empty.cpu(),
        sizes=torch.stack(sizes).cpu() if sizes else empty.cpu(),
        status=BerOptStatus.EMPTY if len(units) == 0 else descent.status,
        config=config,
    )
