# SPDX-License-Identifier: MIT
"""GB-RRT as the paper writes it (Jeon et al. 2020, Algorithm 2): one candidate at a time, on one page.

Read this first. ``grow`` grows the same tree many times faster; the tests hold it against this one, and the benchmarks
measure it beside this one.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from egbas.geometry import Flat, Geometry
from egbas.region import Region
from egbas.samplers.gbrrt.config import GbRrtConfig
from egbas.samplers.gbrrt.extent import step_and_half_width
from egbas.samplers.gbrrt.targets import Targets
from egbas.samplers.gbrrt.tree import OUTSIDE, TOO_CLOSE, GbRrtStatus, Tree


def grow_literally(
    z0: Float[Tensor, " d"],
    region: Region,
    config: GbRrtConfig,
    *,
    rng: torch.Generator,
    geometry: Geometry | None = None,
) -> Tree:
    """Grow a tree from the query within its region, line by line; arguments and errors are those of ``grow``."""
    geometry = geometry or Flat(z0)
    delta, half_width = step_and_half_width(config, geometry, z0.dtype)
    targets = Targets(geometry, half_width, config.iterations, rng=rng)
    nodes = z0.new_empty(config.iterations + 1, len(z0))
    nodes[0], parents = z0, [-1]  # Q_0 = {z0}
    rejected, reasons = [z0.new_empty(0, len(z0))], []

    for target in targets.draw(config.iterations).split(1):  # for i = 1..N: z_i ~ U(z0 - I, z0 + I)
        tree = nodes[: len(parents)]
        parent, gap = nearest(tree, target)  # q_i = nearest(Q_{i-1}, z_i)
        candidate = geometry.step(tree[parent, None], target, gap, delta)  # z'_i = q_i + delta (z_i - q_i) / ||...||
        if not is_spaced(
            tree, candidate, parent, geometry.chord(delta)
        ):  # if ||z'_i - nearest(Q_{i-1}, z'_i)|| > delta
            reason = TOO_CLOSE
        elif not bool(region.contains(candidate)):  # and z'_i in GR_V*:
            reason = OUTSIDE
        else:
            nodes[len(parents)] = candidate[0]  # Q_i = Q_{i-1} + {z'_i}
            parents.append(parent)
            continue
        rejected.append(candidate)
        reasons.append(reason)

    evaluations = config.iterations - reasons.count(TOO_CLOSE)
    status = GbRrtStatus.COMPLETED if len(parents) > 1 else GbRrtStatus.NOTHING_ACCEPTED
    return Tree(  # return Q_N
        latents=nodes[: len(parents)].clone(),
        parents=torch.tensor(parents, dtype=torch.int64),
        rejected=torch.cat(rejected),
        rejected_reason=torch.tensor(reasons, dtype=torch.int8),
        evaluations=evaluations,
        rounds=evaluations,
        step_size=delta,
        half_width=half_width,
        status=status,
        sentence=status.sentence,
    )


def nearest(tree: Float[Tensor, "n d"], target: Float[Tensor, "1 d"]) -> tuple[int, Float[Tensor, " 1"]]:
    """The node that is nearest to a target, the first of several, and the straight distance between them."""
    gaps = (tree - target).square().sum(dim=1).sqrt()
    parent = int(gaps.argmin())
    return parent, gaps[parent, None]


def is_spaced(tree: Float[Tensor, "n d"], candidate: Float[Tensor, "1 d"], parent: int, spacing: float) -> bool:
    """Whether a candidate is no node itself, and no node but its parent is closer to it than the spacing.

    Deviation from paper: read literally the test never holds, for the parent lies at delta.
    """
    gaps = (tree - candidate).square().sum(dim=1).sqrt()
    is_new = bool(gaps[parent] > 0)  # a target that is a node gives no direction
    gaps[parent] = torch.inf
    return is_new and bool(gaps.min() >= spacing)
