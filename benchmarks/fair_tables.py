# SPDX-License-Identifier: MIT
"""Tables 1 and 2 with the whole region and its fair rivals, as the docs show them.

Run as ``python -m benchmarks.fair_tables FOLDER ...``: folders that ``egbas reproduce table1 --exact --out FOLDER``
(and ``table2``) wrote. Of one with ``--repeats`` the ratios over seeds of BerOpt count alone: its queries are few. All
are put together, and kept in ``fair_tables.json`` beside this file, in place of what it had of the same layers; without
a folder its tables are printed.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import markdown
from benchmarks.balls import FEWEST
from egbas.evaluation.comparison import CLASS_CONSISTENCY, DEVIATION, SIMILARITY
from egbas.evaluation.exact_methods import EXACT, EXACT_METHODS, RANDOM_SET, RANDOM_WEIGHTS, RIVALS

Row = dict[str, Any]

ROWS = Path(__file__).parent / "fair_tables.json"
ROUGH = f"{SIMILARITY} 1"  # of the critic's layers the one whose features differ most; all are in the file
SAMPLED = (EXACT, RANDOM_SET, RANDOM_WEIGHTS)  # by chains, which may not converge
FACES = "faces"  # what a checkpoint file is called


def gathered(folders: Iterable[Path]) -> dict[str, list[Row]]:
    """The rows of the exact methods, the ratios to their rivals, and those over seeds of BerOpt, of many folders."""
    found: dict[str, list[Row]] = {name: [] for name in ("rows", "ratios", "over_seeds", "queries")}
    for folder in folders:
        for file in sorted(folder.glob("table[12].json")):
            content = json.loads(file.read_text())
            for name in ("over_seeds",) if "over_seeds" in content else ("rows", "ratios"):
                rows = [_named(row) for row in content[name] if _is_told(name, row)]
                found[name] += [row for row in rows if row["layer"] != "all"]
            if file.stem == "table1" and "over_seeds" not in content:
                found["queries"] += _queries(content)
    return found


def joined(before: dict[str, list[Row]], now: dict[str, list[Row]]) -> dict[str, list[Row]]:
    """What was there, with the layers that were measured now in place of the same ones."""
    content = {}
    for name, rows in now.items():
        measured = {_layer(row) for row in rows}
        content[name] = [row for row in before.get(name, []) if _layer(row) not in measured] + rows
    return content


def deviations(content: dict[str, list[Row]]) -> str:
    """Table 1: one line for each layer, deviations and ratios; at how many of the queries chains did not converge."""
    names = [
        "model",
        "l",
        "queries",
        *(f"not converged: {name}" for name in SAMPLED),
        *EXACT_METHODS,
        *(f"exact / {name}" for name in RIVALS),
    ]
    return markdown.table(names, _lines(content, DEVIATION, with_queries=True))


def similarities(content: dict[str, list[Row]]) -> str:
    """Table 2: two lines for each layer, of the critic's first features and of the class."""
    told = (ROUGH, CLASS_CONSISTENCY)
    lines = [[*line[:2], metric, *line[2:]] for metric in told for line in _lines(content, metric)]
    names = ["model", "l", "metric", *EXACT_METHODS, *(f"exact / {name}" for name in RIVALS)]
    return markdown.table(names, sorted(lines, key=lambda line: line[:2]))


def seeds(content: dict[str, list[Row]]) -> str:
    """The ratios of Table 1 at single queries over seeds of BerOpt."""
    wanted = [row for row in content["over_seeds"] if row["metric"] == f"{EXACT} / baseline, {DEVIATION}"]
    lines = []
    for key in sorted({(row["model"], row["layer"], row["query"]) for row in wanted}):
        here = {row["method"]: row for row in wanted if (row["model"], row["layer"], row["query"]) == key}
        lines.append([f"`{key[0]}`", *map(str, key[1:]), *(ratio_cell(here.get(name)) for name in RIVALS)])
    return markdown.table(["model", "l", "query", *(f"exact / {name}" for name in RIVALS)], lines)


def _lines(content: dict[str, list[Row]], metric: str, *, with_queries: bool = False) -> list[list[str]]:
    means = {(row["model"], row["layer"], row["method"]): row for row in content["rows"] if row["metric"] == metric}
    over = {
        (row["model"], row["layer"], row["method"]): row
        for row in content["ratios"]
        if row["metric"] == f"{EXACT} / baseline, {metric}"
    }
    lines = []
    for model, layer in sorted(dict.fromkeys(key[:2] for key in means), key=lambda key: (key[0], str(key[1]))):
        line = [f"`{model}`", str(layer)]
        if with_queries:
            some = [row for row in content["queries"] if (row["model"], row["layer"]) == (model, layer)]
            line += [str(len(some)), *(str(sum(name in row["unconverged"] for row in some)) for name in SAMPLED)]
        values = [means.get((model, layer, name)) for name in EXACT_METHODS]
        line += ["" if row is None else f"{row['mean']:.3f}" for row in values]
        lines.append(line + [ratio_cell(over.get((model, layer, name))) for name in RIVALS])
    return lines


def _layer(row: Row) -> tuple[str, int | str]:
    return row["model"], row["layer"]


def _queries(content: dict[str, Any]) -> list[Row]:
    config = content["config"]
    masses = {tuple(key): mass for *key, mass in config["log10_mass"]}
    lost: dict[tuple[Any, ...], list[str]] = {}
    for *key, method in config["unconverged"]:
        lost.setdefault(tuple(key), []).append(method)
    return [
        _named({"model": model, "layer": layer, "seed": seed})
        | {"log10_mass": masses.get((model, layer, seed)), "unconverged": lost.get((model, layer, seed), [])}
        for model, layers in config["layers"].items()
        for layer in layers
        for seed in config["seeds"]
    ]


def _is_told(name: str, row: Row) -> bool:
    metric = row["metric"].rpartition(", ")[2]
    if metric not in (DEVIATION, CLASS_CONSISTENCY) and not metric.startswith(SIMILARITY):
        return False
    return row["method"] in EXACT_METHODS if name == "rows" else row["metric"].startswith(EXACT)


def _named(row: Row) -> Row:
    return {**row, "model": FACES if Path(row["model"]).suffix else row["model"]}


def ratio_cell(row: Row | None) -> str:
    """A ratio with its interval, where queries are enough for one; empty where there is none."""
    if row is None:
        return ""
    is_few = row.get("n_queries", FEWEST) < FEWEST  # resampled, three queries give 95 % intervals that hold 76 %
    if is_few or row["low"] is None:
        return f"{row['mean']:.2f}"
    return markdown.interval(row["mean"], row["low"], row["high"])


def main(folders: Sequence[str]) -> None:
    """Put the rows together, and print the tables."""
    if folders:
        before = json.loads(ROWS.read_text()) if ROWS.exists() else {}
        ROWS.write_text(json.dumps(joined(before, gathered(map(Path, folders))), indent=1) + "\n")
    content = json.loads(ROWS.read_text())
    print(deviations(content), similarities(content), seeds(content), sep="\n\n")


if __name__ == "__main__":
    main(sys.argv[1:])
