# SPDX-License-Identifier: MIT
"""One comparison of ``egbas compare``: a layer and a level at some queries, each of which is done once."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from egbas.cli import settings, show
from egbas.cli.workshop import ModelWorkshop
from egbas.evaluation.comparison import Comparison, Score, draw_all, evaluate, pictured, ratios, summarise
from egbas.exploration.result import Exploration
from egbas.exploration.source import Source
from egbas.figures import Gallery
from egbas.report import galleries_of
from egbas.reproduce.provenance import discriminator_facts
from egbas.storage import Store, key_of
from egbas.storage.store import SCORES
from egbas.sweep.fingerprint import network_sha256
from egbas.sweep.task import Task
from egbas.zoo.models import load_classifier

SCHEMA = 1  # to be raised with every change of what is measured, or how, within a version of egbas


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
    """

    shop: ModelWorkshop
    layer: int | str
    level: int | None
    seeds: Sequence[int]
    has_rows: bool
    source: Source | None = None

    @cached_property
    def key(self) -> str:
        """Of all that determines the comparison."""
        return key_of(
            {
                "comparison": SCHEMA,
                "judges": self.judges,
                "tasks": [self.task(place).key for place in range(len(self.seeds))],
            }
        )

    @cached_property
    def judges(self) -> list[str | None]:
        """Checksums of the critic and the classifier that judge the images."""
        classifier = load_classifier(settings.CLASSIFIER) if self.shop.model.card is not None else None
        return [None if one is None else network_sha256(one) for one in (self.shop.model.discriminator, classifier)]

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
    generator_device = shop.network.device
    discriminator = None if shop.model.discriminator is None else shop.model.discriminator.to(generator_device)
    classifier = load_classifier(settings.CLASSIFIER).to(generator_device) if shop.model.card is not None else None
    judged_by = cell.judges
    n_found = 0
    for place, seed in enumerate(cell.seeds):
        tell = partial(_tell, progress, seed, (place, len(cell.seeds)))
        task = cell.task(place)
        decides = {"comparison": SCHEMA, "task": task.key, "judges": judged_by}
        run, told = _judged(cell, task, decides, store, tell, (discriminator, classifier))
        n_found += run is None
        scores += [Score(**{**row, "model": shop.model.name}) for row in told["scores"]]
        for text in told["warnings"]:
            if text not in shop.network.notices:
                show.warning(f"query {seed}: {text}")
        if not place:
            first = run or shop.explored(task, store, tell)
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
            "discriminator": discriminator_facts(discriminator),
            "first": first.config(),
        },
    }
    return comparison, everything, first, galleries


def _judged(
    cell: Cell,
    task: Task,
    decides: Mapping[str, Any],
    store: Store | None,
    tell: show.StageProgress,
    judges: tuple[nn.Module | None, nn.Module | None],
) -> tuple[Exploration | None, dict[str, Any]]:
    """The scores and warnings of a query, and its exploration where that had to be had for them."""
    made: list[Exploration] = []

    def judge() -> dict[str, Any]:
        run = cell.shop.explored(task, store, tell)
        made.append(run)
        scores = evaluate(
            run,
            draw_all(run, rng=torch.Generator().manual_seed(run.seed)),
            discriminator=judges[0],
            classifier=judges[1],
            progress=lambda judged, total: tell("judging", judged, total, ""),
        )
        return {"scores": [asdict(score) for score in scores], "warnings": list(run.warnings)}

    told = judge() if store is None else Store(store.path, SCORES).content(decides, judge)[0]
    return (made[0] if made else None), told


def _tell(  # noqa: PLR0913, PLR0917  the callback's arguments after our own
    progress: show.StageProgress, number: int, queries: tuple[int, int], stage: str, done: int, total: int, text: str
) -> None:
    """Show how far one query is: a bar for each of its stages, or, among many, the text of the bar that counts them."""
    if queries[1] == 1:
        progress(stage, done, total, text)
    else:
        progress("comparing", *queries, f"query {number}: {stage} {done}/{total} {text}")
