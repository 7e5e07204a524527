# SPDX-License-Identifier: MIT
"""BerOpt's sets beside sets of simple rankings: fidelity at equal size, size at equal fidelity (Definition 6)."""

import functools
import io
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

import egbas
from egbas.beropt import BerOptConfig, BerOptResult, optimize
from egbas.evaluation.metrics.bootstrap import bootstrap_interval, bootstrap_ratio
from egbas.evaluation.rankings import RANKINGS, ROUNDING, fidelities, fidelity_of, ranked, shuffled, smallest_size
from egbas.figures.rankings import Panel, rankings_figure
from egbas.network import Network, Split, Tail
from egbas.reproduce.kept import identity_of, kept_each
from egbas.reproduce.measurement import LAYERS, MODELS, N_QUERIES
from egbas.reproduce.shared_runs import Progress
from egbas.storage import Store, write_file, write_json
from egbas.zoo.models import load_model

RANDOM = "random"
METHODS = (*RANKINGS, RANDOM)
N_DRAWS = 5
# Of the active units, for the curves of the figure: 1/1000 to all of them.
SHARES = tuple(10 ** (-3 + k / 8) for k in range(25))

_SCHEMA = 1  # to be raised with every change of what is measured, or how


@dataclass(frozen=True, kw_only=True)
class Case:
    """One ranking beside BerOpt, for one query at one layer.

    Attributes:
        model: name in the zoo.
        layer: l.
        query: its number, the seed of its draw from the prior and of BerOpt, as in ``egbas explore --seed``.
        method: the ranking.
        units: of the layer.
        active: those that are not zero at the query.
        beropt_size: how many units BerOpt keeps.
        beropt_fidelity: relative distance that they leave; 0 is perfect.
        fidelity: the same for the ranking's first ``beropt_size`` units; mean over the draws of the random order.
        size: how many units the ranking needs for BerOpt's fidelity; mean over the draws.
        best_fidelity: the smallest of the draws; of an order that is not random, ``fidelity``.
        best_size: the smallest of the draws.
    """

    model: str
    layer: int
    query: int
    method: str
    units: int
    active: int
    beropt_size: int
    beropt_fidelity: float
    fidelity: float
    size: float
    best_fidelity: float
    best_size: int

    @property
    def wins_at_equal_size(self) -> bool:
        """Whether a set of the ranking as large as BerOpt's is more faithful."""
        return self.best_fidelity < self.beropt_fidelity - ROUNDING

    @property
    def wins_at_equal_fidelity(self) -> bool:
        """Whether a smaller set of the ranking is as faithful as BerOpt's."""
        return self.best_size < self.beropt_size


def run(  # noqa: PLR0913
    model_names: Sequence[str] = MODELS,
    n_queries: int = N_QUERIES,
    out: Path = Path("runs/reproduce"),
    progress: Progress | None = None,
    *,
    layers: Sequence[int] = LAYERS,
    config: BerOptConfig | None = None,
    store: Store | None = None,
) -> dict[str, Any]:
    """Compare at queries 0, 1, ... of every layer; write ``out/rankings.json`` and ``out/rankings.png``.

    Args:
        model_names: embedded generators.
        n_queries: how many queries of each.
        out: folder of the files.
        progress: called after each query with (done, all, text).
        layers: numbers of their non-linearities.
        config: of BerOpt; by default its own.
        store: where queries are kept and found again; None: nowhere.

    Returns:
        {"rows": one for each model, layer, query and ranking; "summary": one for each model, layer and ranking;
        "curves": mean relative distance by the share of active units that is kept; "config"}.

    Raises:
        ModelNotFoundError: there is no such model.
        LayerNotFoundError: a model has no such layer.
    """
    config, start = config or BerOptConfig(), time.perf_counter()
    models = {name: load_model(name) for name in model_names}
    asked = [(name, layer, query) for name in model_names for layer in layers for query in range(n_queries)]

    @functools.lru_cache(maxsize=1)  # queries of a layer share its split
    def split_of(name: str, layer: int) -> Split:
        return Network(models[name].generator, models[name].latent.shape).split(layer)

    def measure(name: str, layer: int, query: int) -> Any:
        tail = split_of(name, layer).at(models[name].latent.sample(1, rng=torch.Generator().manual_seed(query))[0])
        result = optimize(tail, config, rng=torch.Generator().manual_seed(query))
        some, curve = compare(tail, result, case=(models[name].name, layer, query))
        return {"cases": [asdict(case) for case in some], "curve": curve.tolist()}

    def tell(done: int, place: int) -> None:
        if progress:
            name, layer, query = asked[place]
            progress(done, len(asked), f"{name} layer {layer} query {query}")

    settings = {"rankings": _SCHEMA, "beropt": asdict(config)}
    identities = {name: identity_of(model) for name, model in models.items()}
    pieces = [
        ({**identities[name], **settings, "layer": layer, "query": query}, partial(measure, name, layer, query))
        for name, layer, query in asked
    ]
    told = dict(zip(asked, kept_each(store, pieces, tell), strict=True))
    cases = [Case(**{**case, "model": name}) for (name, _, _), one in told.items() for case in one["cases"]]
    lines: list[dict[str, Any]] = []
    for name, layer in dict.fromkeys((name, layer) for name, layer, _ in asked):
        curves = [torch.tensor(told[name, layer, i]["curve"], dtype=torch.float64) for i in range(n_queries)]
        for method, line in zip(METHODS, torch.stack(curves).mean(dim=0).tolist(), strict=True):
            lines.append({"model": name, "layer": layer, "method": method, "fidelities": line})
    content = {
        "rows": [asdict(case) for case in cases],
        "summary": summarise(cases),
        "curves": {"shares": list(SHARES), "lines": lines},
        "config": {
            "models": list(model_names),
            "queries": n_queries,
            "draws": N_DRAWS,
            "beropt": asdict(config),
            "versions": {"egbas": egbas.__version__, "torch": torch.__version__},
            "seconds": time.perf_counter() - start,
        },
    }
    write_json(out / "rankings.json", content)
    write_file(out / "rankings.png", _picture(content))
    return content


def compare(
    tail: Tail, result: BerOptResult, case: tuple[str, int, int]
) -> tuple[list[Case], Float[Tensor, "methods shares"]]:
    """Compare BerOpt's set with every ranking.

    Args:
        tail: the network above the layer, at the query.
        result: BerOpt's result for this tail.
        case: model, layer and query, for the cases; the query seeds the random orders.

    Returns:
        One case for each of ``METHODS``, and their relative distances at ``SHARES`` of the active units.
    """
    model, layer, query = case
    active = int((tail.a != 0).sum())
    sizes = torch.tensor([math.ceil(share * active - 1e-9) for share in SHARES], dtype=torch.int64)
    rng = torch.Generator().manual_seed(query)
    cases, curves = [], []
    for method in METHODS:
        orders = [shuffled(tail, rng=rng) for _ in range(N_DRAWS)] if method == RANDOM else [ranked(tail, method)]
        at_size = [fidelity_of(tail, order, len(result.units)) for order in orders]
        at_fidelity = [smallest_size(tail, order, result.fidelity) for order in orders]
        curves.append(torch.stack([fidelities(tail, order, sizes) for order in orders]).mean(dim=0))
        cases.append(
            Case(
                model=model,
                layer=layer,
                query=query,
                method=method,
                units=len(tail.a),
                active=active,
                beropt_size=len(result.units),
                beropt_fidelity=result.fidelity,
                fidelity=fmean(at_size),
                size=fmean(at_fidelity),
                best_fidelity=min(at_size),
                best_size=min(at_fidelity),
            )
        )
    return cases, torch.stack(curves)


def summarise(cases: Sequence[Case]) -> list[dict[str, Any]]:
    """Means over queries, with 95 % bootstrap intervals over queries (null for one query).

    Returns:
        For each model, layer and ranking: "size" and "fidelity" of BerOpt and of the ranking, the "size_ratio" of the
        ranking's size to BerOpt's, and how often the ranking "wins_at_equal_size" and "wins_at_equal_fidelity".
    """
    rows = []
    for model, layer, method in dict.fromkeys((case.model, case.layer, case.method) for case in cases):
        group = [case for case in cases if (case.model, case.layer, case.method) == (model, layer, method)]
        sizes, own = [case.size for case in group], [float(case.beropt_size) for case in group]
        errors, own_errors = [case.fidelity for case in group], [case.beropt_fidelity for case in group]
        rows.append(
            {
                "model": model,
                "layer": layer,
                "method": method,
                "n_queries": len(group),
                "beropt_size": fmean(own),
                "beropt_fidelity": fmean(own_errors),
                "beropt_fidelity_interval": bootstrap_interval(own_errors),
                "fidelity": fmean(errors),
                "fidelity_interval": bootstrap_interval(errors),
                "size": fmean(sizes),
                "size_ratio": fmean(sizes) / fmean(own) if any(own) else None,
                "size_ratio_interval": bootstrap_ratio(sizes, own) if all(own) else None,
                "wins_at_equal_size": sum(case.wins_at_equal_size for case in group),
                "wins_at_equal_fidelity": sum(case.wins_at_equal_fidelity for case in group),
            }
        )
    return rows


def as_table(content: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Headings and lines for the terminal: BerOpt of every layer, and each ranking below it."""
    headings = ["model", "l", "method", "error at BerOpt's size", "more faithful", "size at BerOpt's error"]
    headings += ["times BerOpt's", "smaller"]
    lines, group = [], None
    for row in content["summary"]:
        if group != (group := (row["model"], str(row["layer"]))):
            own = _with_interval(row["beropt_fidelity"], row["beropt_fidelity_interval"], digits=3)
            lines.append([*group, "BerOpt", own, "", f"{row['beropt_size']:.0f}", "", ""])
        n, ratio = row["n_queries"], row["size_ratio"]
        lines.append(
            [
                *group,
                row["method"],
                _with_interval(row["fidelity"], row["fidelity_interval"], digits=3),
                f"{row['wins_at_equal_size']}/{n}",
                f"{row['size']:.0f}",
                "-" if ratio is None else _with_interval(ratio, row["size_ratio_interval"], digits=1),
                f"{row['wins_at_equal_fidelity']}/{n}",
            ]
        )
    return headings, lines


def _with_interval(value: float, interval: Sequence[float] | None, *, digits: int) -> str:
    if interval is None:
        return f"{value:.{digits}f}"
    return f"{value:.{digits}f} [{interval[0]:.{digits}f}, {interval[1]:.{digits}f}]"


def _picture(content: dict[str, Any]) -> bytes:
    """Draw the curves of every layer, as a PNG."""
    rows, lines = content["rows"], content["curves"]["lines"]
    panels = []
    for group in dict.fromkeys((line["model"], line["layer"]) for line in lines):
        curves = {line["method"]: line["fidelities"] for line in lines if (line["model"], line["layer"]) == group}
        own = [row for row in rows if (row["model"], row["layer"], row["method"]) == (*group, RANDOM)]
        points = [(row["beropt_size"] / row["active"], row["beropt_fidelity"]) for row in own]
        panels.append(Panel(title=f"{group[0]}, l = {group[1]}", curves=curves, points=points))
    buffer = io.BytesIO()
    rankings_figure(panels, content["curves"]["shares"]).savefig(buffer, format="png")
    return buffer.getvalue()
