# SPDX-License-Identifier: MIT
"""Table 2 of Jeon et al. 2020: cosine similarity of discriminator features of the samples and the query.

Each number is over the explored layers as well as over queries, as the paper has one row per model and method:
first the mean over a query's layers, then mean and interval over queries.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from egbas.evaluation.baselines import E_GBAS, L2, LINF, METHODS
from egbas.evaluation.comparison import CLASS_CONSISTENCY, SIMILARITY, Score, ratios, summarise
from egbas.evaluation.exact_methods import EXACT, RIVALS
from egbas.reproduce.measurement import MODELS
from egbas.reproduce.tables import PaperTable, Rows, by_place

# DCGAN-MNIST, discriminator layers 1..4, as printed.
PAPER = {E_GBAS: (0.747, 0.838, 0.878, 0.992), L2: (0.722, 0.819, 0.864, 0.991), LINF: (0.727, 0.823, 0.867, 0.991)}
ALL_LAYERS = "all"


def rows_and_ratios(scores: Sequence[Score]) -> tuple[Rows, Rows]:
    """Similarities and class consistencies of every layer and of all layers ("all"), and E-GBAS over each baseline.

    Returns:
        Rows as ``egbas.evaluation.comparison.summarise`` gives; the ratios have "paper", its ratio or None, too.
    """
    chosen = [s for s in scores if s.metric.startswith(SIMILARITY) or s.metric == CLASS_CONSISTENCY]
    with_all = [*chosen, *over_layers(chosen)]
    quotients = []
    for metric in dict.fromkeys(score.metric for score in chosen):
        quotients += [{**row, "paper": _paper(row, metric)} for row in ratios(with_all, metric)]
        for rival in RIVALS:
            both = _where_both(chosen, EXACT, rival)
            over_all = [*both, *over_layers(both)]
            quotients += [{**row, "paper": None} for row in ratios(over_all, metric, ours=EXACT, others=(rival,))]
    return summarise(with_all), quotients


def over_layers(scores: Iterable[Score]) -> list[Score]:
    """Mean over the layers of each query where the method was drawn; their layer is ``"all"``."""
    groups: dict[Score, list[float]] = defaultdict(list)
    for score in scores:
        groups[replace(score, layer=ALL_LAYERS, value=0.0)].append(score.value)
    return [replace(score, value=sum(values) / len(values)) for score, values in groups.items()]


def _where_both(scores: Sequence[Score], ours: str, other: str) -> list[Score]:
    """The scores of two methods at the layers and queries where both were drawn: a mean over others would mislead."""
    places = {name: {(s.model, s.layer, s.query) for s in scores if s.method == name} for name in (ours, other)}
    common = places[ours] & places[other]
    return [s for s in scores if s.method in places and (s.model, s.layer, s.query) in common]


def paper_ratio(critic_layer: int, method: str) -> float | None:
    """E-GBAS over a baseline in the paper's Table 2, DCGAN-MNIST; None where it has no such number."""
    if method not in PAPER or not 1 <= critic_layer <= len(PAPER[E_GBAS]):
        return None
    return PAPER[E_GBAS][critic_layer - 1] / PAPER[method][critic_layer - 1]


TABLE = PaperTable("table2", rows_and_ratios)
run = TABLE.run


def as_table(content: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Headings and lines for the terminal: every method's means, and E-GBAS over each ball beside the paper's."""
    headings = ["model", "l", "metric", *METHODS, f"/ {L2}", "paper", f"/ {LINF}", "paper"]
    means, quotients = by_place(content["rows"]), by_place(content["ratios"])
    lines = []
    for key in dict.fromkeys(name[:3] for name in means):
        model, layer, metric = key
        line = [model, str(layer), metric]
        line += [f"{means[*key, name]['mean']:.4f}" if (*key, name) in means else "-" for name in METHODS]
        for method in (L2, LINF):
            row = quotients.get((model, layer, f"E-GBAS / baseline, {metric}", method))
            line += ["-", "-"] if row is None else [f"{row['mean']:.3f}", _plain(row["paper"])]
        lines.append(line)
    return headings, lines


def _paper(row: dict[str, Any], metric: str) -> float | None:
    # The paper does not say which explored layers its similarities are over; ours over all are the nearest.
    is_similarity = metric.startswith(SIMILARITY) and row["layer"] == ALL_LAYERS and row["model"] in MODELS
    return paper_ratio(int(metric.removeprefix(SIMILARITY)), row["method"]) if is_similarity else None


def _plain(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
