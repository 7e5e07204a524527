# SPDX-License-Identifier: MIT
"""Explore the generative regions of deep generative networks (E-GBAS; Jeon, Jeong and Choi, AAAI 2020).

The names here are the public ones. All but the errors are imported when they are first used (PEP 562), so
that ``import egbas`` does not wait for torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

from egbas.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    EgbasError,
    LayerNotFoundError,
    MissingExtraError,
    ModelNotFoundError,
    NetworkError,
    RunDirectoryError,
    ShapeError,
    StartOutsideRegionError,
)
from egbas.exploration import writer as _writer
from egbas.version import __version__

if TYPE_CHECKING:
    from egbas.beropt import BerOptConfig, error_of
    from egbas.evaluation.neighbours import neighbours_of
    from egbas.exploration.estimate import estimate
    from egbas.exploration.exits import Exit, Exits, nearest_exits
    from egbas.exploration.explore import explore, explore_many
    from egbas.exploration.path import explore_path
    from egbas.exploration.result import Exploration
    from egbas.inversion import Inversion, InversionConfig, invert
    from egbas.latent import Empirical, Frozen, LatentSpace, Normal, Prior, Product, Sphere, Uniform
    from egbas.network import Classified, Pixels, list_layers
    from egbas.network.decoder import Decoder
    from egbas.region import DecisionRegion, Intersection, Region, SupportingRegion
    from egbas.samplers.contract import Sampler, Samples
    from egbas.samplers.gbrrt import GbRrtConfig
    from egbas.storage import Sweep, load_run, load_sweep, save_run
    from egbas.zoo.models import load_classifier, load_model
    from egbas.zoo.state_dicts import load_weights

__all__ = [
    "BerOptConfig",
    "CheckpointError",
    "Classified",
    "ConfigError",
    "DataError",
    "DecisionRegion",
    "Decoder",
    "EgbasError",
    "Empirical",
    "Exit",
    "Exits",
    "Exploration",
    "Frozen",
    "GbRrtConfig",
    "Intersection",
    "Inversion",
    "InversionConfig",
    "LatentSpace",
    "LayerNotFoundError",
    "MissingExtraError",
    "ModelNotFoundError",
    "NetworkError",
    "Normal",
    "Pixels",
    "Prior",
    "Product",
    "Region",
    "RunDirectoryError",
    "Sampler",
    "Samples",
    "ShapeError",
    "Sphere",
    "StartOutsideRegionError",
    "SupportingRegion",
    "Sweep",
    "Uniform",
    "__version__",
    "error_of",
    "estimate",
    "explore",
    "explore_many",
    "explore_path",
    "invert",
    "list_layers",
    "load_classifier",
    "load_model",
    "load_run",
    "load_sweep",
    "load_weights",
    "nearest_exits",
    "neighbours_of",
    "save_run",
]

_HOME = {
    "BerOptConfig": "egbas.beropt",
    "Decoder": "egbas.network.decoder",
    "Classified": "egbas.network",
    "DecisionRegion": "egbas.region",
    "Empirical": "egbas.latent",
    "Exit": "egbas.exploration.exits",
    "Exits": "egbas.exploration.exits",
    "Exploration": "egbas.exploration.result",
    "Frozen": "egbas.latent",
    "GbRrtConfig": "egbas.samplers.gbrrt",
    "Intersection": "egbas.region",
    "Inversion": "egbas.inversion",
    "InversionConfig": "egbas.inversion",
    "LatentSpace": "egbas.latent",
    "Normal": "egbas.latent",
    "Pixels": "egbas.network",
    "Prior": "egbas.latent",
    "Product": "egbas.latent",
    "Region": "egbas.region",
    "Sampler": "egbas.samplers.contract",
    "Samples": "egbas.samplers.contract",
    "Sphere": "egbas.latent",
    "SupportingRegion": "egbas.region",
    "Sweep": "egbas.storage",
    "Uniform": "egbas.latent",
    "estimate": "egbas.exploration.estimate",
    "error_of": "egbas.beropt",
    "explore": "egbas.exploration.explore",
    "explore_many": "egbas.exploration.explore",
    "explore_path": "egbas.exploration.path",
    "invert": "egbas.inversion",
    "list_layers": "egbas.network",
    "load_classifier": "egbas.zoo.models",
    "load_model": "egbas.zoo.models",
    "load_run": "egbas.storage",
    "load_weights": "egbas.zoo.state_dicts",
    "nearest_exits": "egbas.exploration.exits",
    "load_sweep": "egbas.storage",
    "neighbours_of": "egbas.evaluation.neighbours",
    "save_run": "egbas.storage",
}


def _save_run(*inputs: Any, **settings: Any) -> Any:
    """What ``Exploration.save`` calls: the exploration itself knows nothing of files."""
    return importlib.import_module("egbas.storage").save_run(*inputs, **settings)


_writer.use(_save_run)


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
