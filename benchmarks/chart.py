# SPDX-License-Identifier: MIT
"""Draw time per iteration against the size of the tree: ``python -m benchmarks.chart``."""

import json
from pathlib import Path

from matplotlib.figure import Figure

FOLDER = Path(__file__).parent


def main() -> None:
    """Read results.json, write docs/pictures/tree-growth.png."""
    rows = json.loads((FOLDER / "results.json").read_text())["tree_growth"]
    figure = Figure(figsize=(5.6, 3.4), layout="constrained")
    axes = figure.subplots()
    for colour, model in zip(
        ("#0072b2", "#d55e00", "#009e73"), dict.fromkeys(row["model"] for row in rows), strict=False
    ):
        line = [(row["nodes"], 1e6 * row["seconds"]) for row in rows if row["model"] == model]
        axes.loglog(*zip(*line, strict=True), "o-", color=colour, markersize=4)
        middle = line[len(line) // 2]  # where the lines are apart
        axes.annotate(model, middle, xytext=(-6, 6), textcoords="offset points", ha="right", fontsize=8, color=colour)
    axes.set_xlabel("nodes in the tree", fontsize=9)
    axes.set_ylabel("microseconds per iteration", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(True, which="major", color="0.9")
    figure.savefig(FOLDER.parent / "docs" / "pictures" / "tree-growth.png", dpi=160)


if __name__ == "__main__":
    main()
