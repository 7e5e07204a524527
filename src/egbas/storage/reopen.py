# SPDX-License-Identifier: MIT
"""The network of a run by the name that the run has: of the zoo, a checkpoint file, or the user's own callable.

A file is only read, so that a run directory of a stranger may name any. Code is another matter: a run directory that
somebody else wrote may name any function that is installed, and importing and calling it would run it. So only modules
that lie in the current directory are imported: it is from there that ``--model`` took them, and whoever starts Python
there trusts what is in it already. Everything else has to be allowed, or the network given.
"""

import sys
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from torch import nn

from egbas.errors import CheckpointError, ConfigError, ModelNotFoundError, NetworkError
from egbas.inputs.classifiers import find_classifier
from egbas.inputs.models import find_model
from egbas.network.classified import Pixels
from egbas.network.given import Inputs
from egbas.network.joined import joined
from egbas.zoo.models import is_path, load_model

WAY_OUT = "load the network and pass load_run(path, generator=...)"


def reopened(config: dict[str, Any], directory: Path, *, allow_code: bool, inputs: Inputs | None = None) -> nn.Module:
    """Find the network of a run; whether it is the one, its checksum tells.

    Args:
        config: of the run.
        directory: of the run.
        allow_code: whether a callable may be imported from anywhere.
        inputs: of the run.

    Raises:
        ModelNotFoundError: it is not there any more, or may not be imported.
    """
    generator, judge = _generator(config, directory, allow_code), config.get("classifier")
    if judge is None:
        return generator
    classifier, shape = _classifier(judge["name"], directory, allow_code), tuple(config["latent"]["shape"])
    return joined(generator, classifier, shape, output=judge.get("output"), inputs=inputs)


def _generator(config: dict[str, Any], directory: Path, allow_code: bool) -> nn.Module:
    model = config["model"]
    if model["name"] == Pixels.zoo_name:
        return Pixels(tuple(config["latent"]["shape"]))
    name, choices = model["name"], {choice: model.get(choice) for choice in ("key", "activation")}
    if ":" in name and not is_path(name):
        return _called(name, config, directory, allow_code=allow_code)
    try:
        return load_model(name, **choices).generator
    except (ModelNotFoundError, CheckpointError, ConfigError) as error:
        seen = f", seen from {Path.cwd()}" if is_path(name) and not Path(name).is_absolute() else ""
        raise ModelNotFoundError(
            f"the run's model {name!r} is neither in the zoo nor a checkpoint to be read from here{seen} ({error}); "
            f"put the file where it was, or {WAY_OUT}"
        ) from error


def _called(name: str, config: dict[str, Any], directory: Path, *, allow_code: bool) -> nn.Module:
    _check_code(name, directory, allow_code=allow_code)
    try:
        return find_model(name, "x".join(map(str, config["latent"]["shape"]))).generator
    except (ModelNotFoundError, NetworkError, ConfigError) as error:
        raise ModelNotFoundError(f"the run's model {name!r} cannot be made again ({error}); {WAY_OUT}") from error


def _classifier(name: str, directory: Path, allow_code: bool) -> nn.Module:
    """The classifier of a run by its name: an embedded one, or the user's own callable."""
    if ":" in name:
        _check_code(name, directory, allow_code=allow_code)
    try:
        return find_classifier(name)
    except (ModelNotFoundError, NetworkError, ConfigError) as error:
        raise ModelNotFoundError(
            f"the run's classifier {name!r} cannot be made again ({error}); pass "
            "load_run(path, generator=egbas.Classified(network, classifier))"
        ) from error


def _check_code(name: str, directory: Path, *, allow_code: bool) -> None:
    """Refuse to run code that the run directory names, unless it lies in the current directory."""
    module = name.partition(":")[0]
    if not allow_code and not (lies_here(module) and not _is_within(Path.cwd(), directory)):
        raise ModelNotFoundError(
            f"the run's model is the Python code {name!r}, and no module {module!r} lies in {Path.cwd()}; reopening "
            "the run would run code that the run directory names. Go to the directory of the module, allow it with "
            f"load_run(path, allow_code=True), or {WAY_OUT}"
        )


def lies_here(module: str) -> bool:
    """Whether a module, or the package that it is in, lies in the current directory, told without importing it."""
    top = module.partition(".")[0]
    if not top.isidentifier() or top in sys.stdlib_module_names or top in sys.builtin_module_names:
        return False
    here = Path.cwd().resolve()
    places = {here, here / top}
    loaded = sys.modules.get(top)
    if loaded is not None:  # importing it again gives the same
        origin = getattr(loaded, "__file__", None)
    else:
        path = sys.path if str(Path.cwd()) in sys.path else [str(here), *sys.path]
        spec = PathFinder.find_spec(top, path)
        if spec is not None and spec.origin is None and spec.submodule_search_locations:  # a folder without __init__
            return here / top in [Path(place).resolve() for place in spec.submodule_search_locations]
        origin = None if spec is None else spec.origin
    return origin is not None and Path(origin).resolve().parent in places


def _is_within(inner: Path, outer: Path) -> bool:
    return inner.resolve().is_relative_to(outer.resolve())
