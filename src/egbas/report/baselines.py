# SPDX-License-Identifier: MIT
"""The section of the report that sets E-GBAS beside its baselines, in pictures and numbers."""

import io
from typing import Any

import torch
from matplotlib.figure import Figure

from egbas.evaluation.baselines import E_GBAS
from egbas.evaluation.comparison import DEVIATION, Comparison, as_table
from egbas.exploration.result import Exploration
from egbas.figures.comparison import comparison_figure
from egbas.figures.look import Look
from egbas.report.encode import data_url

# What the rows of the table say, by the start of their names.
MEANINGS = {
    DEVIATION: "standard deviation of the images, mean over pixels; lower is more alike",
    "critic similarity": "cosine similarity with the query's features in a layer of the critic; higher is more alike",
    "class consistency": "share that the classifier puts in the query's class; higher is more alike",
    "in region": "share of the samples in the region that E-GBAS explored",
    "left support": "share of the samples outside the support of the prior",
    "epsilon": "radius of the ball, half-width of the cube, in latent units",
    "samples": "drawn by each method",
    "search evaluations": "forward passes of the head that finding the region and its border took",
    "E-GBAS / baseline": "E-GBAS over each baseline; below 1, its images are more alike",
}


def beside_baselines(run: Exploration, comparison: Comparison) -> dict[str, Any]:
    """The section's content.

    Args:
        run: the exploration of the first query, whose samples are pictured.
        comparison: samples of that query, and the numbers over all queries.
    """
    headings, lines = as_table([*comparison.rows, *comparison.ratios])
    n_queries = max(row["n_queries"] for row in comparison.rows)
    over = f"means over {n_queries} queries, with 95% bootstrap intervals" if n_queries > 1 else "of this query"
    drawn = io.BytesIO()
    baselines_figure(run, comparison).savefig(drawn, format="png")
    return {
        "comparison_chart": data_url(drawn.getvalue(), "png"),
        "comparison_sentence": (
            f"As many samples of every method, {over}. The balls have the radius of the border that E-GBAS found; "
            "a radius-matched sample goes exactly as far from the query as one of E-GBAS, in a random direction. "
            + _verdict(comparison)
        ),
        "comparison_headings": headings,
        "comparison_lines": [(line[0], [_parts(cell) for cell in line[1:]]) for line in lines],
        "comparison_meanings": [
            (name, meaning) for name, meaning in MEANINGS.items() if any(line[0].startswith(name) for line in lines)
        ],
    }


def baselines_figure(run: Exploration, comparison: Comparison) -> Figure:
    """The query and some samples of each method, chosen at random by the same rule for all."""
    query = run.query_image[None]
    look = Look.of(torch.cat([query, *(images.to(query) for images in comparison.images.values())]))
    rows = {method: look.pictures(images) for method, images in comparison.images.items()}
    title = f"{run.model_name}, layer {run.support.layer.key}: samples chosen at random"
    return comparison_figure(look.pictures(query)[0], rows, title)


def _verdict(comparison: Comparison) -> str:
    rows = [row for row in comparison.ratios if row["metric"].endswith(DEVIATION)]
    if not rows:
        return f"There is no baseline beside {E_GBAS} to judge by."
    told = ", ".join(f"{row['mean']:.2f} of that of {row['method']}" for row in rows)
    return f"The deviation of E-GBAS is {told}."


def _parts(cell: str) -> tuple[str, str]:
    """Mean and interval of a cell; the latter may be empty."""
    mean, _, interval = cell.partition(" ")
    return mean, interval
