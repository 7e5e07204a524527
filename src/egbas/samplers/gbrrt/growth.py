# SPDX-License-Identifier: MIT
"""The loop of GB-RRT (Jeon et al. 2020, Algorithm 2).

Many iterations share one forward pass, and the tree is still the one that Algorithm 2 builds one
iteration at a time. Targets are drawn in order. A window of the next targets waits; each remembers its
nearest node and its candidate. The candidates are tested together and decided in order (``decide``): a
target whose nearest node was added in the meantime steers anew and waits for the next pass, with those
that hang on what becomes of it; the others keep their answers.
"""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor

from egbas.geometry import Flat, Geometry
from egbas.region import Region, SupportingRegion
from egbas.region.affine_walls import AffineWalls, affine_walls
from egbas.samplers.gbrrt.config import GbRrtConfig
from egbas.samplers.gbrrt.decide import choose, decide
from egbas.samplers.gbrrt.extent import step_and_half_width
from egbas.samplers.gbrrt.in_turn import decide_in_turn
from egbas.samplers.gbrrt.nearest.lookahead import Lookahead
from egbas.samplers.gbrrt.nearest.search import FEW
from egbas.samplers.gbrrt.targets import Targets
from egbas.samplers.gbrrt.tree import GbRrtStatus, Tree
from egbas.samplers.gbrrt.window import UNKNOWN, Array, Nodes, Rejections, Stride, Window, admit

Progress = Callable[[int, int, str], None]

_FIRST_WINDOW, _SMALLEST_WINDOW, _LARGEST_WINDOW = 16, 8, 64


def grow(
    z0: Float[Tensor, " d"],
    region: Region,
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
        growth.advance(region)
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
        step_size, half_width = step_and_half_width(config, geometry, z0.dtype)
        self.config, self.stride, query = config, Stride.of(geometry, step_size), z0.numpy()
        self.targets = Targets(geometry, half_width, config.iterations, rng=rng)
        self.window_size = config.window or _FIRST_WINDOW
        room = min(config.window or _LARGEST_WINDOW, config.iterations)
        self.nodes, self.window = Nodes.empty(config.iterations + 1, query), Window.empty(room, query)
        self.lookahead = Lookahead(self.targets, self.nodes)
        self.n_nodes = self.n_pending = self.n_done = 0
        self.add(query[None], np.array([-1]), np.array([-1]))
        self.asked = np.zeros(room, np.int64)  # rows of the window whose candidates were proposed
        self.n_asked = 0
        self.last_rejected = Rejections.empty(room, query)  # in one pass
        self.rejected = [Rejections.empty(0, query)]  # in all passes
        self.evaluations = self.rounds = 0
        self._walls: AffineWalls | None = None
        self._walls_of: Region | None = None
        self.n_inside, self.n_tested = 1, 2  # before anything is known, every other candidate is expected inside

    @property
    def is_done(self) -> bool:
        """Whether every iteration is decided."""
        return self.n_done == self.config.iterations

    def walls(self, region: Region) -> AffineWalls | None:
        """The walls of a region in which no target has to wait; None: candidates are proposed, tested, committed.

        A window that was asked for waits, and so does whoever is not in float32.
        """
        if self._walls_of is not region:  # once: the order in which they are asked is learnt
            is_fit = self.config.window is None and self.nodes.latents.dtype == np.float32
            self._walls = affine_walls(region.halfspaces) if isinstance(region, SupportingRegion) and is_fit else None
            self._walls_of = region
        return self._walls

    def advance(self, region: Region) -> None:
        """Decide some targets: a few in turn, or what one pass of the head allows."""
        walls = self.walls(region)
        if walls is not None:
            self._decide_in_turn(region, walls)
        else:
            candidates = self.propose()
            self.commit(region.contains(candidates) if len(candidates) else None)

    def propose(self) -> Float[Tensor, "m d"]:
        """Fill the window and return the candidates whose membership has to be tested, possibly none."""
        wanted = max(0, self.window_size - self.n_pending)  # the window may just have been narrowed
        new, parents, squares = self.lookahead.take(wanted, self.n_nodes)
        if len(new):
            first = self.n_done + self.n_pending
            admit(self.window, self.n_pending, new, first, parents, squares, self.nodes, self.n_nodes, self.stride)
            self.n_pending += len(new)
        # In few dimensions all targets compete for the same nodes, and waiting would double the rounds.
        acceptance = 0.0 if self.targets.geometry.dimensions <= FEW else self.n_inside / self.n_tested
        self.n_asked = choose(self.window, self.n_pending, acceptance, self.asked)
        return torch.from_numpy(self.window.candidates[self.asked[: self.n_asked]]).to(self._device)

    def commit(self, inside: Bool[Tensor, " m"] | None) -> None:
        """Take the answers for the proposed candidates (None where there were none) and decide in order."""
        if inside is not None:
            self.evaluations += len(inside)
            self.rounds += 1
            verdicts = inside.cpu().numpy()
            self.window.verdicts[self.asked[: self.n_asked]] = verdicts  # INSIDE is 1, NOT_INSIDE is 0
            self.n_inside += int(np.count_nonzero(verdicts))
            self.n_tested += len(verdicts)
        before = self.n_pending
        self.n_pending, self.n_nodes, n_rejected = decide(
            self.window, before, self.nodes, self.n_nodes, self.last_rejected, self.stride
        )
        if n_rejected:
            self.rejected.append(self.last_rejected.first(n_rejected))
        self.n_done += before - self.n_pending
        if self.config.window is None:
            self._adapt(before - self.n_pending, before)

    def _decide_in_turn(self, region: Region, walls: AffineWalls) -> None:
        """Decide the next targets one after another; what the walls cannot tell the region does."""
        new, parents, squares = self.lookahead.take(len(self.asked), self.n_nodes)
        n, n_known, window = len(new), self.n_nodes, self.window
        window.targets[:n], window.nearest[:n], window.squares[:n] = new, parents, squares
        window.iterations[:n], window.verdicts[:n] = np.arange(self.n_done, self.n_done + n), UNKNOWN
        row = n_rejected = 0
        while row < n:
            rows = (row, n, n_known)
            row, self.n_nodes, n_rejected, n_tests = decide_in_turn(
                window, rows, self.n_nodes, self.nodes, self.last_rejected, n_rejected, self.stride, walls
            )
            self.evaluations += n_tests
            if row < n:  # too close to a boundary, or no number, which is an error
                candidate = torch.from_numpy(window.candidates[row : row + 1].copy()).to(self._device)
                window.verdicts[row] = bool(region.contains(candidate))
        if n_rejected:
            self.rejected.append(self.last_rejected.first(n_rejected))
        self.n_done += n
        self.rounds += 1

    def add(
        self,
        latents: Float[Array, "n d"],
        parents: Int[NDArray[np.int64], " n"],
        iterations: Int[NDArray[np.int64], " n"],
    ) -> None:
        """Add nodes as they are."""
        new = slice(self.n_nodes, self.n_nodes + len(latents))
        self.nodes.latents[new], self.nodes.squares[new] = latents, np.square(latents).sum(axis=1)
        self.nodes.parents[new], self.nodes.iterations[new] = parents, iterations
        self.n_nodes += len(latents)

    def tree(self) -> Tree:
        """The finished tree, on the CPU, in the order of the iterations."""
        nodes = self.nodes.first(self.n_nodes)
        order = nodes.iterations.argsort()
        rank = np.empty_like(order)
        rank[order] = np.arange(self.n_nodes)
        parents = nodes.parents[order]
        iterations, candidates, reasons = map(np.concatenate, zip(*self.rejected, strict=True))
        by_iteration = iterations.argsort()
        status = GbRrtStatus.COMPLETED if self.n_nodes > 1 else GbRrtStatus.NOTHING_ACCEPTED
        return Tree(
            latents=torch.from_numpy(nodes.latents[order]),
            parents=torch.from_numpy(np.where(parents < 0, -1, rank[parents])),
            rejected=torch.from_numpy(candidates[by_iteration]),
            rejected_reason=torch.from_numpy(reasons[by_iteration]),
            evaluations=self.evaluations,
            rounds=self.rounds,
            step_size=self.stride.length,
            half_width=self.targets.half_width,
            status=status,
            sentence=status.sentence,
        )

    def _adapt(self, n_decided: int, n_pending: int) -> None:
        """Widen the window while whole windows are decided at once, narrow it where most of it waits."""
        if n_decided >= 0.8 * n_pending:
            self.window_size = min(2 * self.window_size, _LARGEST_WINDOW)
        elif n_decided < 0.4 * n_pending:
            self.window_size = max(self.window_size // 2, _SMALLEST_WINDOW)
