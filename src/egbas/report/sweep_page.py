# SPDX-License-Identifier: MIT
"""One self-contained HTML page of a sweep: how its answers are spread over queries, and the odd ones in pictures."""

import math
import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from egbas.exploration.result import Exploration
from egbas.figures import choose_even
from egbas.figures.distributions import distributions_drawing
from egbas.figures.look import Look
from egbas.report.encode import chart, picture
from egbas.report.template import template
from egbas.version import __version__

# What is shown of a task: the column, and what it is.
MEASURES = {
    "region.freedom": "freedom: 0 held, 1 as free as ever",
    "region.distance.q95": "distance that 95 % of the images keep to, in norms of the query's",
    "region.log10_mass": "log10 of the region's prior mass",
    "supporting_units": "units kept",
    "fidelity": "relative error of the kept units alone",
    "acceptance": "share of the tree's candidates accepted",
}
KEYS = ("task", "model", "layer", "level", "seed")
OUTLIERS, SAMPLES = 12, 8  # shown
ODD = 3.5  # robust deviations from the median, from which on something is called an outlier (Iglewicz and Hoaglin 1993)
_LARGE = 1000  # from which on numbers are told whole
_MAD = 1.4826  # median absolute deviations in a standard deviation, of a normal distribution
LEAST = 0.05  # of the median: what differs by less is odd to no reader, however alike the others are
_LEAST_LOG = 0.1  # of a logarithm, whose median says nothing of its scale
_WARNINGS, _KINDS = 5, 1000  # shown; told apart
_FEWEST = 5  # tasks of a group in which outliers are looked for

_NUMBER = re.compile(r"(?<![A-Za-z\d])\d[\d,.]*(?<![,.])")

Group = tuple[str, str, int | None]


def columns_of(known: Iterable[str]) -> list[str]:
    """The columns of a table that the page needs, of those that there are."""
    return [name for name in known if name in (*KEYS, *MEASURES, "warnings")]


def render_sweep(
    rows: Iterable[Mapping[str, Any]],
    load: Callable[[str], Exploration],
    *,
    failures: Mapping[str, str],
    title: str,
) -> str:
    """Render the page of a sweep.

    Args:
        rows: of its table, with the columns of ``columns_of``; gone through once.
        load: gives the exploration of a task, by its key.
        failures: what the failed tasks said, by task.
        title: of the page.

    Returns:
        An HTML page with everything inside but the run directories that it links to.
    """
    groups: dict[Group, dict[str, Any]] = {}
    n_tasks = n_warned = 0
    warned: Counter[str] = Counter()
    for row in rows:
        group = groups.setdefault(
            (row["model"], row["layer"], row.get("level")),
            {"tasks": [], **{name: array("d") for name in MEASURES}},
        )
        group["tasks"].append((bytes.fromhex(row["task"]), row["seed"]))
        n_tasks, n_warned = n_tasks + 1, n_warned + bool(row.get("warnings"))
        for kind in {_NUMBER.sub("#", text) for text in (row.get("warnings") or "").splitlines()}:
            if kind in warned or len(warned) < _KINDS:
                warned[kind] += 1
        for name in MEASURES:
            value = row.get(name)
            group[name].append(math.nan if value is None else value)
    several = len({model for model, _, _ in groups}) > 1
    names = {key: _name(key, several) for key in sorted(groups, key=_order)}
    drawings = [(told, chart(drawn)) for name, told in MEASURES.items() if (drawn := _drawn(groups, names, name, told))]
    return template("sweep.html.j2").render(
        version=__version__,
        title=title,
        n_tasks=n_tasks,
        n_warned=n_warned,
        warnings=[(text, f"{n:,}") for text, n in warned.most_common(_WARNINGS)],
        models=sorted({model for model, _, _ in groups}),
        drawings=drawings,
        headings=["", "tasks", *MEASURES.values()],
        lines=[[names[key], f"{len(groups[key]['tasks']):,}", *_medians(groups[key])] for key in names],
        outliers=[_shown(load, one) for one in odd_tasks(groups, names)],
        failures=list(failures.items())[:OUTLIERS],
        n_failures=len(failures),
    )


def odd_tasks(groups: Mapping[Group, Mapping[str, Any]], names: Mapping[Group, str]) -> list[dict[str, Any]]:
    """The tasks that lie farthest from the median of their layer and level, in robust deviations; each once."""
    found: dict[str, dict[str, Any]] = {}
    for key, name in names.items():
        group = groups[key]
        for measure, told in MEASURES.items():
            for place, value, median, score in _scores(np.array(group[measure]), is_log="log10" in measure):
                task, seed = group["tasks"][place]
                one = {
                    "task": task.hex(),
                    "name": f"{name}, seed {seed}",
                    "score": score,
                    "told": f"{told.split(':')[0].split(',')[0]} {_number(value)}, median {_number(median)}",
                }
                if one["task"] not in found or found[one["task"]]["score"] < score:
                    found[one["task"]] = one
    return sorted(found.values(), key=lambda one: -one["score"])[:OUTLIERS]


def _scores(values: NDArray[np.float64], *, is_log: bool) -> list[tuple[int, float, float, float]]:
    """Place, value, median and robust deviations of those that are odd, the oddest first."""
    known = np.flatnonzero(np.isfinite(values))
    if len(known) < _FEWEST:
        return []
    median = float(np.median(values[known]))
    spread = _MAD * float(np.median(np.abs(values[known] - median)))
    if not spread:
        return []
    scores = np.abs(values[known] - median) / spread
    is_odd = (scores > ODD) & (np.abs(values[known] - median) > (_LEAST_LOG if is_log else LEAST * abs(median)))
    order = [i for i in np.argsort(-scores, kind="stable") if is_odd[i]][:OUTLIERS]
    return [(int(known[i]), float(values[known[i]]), median, float(scores[i])) for i in order]


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= _LARGE else f"{value:.3g}"


def _drawn(groups: Mapping[Group, Mapping[str, Any]], names: Mapping[Group, str], measure: str, told: str) -> Any:
    """The distributions of a measure; None where no group has it."""
    rows = []
    for key, name in names.items():
        values = np.array(groups[key][measure])
        values = values[np.isfinite(values)]
        if len(values):
            rows.append((name, values))
    return distributions_drawing(rows, told) if rows else None


def _medians(group: Mapping[str, Any]) -> list[str]:
    cells = []
    for name in MEASURES:
        values = np.array(group[name])
        values = values[np.isfinite(values)]
        middle = [_number(value) for value in np.quantile(values, [0.5, 0.25, 0.75])] if len(values) else []
        cells.append("{} [{}, {}]".format(*middle) if middle else "-")
    return cells


def _shown(load: Callable[[str], Exploration], one: Mapping[str, Any]) -> dict[str, Any]:
    """An odd task with pictures: the query, and some samples."""
    run = load(one["task"])
    samples = run.samples[run.shown].drawn
    chosen = samples[choose_even(len(samples), min(SAMPLES, len(samples)))] if len(samples) else samples
    outputs = run.network.generate(torch.cat([run.query[None].to(chosen), chosen]))
    look = Look.of(outputs[:1], run.network.image_range)
    images = [picture(image, look.limits) for image in look.pictures(outputs)]
    return {**one, "images": images, "score": f"{one['score']:.1f}"}


def _name(key: Group, several: bool) -> str:
    model, layer, level = key
    of_level = "" if level is None else f", level {level:.0f}"
    of_model = f"{model}, " if several else ""
    return f"{of_model}layer {layer}{of_level}"


def _order(key: Group) -> tuple[Any, ...]:
    """By model, layer and level; layers by number come first, in order."""
    model, layer, level = key
    return model, not layer.isdecimal(), int(layer) if layer.isdecimal() else 0, layer, -1 if level is None else level
