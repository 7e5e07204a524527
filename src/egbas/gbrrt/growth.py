# SPDX-License-Identifier: MIT
"""The loop of GB-RRT (Jeon et al. 2020, Algorithm 2).

Many iterations share one forward pass, and the tree is still the one that Algorithm 2 builds one
iteration at a time. Targets are drawn in order. A window of the next targets waits; each remembers its
nearest node and its candidate. The candidates are tested together and committed in order, up to the
first one whose nearest node was added in the meantime: that one steers anew and is tested again in the
next pass, the others keep their answers.
"""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from egbas.errors import ConfigError
from egbas.gbrrt.automatic import smallest_step
from egbas.gbrrt.config import GbRrtConfig
from egbas.gbrrt.targets import Targets
from egbas.gbrrt.tree import OUTSIDE, TOO_CLOSE, ContainsLatents, GbRrtStatus, Tree
from egbas.gbrrt.window import INSIDE, Stride, Window
from egbas.geometry import Flat, Geometry

Progress = Callable[[int, int, str], None]

_FIRST_WINDOW, _SMALLEST_WINDOW, _LARGEST_WINDOW = 16, 8, 256


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
        z0: the query; it lies in the region. Its dtype and device are the tree's.
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
    """A tree while it grows: ``propose`` candidates, have them tested, ``commit`` the answers, until ``is_done``."""

    def __init__(
        self,
        z0: Float[Tensor, " d"],
        config: GbRrtConfig,
        *,
        rng: torch.Generator,
        geometry: Geometry | None = None,
    ) -> None:
        """Start with the query as the only node."""
        geometry = geometry or Flat(z0)
        step_size, half_width = _checked(config, geometry, z0.dtype)
        self.config, self.stride = config, Stride(geometry, step_size)
        self.targets = Targets(geometry, half_width, config.iterations, rng=rng)
        self.nodes = z0.new_empty(config.iterations + 1, z0.numel())  # (capacity, d)
        self.nodes[0] = z0
        self.n_nodes, self.n_done = 1, 0
        self.parents = np.full(config.iterations + 1, -1, dtype=np.int64)
        self.rejected: list[Tensor] = []
        self.reasons: list[int] = []
        self.window = Window.empty(z0)
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
            self.window = self.window.extended(new, self.nodes[: self.n_nodes], self.stride)
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
        self.window = self.window.advanced(n_decided, added, self.nodes[: self.n_nodes], self.stride)

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
            step_size=self.stride.length,
            half_width=self.targets.half_width,
            status=GbRrtStatus.COMPLETED if self.n_nodes > 1 else GbRrtStatus.NOTHING_ACCEPTED,
        )

    def _decide(self) -> int:
        """Commit the window's targets in order and return how many were decided."""
        window = self.window
        displaces, crowds = window.conflicts(self.stride)  # (w, w) each
        is_free, is_inside = window.is_free.cpu().numpy(), window.verdicts.cpu().numpy() == INSIDE
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
