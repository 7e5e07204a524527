# SPDX-License-Identifier: MIT
"""Many trees of GB-RRT at once, one forward pass of the head a round for all of them, on every core.

A convolution of a small network is no faster in a larger batch, nor in two threads; but two passes side by side are,
and so are the decisions of two trees. So the trees are dealt out to as many threads as there are cores for, and each
thread's grow in lock-step. A network that takes all cores has all trees in one lock-step.
"""

import threading
from collections.abc import Sequence

from egbas.machine.threads import idle_cores, side_by_side
from egbas.region import Region, contains_many
from egbas.samplers.gbrrt.growth import Growth, Progress
from egbas.samplers.gbrrt.tree import Tree

Pair = tuple[Growth, Region]


def grow_many(growths: Sequence[Growth], regions: Sequence[Region], *, progress: Progress | None = None) -> list[Tree]:
    """Grow many trees to their ends; each is the one that ``grow`` grows alone.

    Args:
        growths: trees at their start.
        regions: of each tree its own; those of one ``Precisions`` share their forward passes. A region that does not
            say that it is for threads (``is_for_threads``) is asked by one thread only.
        progress: called with (iterations done, all iterations, text), over all trees; by one thread at a time.
    """
    total, door = sum(growth.config.iterations for growth in growths), threading.Lock()

    def tell() -> None:
        if progress:
            with door:
                n_nodes = sum(growth.n_nodes for growth in growths)
                progress(sum(growth.n_done for growth in growths), total, f"{n_nodes} nodes")

    def work(pairs: Sequence[Pair], stop: threading.Event) -> None:
        while not stop.is_set() and (waiting := [pair for pair in pairs if not pair[0].is_done]):
            _advance(waiting)
            tell()

    n_threads = min(idle_cores(), len(growths)) if all(map(_is_for_threads, regions)) else 1
    pairs = list(zip(growths, regions, strict=True))
    side_by_side(work, [pairs[i::n_threads] for i in range(n_threads)], n_threads)
    return [growth.tree() for growth in growths]


def _is_for_threads(region: Region) -> bool:
    return getattr(region, "is_for_threads", False)


def _advance(waiting: Sequence[Pair]) -> None:
    """One round of trees that are not done."""
    in_rounds = []
    for growth, region in waiting:
        if growth.walls(region) is None:
            in_rounds.append((growth, region))
        else:
            growth.advance(region)
    candidates = [growth.propose() for growth, _ in in_rounds]
    asked = [i for i, latents in enumerate(candidates) if len(latents)]
    answers = contains_many([in_rounds[i][1] for i in asked], [candidates[i] for i in asked]) if asked else []
    inside = dict(zip(asked, answers, strict=True))
    for i, (growth, _) in enumerate(in_rounds):
        growth.commit(inside.get(i))
