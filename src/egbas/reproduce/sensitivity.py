# SPDX-License-Identifier: MIT
"""How Table 1's ratios move with the settings of E-GBAS, one setting at a time; what the defaults are chosen from."""

import dataclasses
import io
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

import egbas
from egbas.beropt import BerOptConfig
from egbas.evaluation.baselines import METHODS, BaselineSamples
from egbas.evaluation.comparison import DEVIATION, Score, draw_all, images_of, ratios
from egbas.evaluation.metrics.spread import deviation
from egbas.exploration.explore import explore
from egbas.exploration.result import Exploration
from egbas.figures.sensitivity import sensitivity_figure
from egbas.region import SupportingRegion
from egbas.reproduce.kept import Piece, identity_of, kept_each
from egbas.reproduce.measurement import LAYERS, MODELS
from egbas.reproduce.shared_runs import Progress
from egbas.samplers.choice import TREE
from egbas.samplers.gbrrt import OUTSIDE, GbRrtConfig, grow
from egbas.storage import Store, write_file, write_json
from egbas.zoo.models import Model, load_model

N_QUERIES = 5
_SCHEMA = 1  # to be raised with every change of what is measured, or how
SPARSITIES = (0.3, 1.0, 3.0, 10.0)
THRESHOLDS = (0.1, 0.5, 0.9)
FACTORS = (1 / 3, 1.0, 3.0)  # of the automatic step size
WIDTHS = (0.5, 1.0, 2.0, 4.0)  # of the automatic half-width
ITERATIONS = (500, 2000, 8000)
SETTINGS = ("sparsity", "threshold", "step size", "half-width", "iterations")

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One query under one setting.

    Attributes:
        scores: the deviation of every method.
        acceptance: share of the iterations that added a node.
        outside: share of the iterations whose candidate lay outside the region.
    """

    scores: tuple[Score, ...]
    acceptance: float
    outside: float


def run(
    model_names: Sequence[str] = MODELS,
    n_queries: int = N_QUERIES,
    out: Path = Path("runs/reproduce"),
    progress: Progress | None = None,
    layers: Sequence[int] = LAYERS,
    store: Store | None = None,
) -> dict[str, Any]:
    """Vary each setting around its default; write ``out/sensitivity.json`` and ``out/sensitivity.png``.

    Args:
        model_names: embedded generators.
        n_queries: how many queries of each, numbered as in Table 1.
        out: folder of the files.
        progress: called after each query with (done, all, text).
        layers: numbers of their non-linearities.
        store: where queries are kept and found again; None: nowhere.

    Returns:
        {"rows": [{"model", "layer", "setting", "value", "method", "mean", "low", "high", "n_queries", "acceptance",
        "outside"}, ...], "config"}: E-GBAS over the baseline ``method``; value is the setting itself, or for step
        size and half-width its multiple of the automatic one; acceptance and outside are shares of the iterations.
        A setting whose supporting set comes out empty at a query leaves that query out (n_queries tells).

    Raises:
        RunDirectoryError: a file cannot be written.
    """
    start = time.perf_counter()
    cases = [(name, layer, query) for name in model_names for layer in layers for query in range(n_queries)]
    models = {name: load_model(name) for name in model_names}
    cases_of: dict[tuple[str, int, str, float], list[Case]] = {}

    def tell(done: int, place: int) -> None:
        if progress:
            name, layer, query = cases[place]
            progress(done, len(cases), f"{name} l={layer} q={query}")

    if progress:
        progress(0, len(cases), "")
    identities = {name: identity_of(model) for name, model in models.items()}
    pieces = [_piece(models[name], identities[name], layer, query) for name, layer, query in cases]
    for (name, layer, _), found in zip(cases, kept_each(store, pieces, tell), strict=True):
        for setting, value, case in found:
            scores = tuple(Score(**{**score, "model": models[name].name}) for score in case["scores"])
            cases_of.setdefault((name, layer, setting, value), []).append(Case(**{**case, "scores": scores}))
    rows = [row for key, judged in cases_of.items() for row in _rows(*key, judged)]
    content = {
        "rows": rows,
        "config": {
            "models": {name: model.sha256 for name, model in models.items()},
            "layers": list(layers),
            "seeds": list(range(n_queries)),
            "defaults": {
                "beropt": dataclasses.asdict(BerOptConfig()),
                "gbrrt": dataclasses.asdict(GbRrtConfig()),
            },
            "versions": {"egbas": egbas.__version__, "torch": torch.__version__},
            "seconds": time.perf_counter() - start,
        },
    }
    if progress:
        progress(len(cases), len(cases), "done")
    picture = io.BytesIO()
    sensitivity_figure(rows).savefig(picture, format="png")
    write_json(out / "sensitivity.json", content)
    write_file(out / "sensitivity.png", picture.getvalue())
    return content


def _piece(model: Model, identity: dict[str, Any], layer: int, query: int) -> Piece:
    """What one query gives under every setting: what determines it, and what makes it."""

    def make() -> list[Any]:
        return [
            [setting, value, dataclasses.asdict(judge(varied))]
            for setting, value, varied in variations(model, layer, query)
            if len(varied.grown.drawn)  # else there is nothing to judge
        ]

    settings = [SPARSITIES, THRESHOLDS, FACTORS, WIDTHS, ITERATIONS]
    decides = {"sensitivity": _SCHEMA, **identity, "settings": settings, "layer": layer, "query": query}
    return decides, make


def variations(model: Model, layer: int, query: int) -> Iterator[tuple[str, float, Exploration]]:
    """Explore one query under every setting: (setting, value, exploration), the default once in each setting."""
    z0 = model.latent.sample(1, rng=torch.Generator().manual_seed(query))[0]
    weighted = BerOptConfig()  # as eq. 1 has it, without a level
    default = explore(model.generator, z0, layer, rng=query, beropt=weighted, model_name=model.name, samples=0)
    for sparsity in SPARSITIES:
        if sparsity == default.support.beropt.config.sparsity:
            yield "sparsity", sparsity, default
            continue
        try:
            config = BerOptConfig(sparsity=sparsity)
            yield "sparsity", sparsity, explore(model.generator, z0, layer, rng=query, beropt=config, samples=0)
        except egbas.ConfigError:
            continue  # the set is empty: there is nothing to explore
    for threshold in THRESHOLDS:
        if bool((default.support.beropt.theta > threshold).any()):
            yield "threshold", threshold, _with_threshold(default, threshold)
    step, width = default.grown.step_size, default.grown.half_width
    for factor in FACTORS:
        yield "step size", factor, _regrown(default, step_size=factor * step)
    for factor in WIDTHS:
        yield "half-width", factor, _regrown(default, half_width=factor * width)
    for n in ITERATIONS:
        yield "iterations", float(n), _regrown(default, iterations=n)


def judge(run: Exploration) -> Case:
    """Measure what the rows need of an exploration, which is large and not kept."""
    drawn = draw_all(run, rng=torch.Generator().manual_seed(run.seed))
    return Case(
        scores=tuple(_score(run, samples) for samples in drawn),
        acceptance=run.grown.acceptance,
        outside=int((run.grown.rejected_reason == OUTSIDE).sum()) / run.grown.iterations,
    )


def as_table(content: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Headings and lines for the terminal: per setting, ratios over each baseline and the acceptance."""
    methods = METHODS[1:]
    groups: dict[tuple[Any, ...], dict[str, Row]] = {}
    for row in content["rows"]:
        groups.setdefault((row["model"], row["layer"], row["setting"], row["value"]), {})[row["method"]] = row
    lines = []
    for (model, layer, setting, value), by_method in groups.items():
        some = next(iter(by_method.values()))
        cells = [f"{by_method[name]['mean']:.3f}" if name in by_method else "-" for name in methods]
        lines.append([model, str(layer), setting, f"{value:.3g}", *cells, f"{some['acceptance']:.0%}"])
    return ["model", "l", "setting", "value", *(f"/ {name}" for name in methods), "accepted"], lines


def _with_threshold(run: Exploration, threshold: float) -> Exploration:
    """The same theta with another threshold, with the tree that the new region gets from the same settings."""
    if threshold == run.support.beropt.config.threshold:
        return run
    units = (run.support.beropt.theta > threshold).nonzero()[:, 0]
    signs = run.support.region.split.at(run.query).h[units].sign().to(torch.int8)
    reach = run.geometry.reach(run.latent.largest_half_width)
    region = SupportingRegion.around(run.network, run.support.layer, run.query, units, signs, reach=reach)
    return _regrown(dataclasses.replace(run, region=region))


def _regrown(
    run: Exploration, *, step_size: float | None = None, half_width: float | None = None, iterations: int | None = None
) -> Exploration:
    """The same region under other settings of GB-RRT; those not given are the run's."""
    config = GbRrtConfig(
        iterations=iterations or GbRrtConfig().iterations,
        step_size=step_size or run.grown.step_size,
        half_width=half_width or run.grown.half_width,
    )
    rng = torch.Generator().manual_seed(run.seed + 1)
    tree = grow(run.query, run.region, config, rng=rng, geometry=run.geometry)
    return dataclasses.replace(run, samples={**run.samples, TREE: tree})


def _score(run: Exploration, samples: BaselineSamples) -> Score:
    value = deviation(images_of(run, samples.latents))
    return Score(
        model=run.model_name,
        layer=run.support.layer.key,
        query=run.seed,
        method=samples.method,
        metric=DEVIATION,
        value=value,
    )


def _rows(model: str, layer: int, setting: str, value: float, judged: list[Case]) -> Iterator[Row]:
    for row in ratios([score for case in judged for score in case.scores]):
        yield {
            "model": model,
            "layer": layer,
            "setting": setting,
            "value": value,
            **{key: row[key] for key in ("method", "mean", "low", "high", "n_queries")},
            "acceptance": fmean(case.acceptance for case in judged),
            "outside": fmean(case.outside for case in judged),
        }
