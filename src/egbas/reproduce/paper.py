# SPDX-License-Identifier: MIT
"""All tables and figures of the paper, of explorations that are made once for all of them."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from egbas.evaluation.exact_methods import ExactSettings
from egbas.reproduce import table1, table2
from egbas.reproduce.figures import FIGURES, PGGAN_FIGURES, PLANE_FIGURES, default_model, expect
from egbas.reproduce.measurement import MODELS, N_QUERIES, PGGAN_LAYERS, measure, paper_layers
from egbas.reproduce.own_judges import OwnJudges
from egbas.reproduce.shared_runs import Explored, Progress, beropt_at
from egbas.storage import Store, write_json
from egbas.zoo.models import load_model

PLANE = 2


def run(  # noqa: PLR0913, PLR0917
    model_names: Sequence[str] = MODELS,
    n_queries: int = N_QUERIES,
    out: Path = Path("runs/reproduce"),
    progress: Progress | None = None,
    layers: Sequence[int] | None = None,
    exact: ExactSettings | None = None,
    store: Store | None = None,
    seeds: Sequence[int] | None = None,
    level: int | None = None,
    masks: int | None = None,
    repeats: int = 1,
    own: OwnJudges | None = None,
) -> dict[str, Any]:
    """Make Tables 1 and 2 of the models, and every figure that one of them can be drawn of.

    Args:
        model_names: embedded generators, or checkpoint files.
        n_queries: of the tables; figures have their own.
        out: folder of the files.
        progress: called with (done, all, text); a figure counts half as much as an exploration.
        layers: of the tables; None: those that the paper explores in networks of their kind.
        exact: as for a table.
        store: as for a table.
        seeds: as for a table; figures have their own.
        level: as for a table, and for the figures, too.
        masks: as the level.
        repeats: as for a table.
        own: as for a table.

    Returns:
        {"made": [{"name", "model", "files", "seconds"}, ...], "seconds"}, as ``out/all.json`` holds it; the model of
        a table is None, for it has all of them. What a figure shares with the tables is in the tables' seconds. With
        "doubts" where tables have them.

    Raises:
        NetworkError: what is named cannot judge the images.
        RunDirectoryError: a file cannot be written.
    """
    start = time.perf_counter()
    figures = [(name, model) for name in FIGURES if (model := _model_of(name, model_names)) is not None]
    n_made, steps = 0, (0, 0)
    doubts: list[str] = []

    def told(done: int, total: int, text: str) -> None:
        nonlocal steps
        steps = done, total
        if progress:
            progress(done + n_made, total + len(figures), text)

    explored = Explored(beropt=beropt_at(level, masks), progress=told, store=store)
    for name, model in figures:
        expect(name, model, explored)
    measured = measure(model_names, layers, n_queries, explored, exact=exact, seeds=seeds, repeats=repeats, own=own)
    made = []
    for table in (table1.TABLE, table2.TABLE):
        doubts = table.write(measured, out).get("doubts", [])  # the same of both
        files, seconds = [f"{table.name}.json"], measured.config["seconds"]
        made.append({"name": table.name, "model": None, "files": files, "seconds": seconds})
    for name, model in figures:
        told(*steps, f"{name} of {model}")
        content = FIGURES[name](model, out, explored)
        made.append({"name": name, "model": model, "files": content["pictures"], "seconds": content["seconds"]})
        n_made += 1
    told(*steps, "done")
    content = {"made": made, "seconds": time.perf_counter() - start, **({"doubts": doubts} if doubts else {})}
    write_json(out / "all.json", content)
    return content


def as_table(content: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Headings and lines for the terminal: what was made, of which model, in which files."""
    lines = [
        [row["name"], row["model"] or "all", ", ".join(row["files"]), f"{row['seconds']:.1f}"]
        for row in content["made"]
    ]
    return ["made", "model", "files", "seconds"], lines


def _model_of(figure: str, model_names: Sequence[str]) -> str | None:
    """The model that a figure is made of: its own where that is asked for, else the first that it can be drawn of."""
    wanted = default_model(figure)
    if wanted in model_names:
        return wanted
    return next((name for name in model_names if _can_be_drawn(figure, name)), None)


def _can_be_drawn(figure: str, model_name: str) -> bool:
    if figure in PGGAN_FIGURES:
        return paper_layers(model_name) == PGGAN_LAYERS
    return figure not in PLANE_FIGURES or load_model(model_name).latent.size == PLANE
