# SPDX-License-Identifier: MIT
"""Results of single queries that are kept in a store, so that an experiment goes on where it was stopped."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch

from egbas.beropt import BerOptConfig
from egbas.samplers.gbrrt import GbRrtConfig
from egbas.storage import Store
from egbas.storage.store import SCORES
from egbas.sweep.fingerprint import network_sha256
from egbas.version import __version__
from egbas.zoo.models import Model

FOLDER = "queries"  # store of an experiment, in the folder of its results

Piece = tuple[Mapping[str, Any], Callable[[], Any]]  # what determines a result, and what makes it


def kept(store: Store | None, decides: Mapping[str, Any], make: Callable[[], Any]) -> Any:
    """A result that JSON takes, from the store where it is there.

    Args:
        store: where results are kept; None: nowhere.
        decides: all that determines the result.
        make: gives it.

    Raises:
        RunDirectoryError: it cannot be written.
    """
    if store is None:
        return make()
    return Store(store.path, SCORES).content(decides, make)[0]


def kept_each(
    store: Store | None, pieces: Sequence[Piece], tell: Callable[[int, int], None] | None = None
) -> list[Any]:
    """Many results, in order; what another process is just making is left to it, and looked for in the end.

    Args:
        store: where results are kept; None: nowhere.
        pieces: what determines each, and what makes it.
        tell: called after each with (how many are there, the place of this one).

    Raises:
        RunDirectoryError: one cannot be written.
    """
    found: dict[int, Any] = {}
    scores = None if store is None else Store(store.path, SCORES)
    for is_patient in (False, True):
        for place, (decides, make) in enumerate(pieces):
            if place in found:
                continue
            if scores is None:
                found[place] = make()
            else:
                got = scores.content(decides, make, is_patient=is_patient)
                if got is None:
                    continue
                found[place] = got[0]
            if tell is not None:
                tell(len(found), place)
    return [found[place] for place in range(len(pieces))]


def identity_of(model: Model) -> dict[str, Any]:
    """What determines an experiment with a model beside the experiment's own settings."""
    return {"network": network_sha256(model.generator), "latent": model.latent.record(), **identity_of_code()}


def identity_of_code() -> dict[str, Any]:
    """What determines an experiment without a model beside its own settings."""
    return {
        "defaults": {"beropt": asdict(BerOptConfig()), "gbrrt": asdict(GbRrtConfig())},
        "versions": {"egbas": __version__, "torch": torch.__version__.split("+")[0]},
    }
