# SPDX-License-Identifier: MIT
"""Queries that were measured before: each kept as a file, so that what was finished is never computed again.

A file is named by the model, the layer, the query and a checksum of everything else that decides the result.
"""

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from egbas.evaluation.comparison import Score
from egbas.storage import write_json
from egbas.version import __version__

_SCHEMA = 1  # to be raised with every change of what is measured, or how
_FACTS = "geometry", "unconverged"  # that each has
FOLDER = "queries"  # of the finished ones, within the folder of the results


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What is known of one query.

    Attributes:
        scores: of every method.
        facts: what the table's config says of it.
    """

    scores: Sequence[Score]
    facts: Mapping[str, Any]


class Finished:
    """The finished queries of a folder, under some settings."""

    def __init__(self, folder: Path | None, settings: Mapping[str, Any]) -> None:
        """Look into a folder.

        Args:
            folder: of the files; None: nothing is kept.
            settings: all that decides the results but model, layer and query, as JSON takes it.
        """
        self._folder, self._settings = folder, {**settings, "egbas": __version__, "schema": _SCHEMA}

    def of(self, model: str, sha256: str, layer: int, seed: int) -> Measured | None:
        """What is known of a query; None where it is not finished, or its file cannot be read."""
        place = self._place(model, sha256, layer, seed)
        if place is None or not place.is_file():
            return None
        try:
            content = json.loads(place.read_text(encoding="utf-8"))
            scores = [Score(**{**row, "model": model}) for row in content["scores"]]  # files may have moved since
            facts = {name: content["facts"][name] for name in (*_FACTS, *content["facts"])}
        except (OSError, ValueError, TypeError, KeyError):
            return None  # it is measured again, and written anew
        return Measured(scores=scores, facts=facts) if scores else None

    def keep(self, model: str, sha256: str, layer: int, seed: int, measured: Measured) -> None:
        """Write what is known of a query.

        Raises:
            RunDirectoryError: the disk is full, or the place cannot be written.
        """
        place = self._place(model, sha256, layer, seed)
        if place is not None:
            rows = [dataclasses.asdict(score) for score in measured.scores]
            write_json(place, {"scores": rows, "facts": dict(measured.facts)})

    def _place(self, model: str, sha256: str, layer: int, seed: int) -> Path | None:
        if self._folder is None:
            return None
        decides = json.dumps([sha256, layer, seed, self._settings], sort_keys=True)
        name = re.sub(r"[^\w.-]+", "-", Path(model).name)
        return self._folder / f"{name}-l{layer}-q{seed}-{hashlib.sha256(decides.encode()).hexdigest()[:16]}.json"
