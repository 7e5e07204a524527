# SPDX-License-Identifier: MIT
"""What a sweep is going to do: models by layers by levels by queries, listed one by one and never all at once."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from egbas.storage import Store, key_of
from egbas.sweep.task import Task

DONE, FAILED, OPEN = "done", "failed", "open"


@dataclass(frozen=True, kw_only=True)
class Part:
    """The tasks of one model.

    Attributes:
        model: as it was named.
        layers: how each is named, and its path in the network.
        levels: of supporting sets; None where something else says how many units are kept.
        decides: all else that determines the results, as JSON takes it.
        rows: what determines each query of a file of latents; None where seeds draw the queries.
    """

    model: str
    layers: Mapping[int | str, str]
    levels: Sequence[int | None]
    decides: Mapping[str, Any]
    rows: Sequence[str] | None = None

    @functools.cached_property
    def common(self) -> str:
        """The key of what all tasks have in common."""
        return key_of(self.decides)

    def task(
        self, layer: int | str, level: int | None, seed: int, row: int | None = None, drawn: int | None = None
    ) -> Task:
        """One of the tasks; where another seed than its own drew the query, ``drawn`` says which."""
        by_seed = {"drawn": seed if drawn is None else drawn}
        query = by_seed if row is None or self.rows is None else {"given": self.rows[row]}
        path = self.layers[layer]
        key = key_of({"common": self.common, "layer": path, "level": level, "query": query, "seed": seed})
        return Task(key=key, model=self.model, layer=layer, level=level, seed=seed, row=row)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The tasks of a sweep, in the order in which they are started.

    Attributes:
        parts: one for each model.
        seeds: of the explorations; a range, or several, takes no memory.
    """

    parts: Sequence[Part]
    seeds: Sequence[int]

    def __len__(self) -> int:
        """How many tasks there are."""
        queries = [len(self.seeds) * (1 if part.rows is None else len(part.rows)) for part in self.parts]
        return sum(len(part.layers) * len(part.levels) * n for part, n in zip(self.parts, queries, strict=True))

    def __iter__(self) -> Iterator[Task]:
        """The tasks: queries within levels within layers, so that few splits are needed at once."""
        for part in self.parts:
            for layer in part.layers:
                for level in part.levels:
                    for row in [None] if part.rows is None else range(len(part.rows)):
                        for seed in self.seeds:
                            yield part.task(layer, level, seed, row)

    def status(self, store: Store, task: Task) -> str:
        """Whether a task is done, has failed before, or is open."""
        if store.find(task.key) is not None:
            return DONE
        return OPEN if store.failure(task.key) is None else FAILED


class Spans(Sequence[int]):
    """Whole numbers of several ranges, one after another, without a list of them."""

    def __init__(self, ranges: Sequence[range]) -> None:
        """Take ranges that do not overlap."""
        self._ranges = tuple(ranges)

    def __len__(self) -> int:
        """How many numbers there are."""
        return sum(map(len, self._ranges))

    def __getitem__(self, index: Any) -> Any:
        """The number at a place."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        place = index + len(self) if index < 0 else index
        for numbers in self._ranges:
            if 0 <= place < len(numbers):
                return numbers[place]
            place -= len(numbers)
        raise IndexError(index)

    def __iter__(self) -> Iterator[int]:
        """The numbers in order."""
        for numbers in self._ranges:
            yield from numbers
