# SPDX-License-Identifier: MIT
"""The points of a path in a store: each layer and level of a query is kept as soon as it is there.

A point with a region is a run directory of its own; ``egbas.load_run`` reads it. Supporting sets are kept apart from
the points: those of a layer come of one search, and the samples of each region take much longer than that.
"""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from egbas.beropt import BerOptResult
from egbas.exploration.facts import Distance, Facts
from egbas.exploration.judges import Score
from egbas.exploration.path import PathPoint
from egbas.exploration.record import beropt_record
from egbas.latent import LatentSpace
from egbas.network import Layer, Network
from egbas.storage.contents import read_tensors, reading
from egbas.storage.destination import BOUNDARY, REGION
from egbas.storage.load import beropt_result, reload_run
from egbas.storage.save import boundary_of, json_bytes, run_files, tensor_bytes
from egbas.storage.store import CELLS, SETS, Store, key_of

SET, POINT = "set.json", "point.json"
_SCHEMA = 8  # to be raised with every change of what a point is, or how it is made, within a version of egbas


class PointStore:
    """The points and supporting sets of one query, as ``explore_path`` takes them for a keeper."""

    def __init__(self, store: Store, decides: Mapping[str, Any], network: Network, latent: LatentSpace) -> None:
        """Take a store.

        Args:
            store: where points are kept and found again.
            decides: all that determines them beside their layer and level, as JSON takes it.
            network: the generator.
            latent: the latent space, with its geometry.
        """
        self._cells, self._sets = Store(store.path, CELLS), Store(store.path, SETS)
        self._common, self._network, self._latent = key_of(decides), network, latent

    def missing(self, layer: Layer, levels: Sequence[int]) -> list[int]:
        """The levels of a layer whose points are not there."""
        return [level for level in levels if self._cells.find(self._key(layer, level)) is None]

    def sets(
        self, layer: Layer, levels: Sequence[int], make: Callable[[Sequence[int]], Sequence[BerOptResult]]
    ) -> dict[int, BerOptResult]:
        """The supporting sets of a layer by their level; those that are not there are made, all at once.

        Raises:
            RunDirectoryError: one cannot be written, or is damaged.
        """
        found: dict[int, BerOptResult] = {}
        keys = {level: key_of({"set": self._key(layer, level)}) for level in levels}
        with self._sets.turn(key_of({"row": self._common, "layer": layer.path})):  # one process searches in a layer
            places = {level: self._sets.find(key) for level, key in keys.items()}
            missing = [level for level, place in places.items() if place is None]
            for level, made in zip(missing, make(missing) if missing else (), strict=True):
                self._sets.finish(keys[level], _set_files(made))
                found[level] = made
        for level, place in places.items():
            if place is not None:
                found[level] = _read_set(place)
        return found

    def point(self, layer: Layer, level: int, make: Callable[[], PathPoint], *, is_patient: bool) -> PathPoint | None:
        """The point of a layer and a level, made unless it is there.

        None while somebody else makes it, and one is not patient.

        Raises:
            RunDirectoryError: it cannot be written, or is damaged.
        """
        made: list[PathPoint] = []

        def files() -> dict[str, bytes]:
            made.append(make())
            return _point_files(made[0])

        get = self._cells.get if is_patient else self._cells.attempt
        got = get(self._key(layer, level), files)
        return made[0] if made else None if got is None else self._read(got[0], layer, level)

    def _key(self, layer: Layer, level: int) -> str:
        return key_of({"cell": _SCHEMA, "common": self._common, "layer": layer.path, "level": level})

    def _read(self, place: Path, layer: Layer, level: int) -> PathPoint:
        if (place / POINT).exists():
            with reading(place / POINT):
                return _read_empty(place, layer, level)
        run = reload_run(place, self._network, self._latent)
        with reading(place / REGION):
            if run.exact is None or run.beropt is None:
                raise ValueError("a point of a path has exact samples and a supporting set")
            latents = run.exact.latents
        return PathPoint(layer=layer, level=level, beropt=run.beropt, run=run, facts=run.facts, latents=latents)


def _set_files(beropt: BerOptResult) -> dict[str, bytes]:
    return {SET: json_bytes(_set_record(beropt)), BOUNDARY: tensor_bytes(**boundary_of(beropt))}


def _set_record(beropt: BerOptResult) -> dict[str, Any]:
    return {"beropt": dataclasses.asdict(beropt.config), "metrics": beropt_record(beropt)}


def _read_set(place: Path) -> BerOptResult:
    with reading(place / SET):
        return _set_of(json.loads((place / SET).read_text(encoding="utf-8")), place)


def _set_of(told: dict[str, Any], place: Path) -> BerOptResult:
    return beropt_result(told["beropt"], told["metrics"], read_tensors(place / BOUNDARY))


def _point_files(point: PathPoint) -> dict[str, bytes]:
    """A run directory; of a set without units, whose region is everything, what samples of the prior say."""
    if point.run is not None:
        return run_files(point.run)
    facts = point.facts
    told = (
        None
        if facts is None
        else {name: value for name, value in dataclasses.asdict(facts).items() if name != "freedom"}
    )
    return {
        POINT: json_bytes({**_set_record(point.beropt), "facts": told}),
        BOUNDARY: tensor_bytes(**boundary_of(point.beropt)),
        REGION: tensor_bytes(latents=point.latents, **({} if facts is None else {"freedom": facts.freedom})),
    }


def _read_empty(place: Path, layer: Layer, level: int) -> PathPoint:
    told, tensors = json.loads((place / POINT).read_text(encoding="utf-8")), read_tensors(place / REGION)
    known = told["facts"]
    facts = None
    if known is not None:
        known["distance"] = Distance(**known["distance"])
        known["scores"] = {name: Score(**score) for name, score in known["scores"].items()}
        if known["focus"] is not None:
            known["focus"] = tuple(known["focus"])
        if known["feature_distance"] is not None:
            known["feature_distance"] = Distance(**known["feature_distance"])
        facts = Facts(freedom=tensors["freedom"], **known)
    return PathPoint(
        layer=layer, level=level, beropt=_set_of(told, place), run=None, facts=facts, latents=tensors["latents"]
    )
