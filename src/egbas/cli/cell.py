# SPDX-License-Identifier: MIT
"""One comparison of ``egbas compare``: a layer and a level at some queries, each of which is done once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch

from egbas.cli import show
from egbas.cli.workshop import ModelWorkshop
from egbas.evaluation.comparison import Comparison, Score, draw_all, pictured, ratios, summarise
from egbas.exploration.result import Exploration
from egbas.exploration.source import Source
from egbas.figures import Gallery
from egbas.report import galleries_of
from egbas.reproduce.judged import Judges
from egbas.reproduce.own_judges import OwnJudges, name_of
from egbas.reproduce.provenance import discriminator_facts
from egbas.storage import Store, key_of
from egbas.sweep.fingerprint import probes_of
from egbas.sweep.task import Task


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A layer and a level at some queries.

    Attributes:
        shop: of the model.
        layer: number or path.
        level: None: as the settings have it.
        seeds: one for each query.
        has_rows: whether the queries are the rows of a file, in order.
        source: where the query came from, where it is that of a picture.
        own: networks that are named to judge the images.
    """

    shop: ModelWorkshop
    layer: int | str
    level: int | None
    seeds: Sequence[int]
    has_rows: bool
    source: Source | None = None
    own: OwnJudges = field(default_factory=OwnJudges)

    @cached_property
    def key(self) -> str:
        """Of all that determines the comparison."""
        return key_of({"comparison": [self.judges.decides(self.task(i).key) for i in range(len(self.seeds))]})

    @cached_property
    def judges(self) -> Judges:
        """The critic and the classifier that judge the images, where the generator is."""
        network = self.shop.network
        return Judges.of(self.shop.model, partial(probes_of, network), self.own, device=network.device)

    def task(self, place: int) -> Task:
        """The exploration of a query, by its place."""
        level = self.shop.levels[0] if self.level is None else self.level
        return self.shop.task(self.layer, level, self.seeds[place], place if self.has_rows else None)


def compared(
    cell: Cell, store: Store | None, directory: Path, progress: show.StageProgress
) -> tuple[Comparison, dict[str, Any], Exploration, Mapping[str, Gallery]]:
    """Explore and judge every query that is not in the store.

    Args:
        cell: what to compare.
        store: where explorations and scores are kept and found again; None: nowhere.
        directory: of the result, for messages.
        progress: called with (stage, done, total, text).

    Returns:
        The comparison, all of it as JSON takes it, and of the first query the exploration and its pictures.

    Raises:
        EgbasError: as ``egbas explore`` does.
    """
    shop, scores, first = cell.shop, list[Score](), None
    n_found = 0
    for place, seed in enumerate(cell.seeds):
        tell = partial(_tell, progress, seed, (place, len(cell.seeds)))
        task, made = cell.task(place), list[Exploration]()

        def explored(task: Task = task, tell: show.StageProgress = tell, made: list[Exploration] = made) -> Exploration:
            made.append(shop.explored(task, store, tell))
            return made[0]

        measured = cell.judges.judged(store, task.key, explored, shop.model.name, partial(_judging, tell))
        n_found += not made
        scores += measured.scores
        for text in measured.warnings:
            if text not in shop.network.notices:
                show.warning(f"query {seed}: {text}")
        if not place:
            first = made[0] if made else shop.explored(task, store, tell)
    assert first is not None  # there is at least one query
    first = replace(first, source=cell.source)
    images = pictured(first, draw_all(first, rng=torch.Generator().manual_seed(first.seed)))
    galleries = galleries_of(first, progress=lambda done, total: progress("writing", done, total, str(directory)))
    comparison = Comparison(images=images, rows=summarise(scores), ratios=ratios(scores))
    everything = {
        "key": cell.key,
        "rows": comparison.rows,
        "ratios": comparison.ratios,
        "scores": [vars(score) for score in scores],
        "config": {
            "n_queries": len(cell.seeds),
            "seeds": list(cell.seeds),
            "finished_before": n_found,
            "classifier": name_of(cell.judges.classifier),
            "critic": name_of(cell.own.critic),
            "discriminator": discriminator_facts(cell.judges.discriminator),
            "first": first.config(),
        },
    }
    return comparison, everything, first, galleries


def _judging(tell: show.StageProgress, judged: int, total: int) -> None:
    tell("judging", judged, total, "")


def _tell(  # noqa: PLR0913, PLR0917  the callback's arguments after our own
    progress: show.StageProgress, number: int, queries: tuple[int, int], stage: str, done: int, total: int, text: str
) -> None:
    """Show how far one query is: a bar for each of its stages, or, among many, the text of the bar that counts them."""
    if queries[1] == 1:
        progress(stage, done, total, text)
    else:
        progress("comparing", *queries, f"query {number}: {stage} {done}/{total} {text}")
