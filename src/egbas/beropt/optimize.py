# SPDX-License-Identifier: MIT
"""Algorithm 1 from its start to the supporting set.

In: the tail of a network at a query. Out: theta, the kept units with their signs, how well they carry the image. The
set of a weight is that of ``weight``, the set of a level that of ``levels``.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool
from torch import Tensor

from egbas.beropt.config import BerOptConfig
from egbas.beropt.descent import Progress
from egbas.beropt.levels import Levels, QuickLevels, brief_steps, is_quick
from egbas.beropt.objective import Objective, is_large
from egbas.beropt.result import BerOptResult
from egbas.beropt.weight import set_of_weight
from egbas.network import Tail

_MASKS = 4
_FIRST_CHECK = 25  # steps after the annealing that a descent takes at least


def optimize(
    tail: Tail,
    config: BerOptConfig,
    *,
    rng: torch.Generator,
    focus: Bool[Tensor, "h w"] | None = None,
    progress: Progress | None = None,
) -> BerOptResult:
    """Find the supporting set of the tail's query (Algorithm 1).

    Args:
        tail: the network above the layer, at the query.
        config: the settings.
        rng: a CPU generator; the masks come from it.
        focus: pixels that the distance counts; None: all.
        progress: called with (step, largest number of steps, text).

    Raises:
        NetworkError: the image of the query is zero everywhere, so that no relative distance exists.
    """
    if config.level is not None:
        return optimize_levels(tail, config, [config.level], rng=rng, focus=focus, progress=progress)[0]
    objective = Objective(tail, _settled(tail, config), focus)
    return set_of_weight(objective, rng=rng, progress=progress)


def optimize_levels(
    tail: Tail,
    config: BerOptConfig,
    levels: Sequence[int],
    *,
    rng: torch.Generator,
    focus: Bool[Tensor, "h w"] | None = None,
    progress: Progress | None = None,
) -> list[BerOptResult]:
    """Find the supporting sets of some levels, each a part of the next finer one.

    Each is the set that ``optimize`` finds for that level alone, with a generator in the same state.

    Args:
        tail: the network above the layer, at the query.
        config: the settings; its level is not used.
        levels: which; 1 (coarse) to 8 (fine).
        rng: a CPU generator; the masks come from it.
        focus: pixels that the distance counts; None: all.
        progress: called with (step, largest number of steps, text).

    Returns:
        The result of each level, in the order of ``levels``. A set without units says that the image keeps to the error
        without the layer.

    Raises:
        NetworkError: the image of the query is zero everywhere, so that no relative distance exists.
    """
    config = _settled(tail, replace(config, level=None))
    kind = QuickLevels if is_quick(tail.x.numel(), config) else Levels
    path = kind(tail, config, focus, rng, progress)
    return [path.at(level) for level in levels]


def default_masks(image_size: int) -> int:
    """Masks a step where the settings do not say, for images of so many values."""
    return 1 if is_large(image_size) else _MASKS


def expected_steps(image_size: int, config: BerOptConfig) -> tuple[int, int]:
    """Steps of a descent for images of so many values, at least and at most."""
    if config.level is not None and is_quick(image_size, config):
        return brief_steps(image_size, config)
    return min(config.anneal_steps + _FIRST_CHECK, config.max_steps), config.max_steps


def _settled(tail: Tail, config: BerOptConfig) -> BerOptConfig:
    """The settings with those that follow from the network."""
    if config.masks is not None:
        return config
    return replace(config, masks=default_masks(tail.x.numel()))
