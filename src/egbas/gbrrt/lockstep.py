# SPDX-License-Identifier: MIT
"""Many trees of GB-RRT at once, one forward pass of the head a round for all of them."""

from collections.abc import Sequence

from egbas.gbrrt.growth import Growth, Progress
from egbas.gbrrt.tree import Tree
from egbas.region import Region, contains_many


def grow_many(growths: Sequence[Growth], regions: Sequence[Region], *, progress: Progress | None = None) -> list[Tree]:
    """Grow many trees to their ends; each is the one that ``grow`` grows alone.

    Args:
        growths: trees at their start.
        regions: of each tree its own; those of one ``Cut`` share their forward passes.
        progress: called with (iterations done, all iterations, text), over all trees.
    """
    total = sum(growth.config.iterations for growth in growths)
    while waiting := [i for i, growth in enumerate(growths) if not growth.is_done]:
        candidates = {i: growths[i].propose() for i in waiting}
        asked = [i for i in waiting if len(candidates[i])]
        answers = contains_many([regions[i] for i in asked], [candidates[i] for i in asked]) if asked else []
        inside = dict(zip(asked, answers, strict=True))
        for i in waiting:
            growths[i].commit(inside.get(i))
        if progress:
            n_nodes = sum(growth.n_nodes for growth in growths)
            progress(sum(growth.n_done for growth in growths), total, f"{n_nodes} nodes")
    return [growth.tree() for growth in growths]
