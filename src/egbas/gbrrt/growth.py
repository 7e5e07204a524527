# SPDX-License-Identifier: MIT
"""The loop of GB-RRT (Jeon et al. 2020, Algorithm 2).

Many iterations share one forward pass, and the tree is still the one that Algorithm 2 builds one
iteration at a time. Targets are drawn in order. A window of the next targets waits; each remembers its
nearest node and its candidate. The candidates are tested together and committed in order (``commit``): a
target whose nearest node was added in the meantime steers anew and waits for the next pass, with those
that hang on what becomes of it; the others keep their answers.
"""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor

from egbas.errors import ConfigError
from egbas.gbrrt.automatic import smallest_step
from egbas.gbrrt.commit import Conflicts, Decisions, Nodes, decide
from egbas.gbrrt.config import GbRrtConfig
from egbas.gbrrt.nearness import Array, Ruler, closer, nearest
from egbas.gbrrt.targets import Targets
from egbas.gbrrt.tree import OUTSIDE, TOO_CLOSE, ContainsLatents, GbRrtStatus, Tree
from egbas.gbrrt.window import INSIDE, NOT_INSIDE, UNKNOWN, Stride, Window
from egbas.geometry import Flat, Geometry

Progress = Callable[[int, int, str], None]

_FEW = 16  # dimensions; in so few all targets compete for the same nodes, and waiting doubles the rounds
_FIRST_WINDOW, _SMALLEST_WINDOW, _LARGEST_WINDOW = 16, 8, 64


def grow(
    z0: Float[Tensor, " d"],
    region: ContainsLatents,
    config: GbRrtConfig,
    *,
    rng: torch.Generator,
    geometry: Geometry | None = None,
    progress: Progress | None = None,
) -> Tree:
    """Grow a tree from the query within its region (Algorithm 2).

    Args:
        z0: the query; it lies in the region. Its dtype is the tree's.
        region: tells which latents may be added.
        config: the settings, with step_size and half_width given.
        rng: a CPU generator; the targets come from it.
        geometry: the space around the query; None: flat.
        progress: called with (iterations done, all iterations, text).

    Raises:
        ConfigError: step_size or half_width is None, or the step size is too small or too large for the space.
    """
    growth = Growth(z0, config, rng=rng, geometry=geometry)
    while not growth.is_done:
        candidates = growth.propose()
        growth.commit(region.contains(candidates) if len(candidates) else None)
        if progress:
            progress(growth.n_done, config.iterations, f"{growth.n_nodes} nodes")
    return growth.tree()


class Growth:
    """A tree while it grows: ``propose`` candidates, have them tested, ``commit`` the answers, until ``is_done``.

    The tree lies in the processor's memory wherever the network is: a pass sends candidates to the device and brings
    one answer for each of them back.
    """

    def __init__(
        self,
        z0: Float[Tensor, " d"],
        config: GbRrtConfig,
        *,
        rng: torch.Generator,
        geometry: Geometry | None = None,
    ) -> None:
        """Start with the query as the only node."""
        self._device, z0 = z0.device, z0.detach().cpu()
        geometry = geometry or Flat(z0)
        step_size, half_width = _checked(config, geometry, z0.dtype)
        self.config, self.stride = config, Stride(geometry, step_size)
        self.targets = Targets(geometry, half_width, config.iterations, rng=rng)
        query = z0.numpy()
        self.ruler = Ruler(query)
        self.nodes = self.ruler.empty(config.iterations + 1, query)  # in the order they were committed in
        self.iterations = np.full(config.iterations + 1, -1, dtype=np.int64)  # that added them
        self.parents = np.full(config.iterations + 1, -1, dtype=np.int64)
        self.n_nodes = self.n_done = 0
        self._add(query[None], np.array([-1]), np.array([-1]))
        self.rejected: list[tuple[NDArray[np.generic], ...]] = []  # iterations, candidates, reasons
        self.window = Window.empty(self.ruler, query)
        self.window_size = config.window or _FIRST_WINDOW
        self.conflicts = Conflicts.of(self.window, self.stride)
        self.is_asked = self.window.needs_test()
        self.evaluations = self.rounds = 0
        self.n_inside, self.n_tested = 1, 2  # before anything is known, every other candidate is expected inside

    @property
    def is_done(self) -> bool:
        """Whether every iteration is decided."""
        return self.n_done == self.config.iterations

    def propose(self) -> Float[Tensor, "m d"]:
        """Fill the window and return the candidates whose membership has to be tested, possibly none."""
        first = self.n_done + len(self.window)
        new = self.targets.draw(max(0, self.window_size - len(self.window)))  # it may just have been narrowed
        if len(new):
            self.window = self.window.joined(self._steered(new.cpu().numpy(), first))
        self.conflicts = Conflicts.of(self.window, self.stride)
        self.is_asked = self.window.needs_test()
        if self.stride.geometry.dimensions > _FEW:
            self.is_asked &= self.conflicts.worth_testing(self.window, self.n_inside / self.n_tested)
        return torch.from_numpy(self.window.candidates.latents[self.is_asked]).to(self._device)

    def commit(self, inside: Bool[Tensor, " m"] | None) -> None:
        """Take the answers for the proposed candidates (None where there were none) and decide in order."""
        window = self.window
        if inside is not None:
            self.evaluations += len(inside)
            self.rounds += 1
            verdicts = inside.cpu().numpy()
            window.verdicts[self.is_asked] = np.where(verdicts, INSIDE, NOT_INSIDE)
            self.n_inside += int(verdicts.sum())
            self.n_tested += len(verdicts)
        decisions = decide(window, self.conflicts, self.stride, self.ruler, self._tree_so_far())
        self._record(decisions)
        if self.config.window is None:
            self._adapt(int(decisions.is_decided.sum()))
        self.n_done += int(decisions.is_decided.sum())
        self.window = window.chosen(~decisions.is_decided)

    def tree(self) -> Tree:
        """The finished tree, on the CPU, in the order of the iterations."""
        order = self.iterations[: self.n_nodes].argsort()
        rank = np.empty_like(order)
        rank[order] = np.arange(self.n_nodes)
        parents = self.parents[order]
        latents = torch.from_numpy(self.nodes.latents[order])
        none = (np.zeros(0, np.int64), self.nodes.latents[:0], np.zeros(0, np.int8))
        iterations, rejected, reasons = map(np.concatenate, zip(none, *self.rejected, strict=True))
        by_iteration = iterations.argsort()
        return Tree(
            latents=latents,
            parents=torch.from_numpy(np.where(parents < 0, -1, rank[parents])),
            rejected=torch.from_numpy(rejected[by_iteration]),
            rejected_reason=torch.from_numpy(reasons[by_iteration]),
            evaluations=self.evaluations,
            rounds=self.rounds,
            step_size=self.stride.length,
            half_width=self.targets.half_width,
            status=GbRrtStatus.COMPLETED if self.n_nodes > 1 else GbRrtStatus.NOTHING_ACCEPTED,
        )

    def _tree_so_far(self) -> Nodes:
        return Nodes(points=self.nodes[: self.n_nodes], iterations=self.iterations[: self.n_nodes])

    def _steered(self, targets: Array, first: int) -> Window:
        """Window of new targets, whose numbers start with ``first``: all nodes are older."""
        points, nodes = self.ruler.points(targets), self.nodes[: self.n_nodes]
        parents, chords = nearest(points, nodes)
        origins = nodes.latents[parents]
        latents = self.stride.take(origins, targets, chords)
        candidates = self.ruler.points(latents)
        # A target that is a node gives no direction: its candidate stays on that node and is too close.
        is_free = (latents != origins).any(axis=1)
        near = np.flatnonzero(chords < self.stride.overshoots)
        if len(near):
            # Deviation from paper: read literally the spacing test never holds, for the parent lies at step_size.
            is_near = closer(candidates[near], nodes, self.stride.spacing)
            is_near[np.arange(len(near)), parents[near]] = False
            is_free[near] &= ~is_near.any(axis=1)
        return Window(
            iterations=np.arange(first, first + len(targets)),
            targets=points,
            nearest=parents,
            chords=chords,
            candidates=candidates,
            is_free=is_free,
            verdicts=np.full(len(targets), UNKNOWN, np.int8),
        )

    def _record(self, decisions: Decisions) -> None:
        """Add the accepted candidates to the tree, note the others, and hand those that steer anew their nodes."""
        window, first = self.window, self.n_nodes
        accepted = decisions.accepted
        self._add(window.candidates.latents[accepted], window.nearest[accepted], window.iterations[accepted])
        for reason, rows in ((TOO_CLOSE, decisions.too_close), (OUTSIDE, decisions.outside)):
            if len(rows):
                reasons = np.full(len(rows), reason, np.int8)
                self.rejected.append((window.iterations[rows], window.candidates.latents[rows], reasons))
        number = np.full(len(window), -1)
        number[accepted] = first + np.arange(len(accepted))
        window.nearest[decisions.displaced] = number[decisions.parents]

    def _add(self, latents: Array, parents: NDArray[np.int64], iterations: NDArray[np.int64]) -> None:
        new = slice(self.n_nodes, self.n_nodes + len(latents))
        points = self.ruler.points(latents)
        self.nodes.latents[new], self.nodes.values[new], self.nodes.squares[new] = (
            latents,
            points.values,
            points.squares,
        )
        self.parents[new], self.iterations[new] = parents, iterations
        self.n_nodes += len(latents)

    def _adapt(self, n_decided: int) -> None:
        """Widen the window while whole windows are decided at once, narrow it where most of it waits."""
        if n_decided >= 0.8 * len(self.window):
            self.window_size = min(2 * self.window_size, _LARGEST_WINDOW)
        elif n_decided < 0.4 * len(self.window):
            self.window_size = max(self.window_size // 2, _SMALLEST_WINDOW)


def _checked(config: GbRrtConfig, geometry: Geometry, dtype: torch.dtype) -> tuple[float, float]:
    """Step size and half-width, where both are given and the space has room and precision for them."""
    if config.step_size is None or config.half_width is None:
        raise ConfigError("GB-RRT needs a step_size and a half_width; egbas.explore chooses them where they are None")
    if geometry.limit(config.step_size) < config.step_size:
        raise ConfigError(
            f"a step size of {config.step_size:.3g} is more than the largest distance on a {geometry.description}, "
            f"{geometry.limit(config.step_size):.3g}; lower it"
        )
    least = smallest_step(geometry, config.half_width, dtype)
    if config.step_size < least:
        raise ConfigError(
            f"a step size of {config.step_size:.3g} is lost in the rounding of {dtype} latents; expected at "
            f"least {least:.2g}: raise it, or use a network in float64"
        )
    return config.step_size, geometry.limit(config.half_width)
