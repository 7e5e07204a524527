# SPDX-License-Identifier: MIT
"""What Tables 1 and 2 have in common: each is made of one measurement, and written as JSON beside the figures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from egbas.evaluation.comparison import Score
from egbas.evaluation.exact_methods import EXACT_METHODS, ExactSettings
from egbas.reproduce.measurement import MODELS, N_QUERIES, OTHER_MODELS, Measurement, measure
from egbas.reproduce.shared_runs import Explored, Progress, beropt_at
from egbas.storage import Store, write_json

Rows = list[dict[str, Any]]


def exact_methods_in(content: dict[str, Any]) -> list[str]:
    """The exact methods that a table has rows of, in their order."""
    drawn = {row["method"] for row in content["rows"]}
    return [name for name in EXACT_METHODS if name in drawn]


@dataclass(frozen=True)
class PaperTable:
    """A table of the paper: what it shows of the scores of a measurement.

    Attributes:
        name: of the file, without ``.json``.
        rows_and_ratios: makes its rows, and the ratios of E-GBAS to each baseline with "paper", the printed ratio or
            None.
    """

    name: str
    rows_and_ratios: Callable[[Sequence[Score]], tuple[Rows, Rows]]

    def run(  # noqa: PLR0913, PLR0917
        self,
        model_names: Sequence[str] = MODELS,
        layers: Sequence[int] | None = None,
        n_queries: int = N_QUERIES,
        out: Path = Path("runs/reproduce"),
        progress: Progress | None = None,
        exact: ExactSettings | None = None,
        store: Store | None = None,
        seeds: Sequence[int] | None = None,
        level: int | None = None,
        masks: int | None = None,
    ) -> dict[str, Any]:
        """Measure, make the table, and write it to ``out/NAME.json``.

        Args:
            model_names: embedded generators.
            layers: numbers of their non-linearities; None: those that the paper explores in networks of their kind.
            n_queries: how many queries.
            out: folder of the file.
            progress: called with (done, all, text).
            exact: whether rows of the whole region and its fair rivals are added; how much work that may take.
            store: where explorations and scores are kept and found again; None: nowhere.
            seeds: the numbers of the queries; None: from 0 on.
            level: of the supporting sets; None: as the paper has them, by a sparsity.
            masks: random ones a step of BerOpt; 0: none; None: egbas's own number.

        Returns:
            {"rows", "ratios", "config", "note"}, see ``rows_and_ratios``.

        Raises:
            RunDirectoryError: the file cannot be written.
        """
        explored = Explored(beropt=beropt_at(level, masks), progress=progress, store=store)
        return self.write(measure(model_names, layers, n_queries, explored, exact=exact, seeds=seeds), out)

    def write(self, measured: Measurement, out: Path) -> dict[str, Any]:
        """Make the table of a measurement, and write it to ``out/NAME.json``.

        Args:
            measured: scores of every model, layer, query and method.
            out: folder of the file.

        Returns:
            As ``run`` does.

        Raises:
            RunDirectoryError: the file cannot be written.
        """
        rows, ratios = self.rows_and_ratios(measured.scores)
        content = {"rows": rows, "ratios": ratios, "config": measured.config, "note": OTHER_MODELS}
        write_json(out / f"{self.name}.json", content)
        return content
