# SPDX-License-Identifier: MIT
"""E-GBAS beside the baselines (Jeon et al. 2020, Experiments): from explorations to the rows of a table.

``evaluate`` judges all methods at one query. ``summarise`` and ``ratios`` go from the scores of many queries
to means and intervals. Rows are dicts, ready for JSON and CSV.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from egbas.evaluation.baselines import (
    E_GBAS,
    METHODS,
    BaselineSamples,
    e_gbas,
    has_border,
    l2_ball,
    linf_ball,
    radius_matched,
)
from egbas.evaluation.metrics.bootstrap import bootstrap_interval, bootstrap_ratio
from egbas.evaluation.metrics.critic import CriticSimilarity, class_consistency
from egbas.evaluation.metrics.samples import search_evaluations, share_in_region
from egbas.evaluation.metrics.spread import PixelSpread
from egbas.exploration.result import Exploration

DEVIATION, CLASS_CONSISTENCY, IN_REGION = "deviation", "class consistency", "in region"
SIMILARITY = "critic similarity"  # followed by the number of the critic's layer

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Score:
    """What one metric says of one method at one query.

    Attributes:
        model: name of the generator.
        layer: number of the explored layer, or its path where it has none.
        query: tells the queries of a layer apart: the seed of the exploration.
        method: one of ``egbas.evaluation.baselines.METHODS``, or of ``exact_methods.EXACT_METHODS``.
        metric: ``"deviation"``, ``"critic similarity 1"`` and so on, ``"class consistency"``, ``"in region"``,
            ``"left support"`` (a share of the samples), ``"epsilon"``, ``"samples"`` or ``"search evaluations"``.
        value: in the unit of the metric.
    """

    model: str
    layer: int | str
    query: int
    method: str
    metric: str
    value: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """E-GBAS beside the baselines: what to look at, and the numbers.

    Attributes:
        images: of some samples of every method at the first query, as ``pictured`` gives them.
        rows: of ``summarise``, over all queries.
        ratios: of ``ratios``, over all queries.
    """

    images: Mapping[str, Tensor]
    rows: Sequence[Row]
    ratios: Sequence[Row]


def draw_all(run: Exploration, *, rng: torch.Generator) -> list[BaselineSamples]:
    """The samples of E-GBAS and of every baseline; without the two balls where nothing marks the border.

    Args:
        run: the exploration.
        rng: a CPU generator, for the baselines.

    Raises:
        ConfigError: the exploration accepted nothing.
    """
    drawn = [e_gbas(run)]
    if has_border(run):
        drawn += [l2_ball(run, rng=rng), linf_ball(run, rng=rng)]
    return [*drawn, radius_matched(run, rng=rng)]


def evaluate(
    run: Exploration,
    samples: Sequence[BaselineSamples],
    *,
    discriminator: nn.Module | None = None,
    classifier: nn.Module | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Score]:
    """Judge the samples of every method at one query.

    Args:
        run: the exploration that the samples belong to.
        samples: as ``draw_all`` gives them.
        discriminator: for the critic similarity, in eval mode; None: that is left out.
        classifier: for the class consistency, in eval mode; None: that is left out.
        progress: called with (samples judged, all samples).

    Returns:
        The scores, method by method.

    Raises:
        NetworkError: one of the networks fails, or is in train mode.
    """
    query_image = run.query_image
    similarity = None if discriminator is None else CriticSimilarity(discriminator, query_image)
    scores, judged, total = [], 0, sum(len(drawn.latents) for drawn in samples)
    for drawn in samples:
        before = judged

        def tell(done: int, _: int, before: int = before) -> None:
            if progress is not None:
                progress(before + done, total)

        beside = None if similarity is None else similarity.anew()
        values = _values(run, drawn, query_image, beside, classifier, tell)
        judged += len(drawn.latents)
        scores += [
            Score(
                model=run.model_name,
                layer=run.support.layer.key,
                query=run.seed,
                method=drawn.method,
                metric=metric,
                value=value,
            )
            for metric, value in values.items()
        ]
    return scores


def images_of(run: Exploration, latents: Tensor) -> Tensor:
    """G of latents (n, d), on the CPU."""
    return torch.cat(list(run.network.image_batches(latents)))


def summarise(scores: Iterable[Score]) -> list[Row]:
    """Average over queries, with the bootstrap interval of the mean.

    Returns:
        Rows {"model", "layer", "method", "metric", "mean", "low", "high", "n_queries"}; low and high are None
        for a single query.
    """
    rows = []
    for (model, layer, method, metric), group in _grouped(scores, "model", "layer", "method", "metric").items():
        values = [score.value for score in group]
        key = {"model": model, "layer": layer, "method": method, "metric": metric}
        rows.append(key | _estimate(sum(values) / len(values), bootstrap_interval(values), len(values)))
    return rows


def ratios(
    scores: Iterable[Score], metric: str = DEVIATION, *, ours: str = E_GBAS, others: Sequence[str] = METHODS[1:]
) -> list[Row]:
    """E-GBAS over each baseline: the ratio of the means over queries, with its paired bootstrap interval.

    Queries where the baseline could not be drawn are left out on both sides. A baseline that is zero at all queries
    has no ratio.

    Args:
        scores: of many queries, models and layers.
        metric: of which the ratio is taken; its values are positive.
        ours: the method above the line.
        others: the baselines.

    Returns:
        Rows as ``summarise`` gives, whose method is the baseline.
    """
    rows = []
    chosen = [score for score in scores if score.metric == metric]
    for (model, layer), group in _grouped(chosen, "model", "layer").items():
        by_method = {name: {s.query: s.value for s in group if s.method == name} for name in (ours, *others)}
        numerators = by_method[ours]
        for method in others:
            queries = [query for query in by_method[method] if query in numerators]
            if not queries:
                continue
            above = [numerators[query] for query in queries]
            below = [by_method[method][query] for query in queries]
            if not sum(below):
                continue
            key = {"model": model, "layer": layer, "method": method, "metric": f"{ours} / baseline, {metric}"}
            rows.append(key | _estimate(sum(above) / sum(below), bootstrap_ratio(above, below), len(queries)))
    return rows


def pictured(run: Exploration, samples: Sequence[BaselineSamples], count: int = 10) -> dict[str, Tensor]:
    """Images of some samples of each method, chosen at random by the same rule: trees list the near ones first.

    Args:
        run: the exploration that the samples belong to; its seed chooses.
        samples: as ``draw_all`` gives them.
        count: of each method at most.
    """

    def chosen(drawn: BaselineSamples) -> Tensor:
        rng = torch.Generator().manual_seed(run.seed)
        return images_of(run, drawn.latents[choose_pictured(len(drawn.latents), count, rng=rng)])

    return {drawn.method: chosen(drawn) for drawn in samples}


def choose_pictured(n_samples: int, count: int, *, rng: torch.Generator) -> list[int]:
    """Choose samples for a picture at random, the same way for every method."""
    return torch.randperm(n_samples, generator=rng)[:count].tolist()


def as_table(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Headings and lines to show: one line for each metric, one column for each method."""
    methods = list(dict.fromkeys(row["method"] for row in rows))
    metrics = list(dict.fromkeys(row["metric"] for row in rows))
    cells = {(row["metric"], row["method"]): estimate(row) for row in rows}
    lines = [[metric, *(cells.get((metric, method), "-") for method in methods)] for metric in metrics]
    return ["metric", *methods], lines


def estimate(row: Row) -> str:
    """A mean with its interval, such as ``0.652 [0.601, 0.700]``."""
    mean = f"{row['mean']:.4g}"
    return mean if row["low"] is None else f"{mean} [{row['low']:.4g}, {row['high']:.4g}]"


def _values(
    run: Exploration,
    drawn: BaselineSamples,
    query_image: Tensor,
    similarity: CriticSimilarity | None,
    classifier: nn.Module | None,
    progress: Callable[[int, int], None],
) -> dict[str, float]:
    spread, consistency, n = PixelSpread(), 0.0, len(drawn.latents)
    for images in run.network.image_batches(drawn.latents, progress=progress):  # all at once may not fit in memory
        spread.add(images)
        if similarity is not None:
            similarity.add(images)
        if classifier is not None:
            consistency += class_consistency(classifier, images, query_image) * len(images) / n
    values = {DEVIATION: spread.deviation.mean().item()}
    if similarity is not None:
        values |= {f"{SIMILARITY} {number}": value for number, value in enumerate(similarity.values, 1)}
    if classifier is not None:
        values[CLASS_CONSISTENCY] = consistency
    values[IN_REGION] = share_in_region(run.region, drawn.latents)
    values["left support"] = drawn.left_support / len(drawn.latents)
    if drawn.epsilon is not None:
        values["epsilon"] = drawn.epsilon
    return values | {"samples": float(n), "search evaluations": float(search_evaluations(run))}


def _grouped(scores: Iterable[Score], *names: str) -> dict[tuple[Any, ...], list[Score]]:
    groups: dict[tuple[Any, ...], list[Score]] = {}
    for score in scores:
        groups.setdefault(tuple(getattr(score, name) for name in names), []).append(score)
    return groups


def _estimate(mean: float, interval: tuple[float, float] | None, n_queries: int) -> Row:
    low, high = interval or (None, None)
    return {"mean": mean, "low": low, "high": high, "n_queries": n_queries}
