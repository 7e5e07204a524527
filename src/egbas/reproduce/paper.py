# SPDX-License-Identifier: MIT
"""All tables and figures of the paper: one measurement for both tables, one exploration for several figures."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from egbas.reproduce import table1, table2
from egbas.reproduce.explored import Explored
from egbas.reproduce.figures import FIGURES, PGGAN_FIGURES, PLANE_FIGURES, default_model
from egbas.reproduce.measurement import MODELS, N_QUERIES, Progress, measure, paper_layers
from egbas.storage import write_json
from egbas.zoo.models import load_model

PLANE = 2


def run(
    model_names: Sequence[str] = MODELS,
    n_queries: int = N_QUERIES,
    out: Path = Path("runs/reproduce"),
    progress: Progress | None = None,
    layers: Sequence[int] | None = None,
) -> dict[str, Any]:
    """Make Tables 1 and 2 of the models, the figures of the latent plane where there is one, and figure 7.

    Args:
        model_names: embedded generators.
        n_queries: of the tables.
        out: folder of the files.
        progress: called with (done, all, text); a figure counts as much as an exploration.
        layers: of the tables; None: those that the paper explores in networks of their kind.

    Returns:
        {"made": [{"name", "model", "files", "seconds"}, ...], "seconds"}, as ``out/all.json`` holds it; the model of
        a table is None, for it has all of them.

    Raises:
        RunDirectoryError: a file cannot be written.
    """
    start = time.perf_counter()
    figures = [(name, model) for name in FIGURES if (model := _model_of(name, model_names)) is not None]
    n_explorations = sum(len(layers or paper_layers(name)) for name in model_names) * n_queries
    total = n_explorations + len(figures)

    def told(done: int, text: str) -> None:
        if progress:
            progress(done, total, text)

    measured = measure(model_names, layers, n_queries, lambda done, _, text: told(done, f"tables: {text}"))
    made = []
    for name, make in (("table1", table1.run), ("table2", table2.run)):
        make(model_names, layers, n_queries, out, measured=measured)
        made.append({"name": name, "model": None, "files": [f"{name}.json"], "seconds": measured.config["seconds"]})
    explored = Explored()
    for number, (name, model) in enumerate(figures):
        told(n_explorations + number, f"{name} of {model}")
        content = FIGURES[name](model, out, explored)
        made.append({"name": name, "model": model, "files": content["pictures"], "seconds": content["seconds"]})
    told(total, "done")
    content = {"made": made, "seconds": time.perf_counter() - start}
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
    if figure in PGGAN_FIGURES:
        return None
    fitting = [name for name in model_names if figure not in PLANE_FIGURES or load_model(name).latent.size == PLANE]
    return fitting[0] if fitting else None
