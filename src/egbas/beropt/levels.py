# SPDX-License-Identifier: MIT
"""The supporting sets of levels: the error at the query is given, and the sets are nested.

Each is cut down or built up from the next: unit by unit (``completion``), or many at once where passes are costly
(``second_order``).

Deviation from paper: with a level the error at the query is given and the size follows; eq. 1 has a weight instead.
"""

from dataclasses import replace

import torch
from jaxtyping import Bool
from torch import Tensor

from egbas.beropt.completion import Effort, build_up, cut_down
from egbas.beropt.config import COARSEST, DEFAULT_LEVEL, FINEST, UNIT, BerOptConfig, error_of
from egbas.beropt.descent import Progress
from egbas.beropt.objective import Objective, is_costly, is_large
from egbas.beropt.result import BerOptResult, BerOptStatus
from egbas.beropt.second_order import Sketching, cut, grow
from egbas.beropt.weight import descended, of_descent, of_theta, set_of_weight
from egbas.network import Tail

# Levels begin with the set of the first weight: on the embedded models its error is about that of level 5. The others
# help where it cannot be built up further unit by unit. A set that is built up from few units is smaller than one that
# is cut down from many (docs/beropt.md).
_WEIGHTS = 4.0, 1.0, 0.3, 0.1
_LARGE_EFFORT = Effort(rounds=24, share=0.25, tries=0)
# Where passes are costly and the error is given, the steps only have to find where to begin.
_BRIEF_STEPS, _BRIEF_MOST = 150, 200
_BRIEFER_STEPS, _BRIEFER_MOST = 80, 100  # for large images
# A set that is cut down below its error and built up again is smaller: by 5 to 10 % once, by half of that once more.
_CYCLES, _LOOSER = 2, 1.1
_POLISH = Effort(tries=1)


class Levels:
    """The sets of all levels at one query; each is found when it is asked for, after those between it and the first."""

    def __init__(
        self, tail: Tail, config: BerOptConfig, focus: Tensor | None, rng: torch.Generator, progress: Progress | None
    ) -> None:
        """Find the set that levels begin with.

        Args:
            tail: the network above the layer, at the query.
            config: the settings, masks included; neither level nor sparsity is used.
            focus: (h, w) pixels that the distance counts; None: all.
            rng: a CPU generator; the masks come from it.
            progress: called with (step, largest number of steps, text).
        """
        self._tail, self._config, self._focus, self._progress = tail, config, focus, progress
        self._state = rng.get_state()
        self._of_weight: dict[float, BerOptResult] = {}
        self.objective = Objective(tail, replace(config, sparsity=_WEIGHTS[0]), focus)
        self.first = self._optimized(_WEIGHTS[0])
        self._theta = self.first.theta.to(tail.a)[self.objective.candidates]
        self._effort = _effort(self.objective, self.first)
        self._found: dict[int, BerOptResult] = {}

    def at(self, level: int) -> BerOptResult:
        """The result of a level."""
        if level not in self._found:
            self._found[level] = self._finer(level) if self._is_finer(level) else self._coarser(level)
        return self._found[level]

    def _is_finer(self, level: int) -> bool:
        return error_of(level) < self.first.fidelity

    def _coarser(self, level: int) -> BerOptResult:
        """Cut down from the next finer level, if that is no finer than the first set, or from this."""
        is_last = level == FINEST or self._is_finer(level + 1)
        before = self.first if is_last else self.at(level + 1)
        return self._result(level, self._cut_down(self._kept(before), error_of(level)), before)

    def _finer(self, level: int) -> BerOptResult:
        """Built up from the next coarser level, if that is finer than the first set, or from this."""
        below = self._below(level)
        is_first = below < COARSEST or not self._is_finer(below)
        before = self.first if is_first else self.at(below)
        kept = self._built_up(self._kept(before), error_of(level), is_first=is_first)
        return self._result(level, kept, before)

    def _below(self, level: int) -> int:
        """The level that a finer one is built up from."""
        return level - 1

    def _cut_down(self, kept: Tensor, error: float) -> Bool[Tensor, " candidates"]:
        return cut_down(kept, self.objective.distance, error, self._effort, sizes=self.objective.sizes)

    def _built_up(self, core: Tensor, error: float, *, is_first: bool) -> Bool[Tensor, " candidates"]:
        """A set of that error that holds a core: the next coarser level, or the first set."""
        distance, sizes = self.objective.distance, self.objective.sizes
        kept = build_up(core, distance, error, self._effort, sizes=sizes)
        for weight in _WEIGHTS[1:]:
            if kept is not None:
                break
            joined = core | self._kept(self._optimized(weight))
            kept = build_up(joined, distance, error, self._effort, sizes=sizes)
        kept = torch.ones_like(core) if kept is None else kept
        return cut_down(kept, distance, error, self._effort, core=core, sizes=sizes)

    def _kept(self, result: BerOptResult) -> Bool[Tensor, " candidates"]:
        """A set among the candidates."""
        every = torch.zeros(self.objective.n_units, dtype=torch.bool, device=self._tail.a.device)
        every[result.units.to(every.device)] = True
        return every[self.objective.candidates]

    def _optimized(self, weight: float) -> BerOptResult:
        """BerOpt with a weight, as it would be without levels; once, however many levels ask for it."""
        if weight not in self._of_weight:
            objective = Objective(self._tail, self._settings_of(weight), self._focus)
            self._of_weight[weight] = self._searched(objective, torch.Generator().set_state(self._state))
        return self._of_weight[weight]

    def _settings_of(self, weight: float) -> BerOptConfig:
        return replace(self._config, sparsity=weight)

    def _searched(self, objective: Objective, rng: torch.Generator) -> BerOptResult:
        return set_of_weight(objective, rng=rng, progress=self._progress)

    def _result(self, level: int, kept: Bool[Tensor, " candidates"], before: BerOptResult) -> BerOptResult:
        """A level's result: theta is that of the first set, but 0 or 1 for the units that have changed sides."""
        theta = torch.where((self._theta > self._config.threshold) == kept, self._theta, kept.to(self._theta))
        rng = torch.Generator().set_state(self._state)  # the same for a level alone and among others
        first = self.first
        # A first set without units has settled on that; a level's set is built up from it.
        status = BerOptStatus.CONVERGED if first.status is BerOptStatus.EMPTY else first.status
        if self._progress:
            steps = self._config.max_steps
            self._progress(steps, steps, f"level {level}: {int(self.objective.size(kept))} units")
        result = of_theta(self.objective, theta, first.losses, first.sizes, status, rng=rng)
        if result.fidelity > error_of(level):  # units on their own boundary have no side, and so cannot be kept
            result = replace(result, status=BerOptStatus.OUT_OF_REACH)
        units = len(result.units) - len(before.units)
        weight = (before.fidelity - result.fidelity) * self.objective.n_units / units if units else 0.0
        config = replace(self._config, level=level, sparsity=weight if weight > 0 else before.config.sparsity)
        return replace(result, config=config)


class QuickLevels(Levels):
    """The same where passes are costly: brief descents, and sets that many units join or leave at once.

    The default level is built up from the level two before, where that is finer than the first set. The one between
    them is found within it: nobody waits for a level that was not asked for.
    """

    def _settings_of(self, weight: float) -> BerOptConfig:
        steps, most = brief_steps(self._tail.x.numel(), self._config)
        return replace(self._config, sparsity=weight, anneal_steps=steps, max_steps=most)

    def _searched(self, objective: Objective, rng: torch.Generator) -> BerOptResult:
        descent = descended(objective, objective.config.initial_theta, rng=rng, progress=self._progress)
        # The steps need not settle: the error of the set that is built from them is what counts.
        return of_descent(objective, replace(descent, status=BerOptStatus.CONVERGED), descent.theta, rng=rng)

    def _finer(self, level: int) -> BerOptResult:
        """Built up from a coarser level; what was skipped on the way to the default one is found between the two."""
        is_skipped = level == DEFAULT_LEVEL - 1 and self._below(DEFAULT_LEVEL) < level
        return self._between(level) if is_skipped else super()._finer(level)

    def _below(self, level: int) -> int:
        return level - 2 if level == DEFAULT_LEVEL and self._is_finer(level - 2) else super()._below(level)

    def _between(self, level: int) -> BerOptResult:
        """A part of the next finer level that holds the next coarser one: cut down or built up, the smaller one."""
        coarser, finer = self._kept(self.at(level - 1)), self._kept(self.at(level + 1))
        error, free = error_of(level), finer & ~coarser
        kept = cut(finer, self.objective, error, self._sketching, free=free)
        grown = grow(coarser, self.objective, error, self._sketching, free=free)
        if self.objective.fidelity(grown) <= error and int(grown.sum()) < int(kept.sum()):
            kept = grown
        return self._result(level, self._cut(kept, error, free=free), self.at(level - 1))

    def _coarser(self, level: int) -> BerOptResult:
        """Cut down from the next finer level, so as to be a part of it: units of the first set may have left there."""
        if level == FINEST:
            return super()._coarser(level)
        before = self.at(level + 1)
        return self._result(level, self._cut_down(self._kept(before), error_of(level)), before)

    def _cut_down(self, kept: Tensor, error: float) -> Bool[Tensor, " candidates"]:
        return self._cut(kept, error, free=None)

    def _built_up(self, core: Tensor, error: float, *, is_first: bool) -> Bool[Tensor, " candidates"]:
        free = None if is_first else ~core  # of the first set, which is no level, units may leave
        # From level 4 on the next one is far: to grow from a descent to as many units is quicker, and ends in fewer.
        is_far = not is_first and error < error_of(DEFAULT_LEVEL - 2)
        kept = core if is_far else grow(core, self.objective, error, self._sketching, free=free)
        for weight in _WEIGHTS[1:]:
            if self.objective.fidelity(kept) <= error:
                break
            kept = grow(kept | self._kept(self._optimized(weight)), self.objective, error, self._sketching, free=free)
        if self.objective.fidelity(kept) > error:
            kept = torch.ones_like(core)
        return self._cut(kept, error, free=free)

    def _cut(self, kept: Tensor, error: float, *, free: Tensor | None) -> Bool[Tensor, " candidates"]:
        kept = cut(kept, self.objective, error, self._sketching, free=free)
        if not is_large(self._tail.x.numel()):
            kept = self._shrunk(kept, error, free=free)
        return cut_down(kept, self.objective.distance, error, _POLISH, core=None if free is None else ~free)

    def _shrunk(self, kept: Tensor, error: float, *, free: Tensor | None) -> Bool[Tensor, " candidates"]:
        """Cut below the error and built up again, as long as that makes the set smaller."""
        for _ in range(_CYCLES):
            fewer = cut(kept, self.objective, _LOOSER * error, self._sketching, free=free)
            again = grow(fewer, self.objective, error, self._sketching, free=free)
            if self.objective.fidelity(again) > error:
                break
            again = cut(again, self.objective, error, self._sketching, free=free)
            if int(again.sum()) >= int(kept.sum()):
                break
            kept = again
        return kept

    @property
    def _sketching(self) -> Sketching:
        return Sketching(rows=16, rounds=12) if is_large(self._tail.x.numel()) else Sketching()


def is_quick(image_size: int, config: BerOptConfig) -> bool:
    """Whether levels are found by the second-order model: without random masks, where passes are costly.

    With pixel norm it leaves larger sets than single units do (docs/beropt.md), so it is nobody's default.
    """
    return is_costly(image_size) and config.masks == 0 and config.units == UNIT


def brief_steps(image_size: int, config: BerOptConfig) -> tuple[int, int]:
    """Steps of the annealing, and all steps, that find where a level begins."""
    steps, most = (_BRIEFER_STEPS, _BRIEFER_MOST) if is_large(image_size) else (_BRIEF_STEPS, _BRIEF_MOST)
    return min(config.anneal_steps, steps), min(config.max_steps, most)


def _effort(objective: Objective, first: BerOptResult) -> Effort:
    if is_large(objective.tail.x.numel()):
        return _LARGE_EFFORT
    tries = 4 if first.status is not BerOptStatus.MAX_STEPS else 1
    return Effort(tries=tries, joins=first.config.masks == 0)
