# SPDX-License-Identifier: MIT
"""GB-RRT (Jeon et al. 2020, Algorithm 2): a rapidly-exploring random tree that stays in a generative region.

Many iterations share one forward pass, and the tree is still the one that Algorithm 2 builds one
iteration at a time. Targets are drawn in order. A window of the next targets waits; each remembers its
nearest node and its candidate. The candidates are tested together and committed in order, up to the
first one whose nearest node was added in the meantime: that one steers anew and is tested again in the
next pass, the others keep their answers.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Int8
from torch import Tensor

from egbas.errors import ConfigError

Progress = Callable[[int, int, str], None]

OUTSIDE, TOO_CLOSE = 1, 2  # reasons for a rejection, as stored in run directories
_MOST_ITERATIONS = 10_000_000
_LEAST_STEPS_OF_ROUNDING = 1000  # edges then have the step size to a tenth of a percent


class GbRrtStatus(Enum):
    """How the tree's growth ended."""

    COMPLETED = "all iterations were done"
    NOTHING_ACCEPTED = "no candidate was accepted; lower the step size"


@runtime_checkable
class ContainsLatents(Protocol):
    """What GB-RRT needs of a region."""

    def contains(self, z: Float[Tensor, "n d"]) -> Bool[Tensor, " n"]:
        """Say which latents lie in the region."""
        ...


@dataclass(frozen=True, kw_only=True)
class GbRrtConfig:
    """Settings of GB-RRT.

    Attributes:
        iterations: N, candidates to try. 1 to 10,000,000.
        step_size: delta, length of every edge, in latent units; None: ``with_automatic``. > 0.
        half_width: I, the targets are uniform in z0 - I .. z0 + I, in latent units; None: ``with_automatic``. > 0.
        window: targets that share a forward pass; None: adapted to the acceptance. The tree does not depend on it.
    """

    iterations: int = 2000
    step_size: float | None = None
    half_width: float | None = None
    window: int | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 1 <= self.iterations <= _MOST_ITERATIONS:
            raise ConfigError(f"GB-RRT's iterations is {self.iterations}; it must be from 1 to {_MOST_ITERATIONS:,}")
        for name in ("step_size", "half_width"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ConfigError(f"GB-RRT's {name} is {value}; it must be a positive number, or None for automatic")
        if self.window is not None and self.window < 1:
            raise ConfigError(f"GB-RRT's window is {self.window}; it must be at least 1, or None for automatic")


@dataclass(frozen=True, kw_only=True, eq=False)
class Tree:
    """What GB-RRT grew.

    Attributes:
        latents: (n, d) nodes, the query first, in the order they were added.
        parents: (n,) int64 index of each node's parent, smaller than its own; -1 for the query.
        rejected: (r, d) candidates that were not added.
        rejected_reason: (r,) int8, 1 outside the region, 2 closer than the step size to another node.
        evaluations: latents that went through the region's membership test.
        rounds: membership calls that they went in.
        step_size: delta, in latent units.
        half_width: I, in latent units.
        status: how the growth ended.
    """

    latents: Float[Tensor, "n d"]
    parents: Int[Tensor, " n"]
    rejected: Float[Tensor, "r d"]
    rejected_reason: Int8[Tensor, " r"]
    evaluations: int
    rounds: int
    step_size: float
    half_width: float
    status: GbRrtStatus

    @property
    def acceptance(self) -> float:
        """Share of the iterations that added a node, 0..1."""
        return (len(self.latents) - 1) / (len(self.latents) - 1 + len(self.rejected))


def grow(
    z0: Float[Tensor, " d"],
    region: ContainsLatents,
    config: GbRrtConfig,
    *,
    rng: torch.Generator,
    progress: Progress | None = None,
) -> Tree:
    """Grow a tree from the query within its region (Algorithm 2).

    Args:
        z0: the query; it lies in the region. Its dtype and device are the tree's.
        region: tells which latents may be added.
        config: the settings, with step_size and half_width given.
        rng: a CPU generator; the targets come from it.
        progress: called with (iterations done, all iterations, text).

    Raises:
        ConfigError: step_size or half_width is None.
    """
    growth = Growth(z0, config, rng=rng)
    while not growth.is_done:
        candidates = growth.propose()
        growth.commit(region.contains(candidates) if len(candidates) else None)
        if progress:
            progress(growth.n_done, config.iterations, f"{growth.n_nodes} nodes")
    return growth.tree()


def with_automatic(
    config: GbRrtConfig, z0: Float[Tensor, " d"], region: ContainsLatents, *, largest_half_width: float
) -> GbRrtConfig:
    """Choose step_size and half_width, where they are None, from the extent of the region around the query.

    Straight lines from the query, in 32 directions that are the same in every run, leave the region at distances
    whose median is r and whose largest is R.

    half_width I = R, so that the targets fill the region and little more. In a much larger box nearly every target
    lies beyond the region, and in two dimensions the tree is four arms to the corners of the box.

    step_size delta = r / (1 + (N/9)^(1/d)) for N iterations in d dimensions: N balls of that radius fill a good part of
    a ball of radius r in 2 dimensions, and two steps lead from the query to the boundaries in 64 or 512.

    Args:
        config: the settings.
        z0: the query; it lies in the region.
        region: tells which latents may be added.
        largest_half_width: bound on I, from the latent space, in latent units; no line is followed beyond it
            or the typical distance of a target in that box, I sqrt(d / 3).
    """
    if config.step_size is not None and config.half_width is not None:
        return config
    d = z0.numel()
    far = (config.half_width or largest_half_width) * max(1.0, math.sqrt(d / 3))
    exits = exit_distances(region, z0, far=far)
    return replace(
        config,
        half_width=config.half_width or min(largest_half_width, exits.max().item()),
        step_size=config.step_size or exits.median().item() / (1 + (config.iterations / 9) ** (1 / d)),
    )


def exit_distances(region: ContainsLatents, z0: Float[Tensor, " d"], *, far: float) -> Float[Tensor, " rays"]:
    """Distances at which straight lines from z0 leave the region, ``far`` at most; within about 6 %."""
    rng = torch.Generator().manual_seed(0)
    directions = torch.nn.functional.normalize(torch.randn(_N_RAYS, z0.numel(), generator=rng)).to(z0)
    reached = torch.cat([z0.new_zeros(1), far / 2 ** torch.arange(_N_DOUBLINGS, -1, -1).to(z0)])  # (r,) rising
    points = z0 + reached[1:, None, None] * directions  # (r - 1, rays, d)
    is_inside = region.contains(points.flatten(0, 1)).view(points.shape[:2])
    n_inside = is_inside.cummin(dim=0).values.sum(dim=0)  # (rays,) before a line is outside for the first time
    inside = reached[n_inside]
    outside = reached[(n_inside + 1).clamp(max=len(reached) - 1)]
    for _ in range(_N_BISECTIONS):
        middle = (inside + outside) / 2
        is_inside = region.contains(z0 + middle[:, None] * directions)
        inside, outside = torch.where(is_inside, middle, inside), torch.where(is_inside, outside, middle)
    return outside


_N_RAYS, _N_DOUBLINGS, _N_BISECTIONS = 32, 10, 4


class Growth:
    """A tree while it grows: ``propose`` candidates, have them tested, ``commit`` the answers, until ``is_done``."""

    def __init__(self, z0: Float[Tensor, " d"], config: GbRrtConfig, *, rng: torch.Generator) -> None:
        """Start with the query as the only node."""
        if config.step_size is None or config.half_width is None:
            raise ConfigError(
                "GB-RRT needs a step_size and a half_width; egbas.explore chooses them where they are None"
            )
        rounding = torch.finfo(z0.dtype).eps * (z0.abs().max().item() + config.half_width)
        if config.step_size < _LEAST_STEPS_OF_ROUNDING * rounding:
            raise ConfigError(
                f"a step size of {config.step_size:.3g} is lost in the rounding of {z0.dtype} latents; expected at "
                f"least {_LEAST_STEPS_OF_ROUNDING * rounding:.2g}: raise it, or use a network in float64"
            )
        self.config, self.step_size = config, config.step_size
        self.targets = _Targets(z0, config.half_width, config.iterations, rng=rng)
        self.nodes = z0.new_empty(config.iterations + 1, z0.numel())  # (capacity, d)
        self.nodes[0] = z0
        self.n_nodes, self.n_done = 1, 0
        self.parents = np.full(config.iterations + 1, -1, dtype=np.int64)
        self.rejected: list[Tensor] = []
        self.reasons: list[int] = []
        self.window = _Window.empty(z0)
        self.window_size = config.window or _FIRST_WINDOW
        self.evaluations = self.rounds = 0

    @property
    def is_done(self) -> bool:
        """Whether every iteration is decided."""
        return self.n_done == self.config.iterations

    def propose(self) -> Float[Tensor, "m d"]:
        """Fill the window and return the candidates whose membership has to be tested, possibly none."""
        new = self.targets.draw(max(0, self.window_size - len(self.window)))  # it may just have been narrowed
        if len(new):
            self.window = self.window.extended(new, self.nodes[: self.n_nodes], self.step_size)
        return self.window.candidates[self.window.needs_test()]

    def commit(self, inside: Bool[Tensor, " m"] | None) -> None:
        """Take the answers for the proposed candidates (None where there were none) and decide in order."""
        if inside is not None:
            self.evaluations += len(inside)
            self.rounds += 1
            self.window.verdicts[self.window.needs_test()] = inside.to(self.window.verdicts)
        n_before = self.n_nodes
        n_decided = self._decide()
        if self.config.window is None:
            self._adapt(n_decided)
        self.n_done += n_decided
        added = self.nodes[n_before : self.n_nodes]
        self.window = self.window.advanced(n_decided, added, self.nodes[: self.n_nodes], self.step_size)

    def tree(self) -> Tree:
        """The finished tree, on the CPU."""
        latents = self.nodes[: self.n_nodes].cpu().clone()
        return Tree(
            latents=latents,
            parents=torch.from_numpy(self.parents[: self.n_nodes].copy()),
            rejected=torch.cat(self.rejected).cpu() if self.rejected else latents.new_empty(0, latents.shape[1]),
            rejected_reason=torch.tensor(self.reasons, dtype=torch.int8),
            evaluations=self.evaluations,
            rounds=self.rounds,
            step_size=self.step_size,
            half_width=self.targets.half_width,
            status=GbRrtStatus.COMPLETED if self.n_nodes > 1 else GbRrtStatus.NOTHING_ACCEPTED,
        )

    def _decide(self) -> int:
        """Commit the window's targets in order and return how many were decided."""
        window = self.window
        displaces, crowds = window.conflicts(self.step_size)  # (w, w) each
        is_free, is_inside = window.is_free.cpu().numpy(), window.verdicts.cpu().numpy() == _INSIDE
        parents = window.nearest.cpu().numpy()
        added: list[int] = []
        dropped: list[int] = []
        for i in range(len(window)):
            if added and displaces[i, added].any():
                break  # its nearest node is one of the new ones: steer and test again
            if not is_free[i] or (added and crowds[i, added].any()):
                dropped.append(i)
                self.reasons.append(TOO_CLOSE)
            elif is_inside[i]:
                self.parents[self.n_nodes + len(added)] = parents[i]
                added.append(i)
            else:
                dropped.append(i)
                self.reasons.append(OUTSIDE)
        if added:
            self.nodes[self.n_nodes : self.n_nodes + len(added)] = window.candidates[added]
            self.n_nodes += len(added)
        if dropped:
            self.rejected.append(window.candidates[dropped])
        return len(added) + len(dropped)

    def _adapt(self, n_decided: int) -> None:
        """Widen the window while whole windows are decided at once, narrow it where most of it waits."""
        if n_decided >= 0.8 * len(self.window):
            self.window_size = min(2 * self.window_size, _LARGEST_WINDOW)
        elif n_decided < 0.4 * len(self.window):
            self.window_size = max(self.window_size // 2, _SMALLEST_WINDOW)


_FIRST_WINDOW, _SMALLEST_WINDOW, _LARGEST_WINDOW = 16, 8, 256
_UNKNOWN, _OUTSIDE, _INSIDE = -1, 0, 1


class _Targets:
    """The targets z_i ~ U(z0 - I, z0 + I), in order, however many are asked for at a time."""

    _BLOCK = 256  # rows drawn at once: fixed, so that the stream does not depend on the window

    def __init__(self, z0: Float[Tensor, " d"], half_width: float, n: int, *, rng: torch.Generator) -> None:
        self.z0, self.half_width, self.rng = z0, half_width, rng
        self.n_left = n
        self.buffer = z0.new_empty(0, z0.numel())

    def draw(self, n: int) -> Float[Tensor, "n d"]:
        n = min(n, self.n_left)
        while len(self.buffer) < n:
            uniform = torch.rand(self._BLOCK, self.z0.numel(), generator=self.rng, dtype=torch.float64)
            block = self.z0 + self.half_width * (2 * uniform - 1).to(self.z0)
            self.buffer = torch.cat([self.buffer, block])
        drawn, self.buffer = self.buffer[:n], self.buffer[n:]
        self.n_left -= n
        return drawn


@dataclass(kw_only=True)
class _Window:
    """The pending targets in order, each with its nearest node, its candidate and what is known of it."""

    targets: Tensor  # (w, d)
    nearest: Tensor  # (w,) index of the nearest node
    distances: Tensor  # (w,) to the nearest node
    candidates: Tensor  # (w, d)
    is_free: Tensor  # (w,) bool: no node but the nearest lies within the step size of the candidate
    verdicts: Tensor  # (w,) int8: unknown, outside, inside

    def __len__(self) -> int:
        return len(self.targets)

    @classmethod
    def empty(cls, z0: Float[Tensor, " d"]) -> "_Window":
        def zeros(dtype: torch.dtype) -> Tensor:
            return torch.zeros(0, dtype=dtype, device=z0.device)

        points = z0.new_zeros(0, z0.numel())
        return cls(
            targets=points,
            nearest=zeros(torch.int64),
            distances=zeros(z0.dtype),
            candidates=points,
            is_free=zeros(torch.bool),
            verdicts=zeros(torch.int8),
        )

    def needs_test(self) -> Bool[Tensor, " w"]:
        return self.is_free & (self.verdicts == _UNKNOWN)

    def extended(self, targets: Tensor, nodes: Float[Tensor, "n d"], step_size: float) -> "_Window":
        distances, nearest = distance(targets, nodes).min(dim=1)
        new = _steered(targets, nearest, distances, nodes, step_size)
        return _Window(**{name: torch.cat([getattr(self, name), getattr(new, name)]) for name in vars(self)})

    def conflicts(self, step_size: float) -> tuple[np.ndarray, np.ndarray]:
        """For every pair i, j: would adding candidate j displace i's nearest node, or crowd i's candidate."""
        displaces = distance(self.targets, self.candidates) < self.distances[:, None]
        crowds = distance(self.candidates, self.candidates) < step_size
        return displaces.cpu().numpy(), crowds.cpu().numpy()

    def advanced(self, n_decided: int, added: Tensor, nodes: Tensor, step_size: float) -> "_Window":
        """Drop the decided targets and let the others see the nodes added since."""
        rest = _Window(**{name: value[n_decided:].clone() for name, value in vars(self).items()})
        if not len(rest) or not len(added):
            return rest
        distances, nearest = distance(rest.targets, added).min(dim=1)
        is_displaced = distances < rest.distances
        is_crowded = (distance(rest.candidates, added) < step_size).any(dim=1)
        rest.is_free &= ~is_crowded
        if bool(is_displaced.any()):
            first_added = len(nodes) - len(added)
            new = _steered(
                rest.targets[is_displaced],
                nearest[is_displaced] + first_added,
                distances[is_displaced],
                nodes,
                step_size,
            )
            for name, value in vars(new).items():
                getattr(rest, name)[is_displaced] = value
        return rest


def distance(a: Float[Tensor, "n d"], b: Float[Tensor, "m d"]) -> Float[Tensor, "n m"]:
    """Euclidean distances, each computed from its own two points: no cancellation, no dependence on the batch."""
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")


def _steered(
    targets: Float[Tensor, "w d"],
    nearest: Int[Tensor, " w"],
    distances: Float[Tensor, " w"],
    nodes: Float[Tensor, "n d"],
    step_size: float,
) -> _Window:
    """Step from each target's nearest node towards it, and look whether the place is free."""
    origins = nodes[nearest]
    # A target that is a node gives no direction: its candidate stays on that node and is too close.
    is_degenerate = distances == 0
    scale = step_size / torch.where(is_degenerate, torch.ones_like(distances), distances)
    candidates = origins + scale[:, None] * (targets - origins)
    to_nodes = distance(candidates, nodes)
    # Deviation from paper: read literally the spacing test never holds, since the parent itself lies at step_size.
    to_nodes.scatter_(1, nearest[:, None], torch.inf)
    return _Window(
        targets=targets,
        nearest=nearest,
        distances=distances,
        candidates=candidates,
        is_free=(to_nodes >= step_size).all(dim=1) & ~is_degenerate,
        verdicts=torch.full_like(nearest, _UNKNOWN, dtype=torch.int8),
    )
