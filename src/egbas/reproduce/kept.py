# SPDX-License-Identifier: MIT
"""Results of single queries that are kept in a store, so that an experiment goes on where it was stopped."""

from collections.abc import Callable, Mapping
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

HIDDEN = ".unfinished"  # store of an experiment that is under way, in the folder of its results


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


def identity_of(model: Model) -> dict[str, Any]:
    """What determines an experiment with a model beside the experiment's own settings."""
    return {
        "network": network_sha256(model.generator),
        "latent": model.latent.record(),
        "defaults": {"beropt": asdict(BerOptConfig()), "gbrrt": asdict(GbRrtConfig())},
        "versions": {"egbas": __version__, "torch": torch.__version__.split("+")[0]},
    }
