# SPDX-License-Identifier: MIT
"""Table 1 of Jeon et al. 2020: standard deviation of the generated images, E-GBAS beside the baselines."""

from collections.abc import Sequence
from typing import Any

from egbas.evaluation.baselines import L2, LINF, METHODS, RADIUS_MATCHED
from egbas.evaluation.comparison import DEVIATION, Score, ratios, summarise
from egbas.evaluation.exact_methods import EXACT, RIVALS
from egbas.reproduce.measurement import LAYERS, MODELS
from egbas.reproduce.repeats import told_ratio
from egbas.reproduce.tables import PaperTable, Rows

# DCGAN-MNIST, l = 1..4, as printed; there is no radius-matched baseline in the paper.
PAPER_E_GBAS = (0.0781, 0.0694, 0.0675, 0.0323)
PAPER = {L2: (0.0819, 0.0711, 0.0718, 0.0343), LINF: (0.0834, 0.0722, 0.0720, 0.0344)}


def rows_and_ratios(scores: Sequence[Score]) -> tuple[Rows, Rows]:
    """Standard deviations, and E-GBAS over each baseline.

    Returns:
        Rows as ``egbas.evaluation.comparison.summarise`` gives; the ratios have "paper", its ratio or None, too.
    """
    rows = [row for row in summarise(scores) if row["metric"] == DEVIATION]
    quotients = [*ratios(scores), *ratios(scores, ours=EXACT, others=RIVALS)]
    return rows, [{**row, "paper": paper_ratio(**_key(row))} for row in quotients]


TABLE = PaperTable("table1", rows_and_ratios)
run = TABLE.run


def paper_ratio(model: str, layer: int | str, method: str) -> float | None:
    """E-GBAS over a baseline in the paper's Table 1, DCGAN-MNIST; None where it has no such number."""
    if model not in MODELS or method not in PAPER or layer not in LAYERS:
        return None
    return PAPER_E_GBAS[int(layer) - 1] / PAPER[method][int(layer) - 1]


def as_table(content: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Headings and lines for the terminal: deviations of every method, then ratios beside the paper's."""
    headings = ["model", "l", *METHODS]
    for method in (L2, LINF, RADIUS_MATCHED):
        headings += [f"/ {method}", "paper"] if method in PAPER else [f"/ {method}"]
    means = {(row["model"], row["layer"], row["method"]): row["mean"] for row in content["rows"]}
    quotients = {(row["model"], row["layer"], row["method"]): row for row in content["ratios"]}
    lines = []
    for model, layer in dict.fromkeys((row["model"], row["layer"]) for row in content["rows"]):
        line = [model, str(layer)]
        line += [f"{means[key]:.4f}" if (key := (model, layer, name)) in means else "-" for name in METHODS]
        for method in (L2, LINF, RADIUS_MATCHED):
            row = quotients.get((model, layer, method))
            line.append("-" if row is None else told_ratio(row))
            if method in PAPER:
                paper = paper_ratio(model, layer, method)
                line.append("-" if paper is None else f"{paper:.3f}")
        lines.append(line)
    return headings, lines


def _key(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("model", "layer", "method")}
