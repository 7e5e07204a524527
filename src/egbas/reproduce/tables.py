# SPDX-License-Identifier: MIT
"""What Tables 1 and 2 have in common: each is made of one measurement, and written as JSON beside the figures."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from egbas.evaluation.comparison import SIMILARITY, Score
from egbas.evaluation.exact_methods import EXACT, EXACT_METHODS, RIVALS, ExactSettings
from egbas.reproduce.measurement import MODELS, N_QUERIES, OTHER_MODELS, Measurement, measure
from egbas.reproduce.own_judges import OwnJudges
from egbas.reproduce.repeats import over_seeds, told_ratio
from egbas.reproduce.shared_runs import Explored, Progress, beropt_at
from egbas.storage import Store, write_json

Rows = list[dict[str, Any]]


def exact_table(content: dict[str, Any]) -> tuple[list[str], list[list[str]]] | None:
    """Headings and lines for the terminal: the means of the exact methods, and exact samples over each rival.

    Args:
        content: of a table; None is returned where it has no exact rows.
    """
    drawn = {row["method"] for row in content["rows"]}
    shown = [name for name in EXACT_METHODS if name in drawn]
    if not shown:
        return None
    rivals = [name for name in RIVALS if name in drawn]
    means, quotients = by_place(content["rows"]), by_place(content["ratios"])
    lines = []
    for model, layer, metric in dict.fromkeys(key[:3] for key in means):
        line = [model, str(layer), metric]
        line += [
            f"{means[key]['mean']:.4f}" if (key := (model, layer, metric, name)) in means else "-" for name in shown
        ]
        over = [quotients.get((model, layer, f"{EXACT} / baseline, {metric}", name)) for name in rivals]
        lines.append(line + ["-" if row is None else told_ratio(row) for row in over])
    return ["model", "l", "metric", *shown, *(f"exact / {name}" for name in rivals)], lines


def doubts_of(content: dict[str, Any]) -> list[str]:
    """What is to be known of the exact rows of a table, in sentences: chains that did not converge, and gaps.

    Args:
        content: of a table.
    """
    config = content.get("config", {})
    repeats = config.get("repeats", 1)
    of = f"{len(config.get('seeds', ())) * repeats} queries{' and masks' if repeats > 1 else ''}"
    entries = [*config.get("unconverged", ()), *(entry for _, *entry in config.get("unconverged_again", ()))]
    lost = Counter((model, layer, method) for model, layer, _, method in entries)
    told = [
        f"{model}, layer {layer}: the chains of {method!r} did not converge at {count} of {of}; its numbers are a hint"
        for (model, layer, method), count in lost.items()
    ]
    drawn: dict[tuple[str, int | str], dict[str, int]] = {}
    for row in content.get("rows", ()):
        if row.get("method") in EXACT_METHODS and row["layer"] != "all":
            drawn.setdefault((row["model"], row["layer"]), {})[row["method"]] = row["n_queries"]
    for (model, layer), counts in drawn.items():
        fewer = [(name, counts.get(name, 0)) for name in RIVALS if counts.get(name, 0) < counts[EXACT]]
        told += [f"{model}, layer {layer}: {name!r} is of {few} of {counts[EXACT]} queries" for name, few in fewer]
    return told


def by_place(rows: Rows) -> dict[tuple[str, int | str, str, str], dict[str, Any]]:
    """Rows by their model, layer, metric and method."""
    return {(row["model"], row["layer"], row["metric"], row["method"]): row for row in rows}


@dataclass(frozen=True)
class PaperTable:
    """A table of the paper: what it shows of the scores of a measurement.

    Attributes:
        name: of the file, without ``.json``.
        rows_and_ratios: makes its rows, and the ratios of E-GBAS to each baseline with "paper", the printed ratio or
            None.
    """

    name: str
    rows_and_ratios: Callable[[Sequence[Score]], tuple[Rows, Rows]]

    def run(  # noqa: PLR0913, PLR0917
        self,
        model_names: Sequence[str] = MODELS,
        layers: Sequence[int] | None = None,
        n_queries: int = N_QUERIES,
        out: Path = Path("runs/reproduce"),
        progress: Progress | None = None,
        exact: ExactSettings | None = None,
        store: Store | None = None,
        seeds: Sequence[int] | None = None,
        level: int | None = None,
        masks: int | None = None,
        repeats: int = 1,
        own: OwnJudges | None = None,
    ) -> dict[str, Any]:
        """Measure, make the table, and write it to ``out/NAME.json``.

        Args:
            model_names: embedded generators.
            layers: numbers of their non-linearities; None: those that the paper explores in networks of their kind.
            n_queries: how many queries.
            out: folder of the file.
            progress: called with (done, all, text).
            exact: whether rows of the whole region and its fair rivals are added; how much work that may take.
            store: where explorations and scores are kept and found again; None: nowhere.
            seeds: the numbers of the queries; None: from 0 on.
            level: of the supporting sets; None: as the paper has them, by a sparsity.
            masks: random ones a step of BerOpt; 0: none; None: egbas's own number.
            repeats: seeds of BerOpt at each query; the table itself is of the first.
            own: networks that are named to judge the images; None: none is.

        Returns:
            {"rows", "ratios", "config", "note"}, see ``rows_and_ratios``; with repeats "over_seeds", too, of
            ``egbas.reproduce.repeats``; "doubts" where there are any, of ``doubts_of``.

        Raises:
            NetworkError: what is named cannot judge the images.
            ConfigError: without masks there is nothing to repeat.
            RunDirectoryError: the file cannot be written.
        """
        explored = Explored(beropt=beropt_at(level, masks), progress=progress, store=store)
        measured = measure(model_names, layers, n_queries, explored, exact=exact, seeds=seeds, repeats=repeats, own=own)
        return self.write(measured, out)

    def write(self, measured: Measurement, out: Path) -> dict[str, Any]:
        """Make the table of a measurement, and write it to ``out/NAME.json``.

        Args:
            measured: scores of every model, layer, query and method.
            out: folder of the file.

        Returns:
            As ``run`` does.

        Raises:
            RunDirectoryError: the file cannot be written.
        """
        rows, ratios = self.rows_and_ratios(measured.scores)
        if measured.config.get("critic") is not None:  # the paper's similarities are of its own discriminator
            ratios = [{**row, "paper": None} if SIMILARITY in row["metric"] else row for row in ratios]
        content = {"rows": rows, "ratios": ratios, "config": measured.config, "note": OTHER_MODELS}
        if measured.again:
            sets = [measured.scores, *measured.again]
            content["over_seeds"] = over_seeds(sets, lambda scores: self.rows_and_ratios(scores)[1])
        if doubts := doubts_of(content):
            content["doubts"] = doubts
        write_json(out / f"{self.name}.json", content)
        return content
