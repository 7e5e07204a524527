# SPDX-License-Identifier: MIT
"""The model that a name means: one of the zoo, a checkpoint file, or the user's own ``package.module:callable``."""

import contextlib
import difflib
import importlib
import os
import random
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from egbas.errors import ConfigError, EgbasError, ModelNotFoundError, NetworkError
from egbas.inputs.queries import read_latent
from egbas.latent import LatentSpace
from egbas.network.given import refuse_meta
from egbas.zoo.models import Model, is_path, load_model, refuse_choices


def find_model(
    name: str,
    latent_size: str | None,
    latent_file: str | None = None,
    *,
    key: str | None = None,
    activation: str | None = None,
) -> Model:
    """Find a model by its name in the zoo, read a checkpoint, or call the user's ``package.module:callable``.

    Args:
        name: as typed after ``--model``.
        latent_size: as typed after ``--latent-size``, such as ``64`` or ``512x1x1``.
        latent_file: whose length tells the latent's where nothing else does.
        key: as typed after ``--key``: which network in a checkpoint file.
        activation: as typed after ``--activation``, where a checkpoint file does not tell it.

    Raises:
        ModelNotFoundError: there is no such model.
        CheckpointError: it is a file that cannot be read.
        NetworkError: the user's code raises or returns no network.
        ConfigError: the size of the latent is not known.
    """
    if ":" not in name or is_path(name):
        model = _zoo_model(name, key, activation)
        if latent_size is not None and parse_shape(latent_size) != model.latent.shape:
            raise ConfigError(
                f"--latent-size {latent_size} contradicts {name}, whose latent has shape {model.latent.shape}; "
                "leave it out"
            )
        return model
    refuse_choices(name, {choice: said for choice, said in (("key", key), ("activation", activation)) if said})
    made = call(name)
    if isinstance(made, Model):
        return made
    if not isinstance(made, nn.Module):
        raise NetworkError(
            f"{name} returned a {type(made).__name__}; expected a torch.nn.Module in eval mode, with its weights loaded"
        )
    refuse_meta(made, f"{name} returned a network with")
    latent = getattr(made, "latent", None)
    if latent_size is not None:
        shape = parse_shape(latent_size)
        # The module's own prior stays; only the shape is what the user says it is.
        latent = replace(latent, shape=shape) if isinstance(latent, LatentSpace) else LatentSpace(shape=shape)
    elif not isinstance(latent, LatentSpace):
        latent = _latent_of_file(name, latent_file)
    return Model(name=name, generator=made, discriminator=None, latent=latent)


def parse_shape(text: str) -> tuple[int, ...]:
    """Read a shape such as ``64`` or ``512x1x1``.

    Raises:
        ConfigError: it is none.
    """
    try:
        return LatentSpace(shape=tuple(int(size) for size in text.lower().split("x"))).shape
    except ValueError as error:
        raise ConfigError(f"--latent-size {text!r} is no shape; expected 64 or 512x1x1") from error


def _zoo_model(name: str, key: str | None, activation: str | None) -> Model:
    try:
        return load_model(name, key=key, activation=activation)
    except ModelNotFoundError as error:
        raise ModelNotFoundError(
            f"{error}; a checkpoint is the path of its file, your own network package.module:callable"
        ) from error


def find_callable(spec: str, option: str = "--model") -> Callable[..., Any]:
    """Import the user's ``package.module:callable``; its own failures come back as messages without a traceback.

    Args:
        spec: as typed.
        option: that it was typed after, for messages.

    Raises:
        ModelNotFoundError: there is no such module or callable in it.
        NetworkError: importing it fails.
    """
    with contained():
        return _imported(spec, option)


@contextlib.contextmanager
def contained() -> Iterator[None]:
    """Let the user's code change neither the directory that paths are relative to, nor random numbers of others.

    Folders that it adds to ``sys.path`` stay; those that it takes off come back, for imports of ours.
    """
    here, pythons, numpys, folders = Path.cwd(), random.getstate(), np.random.get_state(), list(sys.path)
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        np.random.set_state(numpys)
        random.setstate(pythons)
        sys.path += [folder for folder in folders if folder not in sys.path]
        os.chdir(here)


def _imported(spec: str, option: str) -> Callable[..., Any]:
    module_name, _, attribute = spec.partition(":")
    if not module_name or not attribute:
        raise ModelNotFoundError(f"{option} {spec!r} is no package.module:callable, such as my_models:generator")
    here = str(Path.cwd())
    if here not in sys.path:  # as python -m does; left there, for the user's own later imports
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise ModelNotFoundError(
                f"there is no module {error.name!r} in {here} or among the installed packages (from {option} {spec})"
            ) from error
        raise NetworkError(f"importing {module_name} failed: {_last_line(error)}") from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit, GeneratorExit, classes of the user's own
        raise NetworkError(f"importing {module_name} failed: {_last_line(error)}") from error
    target = getattr(module, attribute, None)
    if not callable(target):
        names = [name for name in dir(module) if callable(getattr(module, name, None))]
        nearest = difflib.get_close_matches(attribute, names, n=1)
        hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
        raise ModelNotFoundError(f"module {module_name} has no callable {attribute!r}{hint}")
    return target


def call(spec: str, option: str = "--model") -> object:
    """Call the user's ``package.module:callable``; a module is taken as it is.

    Args:
        spec: as typed.
        option: that it was typed after, for messages.

    Raises:
        ModelNotFoundError: there is no such module or callable in it.
        NetworkError: importing or calling it fails.
    """
    with contained():  # both together: a seed that the module sets as it is imported is for what it makes then
        target = _imported(spec, option)
        if isinstance(target, nn.Module):
            return target
        try:
            return target()
        except (EgbasError, KeyboardInterrupt):
            raise
        except BaseException as error:
            raise NetworkError(f"calling {spec} failed: {_last_line(error)}; it is called without arguments") from error


def _last_line(error: BaseException) -> str:
    line = " ".join(traceback.format_exception_only(error)[-1].split())  # on one line
    if isinstance(error, SyntaxError):
        return f"{line} ({error.filename}, line {error.lineno})"
    frames = traceback.extract_tb(error.__traceback__)
    return f"{line} ({frames[-1].filename}, line {frames[-1].lineno})" if frames else line


def _latent_of_file(name: str, given: str | None) -> LatentSpace:
    if given is None or given.isdecimal():
        raise ConfigError(
            f"the latent size of {name} is not known: pass --latent-size (such as 64 or 512x1x1), "
            "a --latent file, or give the network an attribute latent = egbas.LatentSpace(...)"
        )
    shape = tuple(read_latent(Path(given)).shape)
    return LatentSpace(shape=shape[1:] if len(shape) > 1 and shape[0] == 1 else shape)
