# SPDX-License-Identifier: MIT
"""Explore the generative regions of deep generative networks (E-GBAS; Jeon, Jeong and Choi, AAAI 2020).

The names here are the public ones. All but the errors are imported when they are first used (PEP 562), so
that ``import egbas`` does not wait for torch.
"""

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from egbas.errors import CheckpointError as CheckpointError
from egbas.errors import ConfigError as ConfigError
from egbas.errors import DataError as DataError
from egbas.errors import EgbasError as EgbasError
from egbas.errors import LayerNotFoundError as LayerNotFoundError
from egbas.errors import MissingExtraError as MissingExtraError
from egbas.errors import ModelNotFoundError as ModelNotFoundError
from egbas.errors import NetworkError as NetworkError
from egbas.errors import RunDirectoryError as RunDirectoryError
from egbas.errors import ShapeError as ShapeError
from egbas.errors import StartOutsideRegionError as StartOutsideRegionError

if TYPE_CHECKING:
    from egbas.beropt import BerOptConfig as BerOptConfig
    from egbas.exploration.estimate import estimate as estimate
    from egbas.exploration.explore import explore as explore
    from egbas.exploration.explore import explore_many as explore_many
    from egbas.exploration.result import Exploration as Exploration
    from egbas.latent import LatentSpace as LatentSpace
    from egbas.network import list_layers as list_layers
    from egbas.region import Region as Region
    from egbas.samplers.gbrrt import GbRrtConfig as GbRrtConfig
    from egbas.storage import load_run as load_run
    from egbas.storage import save_run as save_run
    from egbas.zoo.models import load_classifier as load_classifier
    from egbas.zoo.models import load_model as load_model

__version__ = "0.1.0"

_HOME = {
    "BerOptConfig": "egbas.beropt",
    "Exploration": "egbas.exploration.result",
    "GbRrtConfig": "egbas.samplers.gbrrt",
    "LatentSpace": "egbas.latent",
    "Region": "egbas.region",
    "estimate": "egbas.exploration.estimate",
    "explore": "egbas.exploration.explore",
    "explore_many": "egbas.exploration.explore",
    "list_layers": "egbas.network",
    "load_classifier": "egbas.zoo.models",
    "load_model": "egbas.zoo.models",
    "load_run": "egbas.storage",
    "save_run": "egbas.storage",
}


def __getattr__(name: str) -> Any:
    """Import a public name from its home when it is first used."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Name the public names that were not used yet, too."""
    return sorted({*globals(), *_HOME})


class _Package(ModuleType):
    """Keep ``egbas.explore`` the function: loading a submodule sets it over the name in its package."""

    def __setattr__(self, name: str, value: object) -> None:
        if isinstance(value, ModuleType) and name in _HOME:
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
