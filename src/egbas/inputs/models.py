# SPDX-License-Identifier: MIT
"""What the user names on the command line, found and checked: models, latents, devices."""

import difflib
import importlib
import math
import sys
import traceback
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from egbas.errors import (
    CheckpointError,
    ConfigError,
    EgbasError,
    ModelNotFoundError,
    NetworkError,
    ShapeError,
)
from egbas.latent import LatentSpace, Normal
from egbas.network import Network
from egbas.zoo.models import Model, is_path, load_model

QUERY_KEYS = ("query", "z0", "z", "latent")
MAX_SEED = 2**63 - 1
IMPLAUSIBLE_SIGMAS = 6  # beyond this a draw from the prior is no explanation


def find_model(name: str, latent_size: str | None, latent_file: str | None = None) -> Model:
    """Find a model by its name in the zoo, read a checkpoint, or call the user's ``package.module:callable``.

    Args:
        name: as typed after ``--model``.
        latent_size: as typed after ``--latent-size``, such as ``64`` or ``512x1x1``.
        latent_file: whose length tells the latent's where nothing else does.

    Raises:
        ModelNotFoundError: there is no such model.
        CheckpointError: it is a file that cannot be read.
        NetworkError: the user's code raises or returns no network.
        ConfigError: the size of the latent is not known.
    """
    if ":" not in name or is_path(name):
        model = _zoo_model(name)
        if latent_size is not None and parse_shape(latent_size) != model.latent.shape:
            raise ConfigError(
                f"--latent-size {latent_size} contradicts {name}, whose latent has shape {model.latent.shape}; "
                "leave it out"
            )
        return model
    found = _call(name)
    if isinstance(found, Model):
        return found
    if not isinstance(found, nn.Module):
        raise NetworkError(f"{name} returned a {type(found).__name__}; expected a torch.nn.Module")
    latent = getattr(found, "latent", None)
    if latent_size is not None:
        shape = parse_shape(latent_size)
        # The module's own prior stays; only the shape is what the user says it is.
        latent = replace(latent, shape=shape) if isinstance(latent, LatentSpace) else LatentSpace(shape=shape)
    elif not isinstance(latent, LatentSpace):
        latent = _latent_of_file(name, latent_file)
    return Model(name=name, generator=found, discriminator=None, latent=latent)


def parse_shape(text: str) -> tuple[int, ...]:
    """Read a shape such as ``64`` or ``512x1x1``.

    Raises:
        ConfigError: it is none.
    """
    try:
        return LatentSpace(shape=tuple(int(size) for size in text.lower().split("x"))).shape
    except ValueError as error:
        raise ConfigError(f"--latent-size {text!r} is no shape; expected 64 or 512x1x1") from error


def find_query(given: str, latent: LatentSpace) -> Tensor:
    """Read the query (d,) that ``--latent`` names: a seed of the prior, or a file.

    Raises:
        CheckpointError: the file cannot be read.
        ShapeError: it does not hold one finite latent of the model.
    """
    if given.isdecimal():
        return latent.sample(1, rng=seeded(int(given)))[0]
    z0 = read_latent(Path(given))
    d = latent.size
    if tuple(z0.shape) not in {(d,), (1, d), latent.shape, (1, *latent.shape)}:
        raise ShapeError(f"{given} holds a latent of shape {tuple(z0.shape)}; the model takes one of {(d,)}")
    if not z0.isfinite().all():
        raise ShapeError(
            f"{given} holds {int((~z0.isfinite()).sum())} values that are NaN or infinite; expected finite ones"
        )
    return z0.reshape(-1)


def read_latent(path: Path) -> Tensor:
    """Read the tensor of a safetensors, npy or npz file, float32; no pickles.

    Raises:
        CheckpointError: it is missing, damaged, or not one array of numbers.
    """
    readers = {".safetensors": load_file, ".npy": _read_npy, ".npz": _read_npz}
    if path.suffix.lower() not in readers:
        raise CheckpointError(f"--latent {str(path)!r} is neither a seed nor a .safetensors, .npy or .npz file")
    try:
        named = readers[path.suffix.lower()](path)
    except FileNotFoundError as error:
        raise CheckpointError(
            f"there is no file {path}; --latent takes a seed, a .safetensors, .npy or .npz file"
        ) from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, SafetensorError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(
            f"{path} cannot be read ({reason}); it is truncated, damaged or of another format"
        ) from error
    return _one_tensor(path, named).to(torch.float32)


def warnings_of(z0: Tensor, latent: LatentSpace) -> list[str]:
    """Say when a query (d,) could come from the normal prior only by a miracle.

    The support of the uniform prior is watched by ``egbas.explore``; on a sphere the norm means nothing.
    """
    if not isinstance(latent.prior, Normal) or latent.geometry == "sphere":
        return []
    d, norm = z0.numel(), float(z0.norm())
    mean = math.sqrt(2) * math.exp(math.lgamma((d + 1) / 2) - math.lgamma(d / 2))  # of the chi distribution
    sigma = math.sqrt(max(d - mean**2, 1e-12))
    if abs(norm - mean) <= IMPLAUSIBLE_SIGMAS * sigma:
        return []
    return [
        f"The query's norm {norm:.3g} is implausible under the normal prior "
        f"(expected {mean:.3g} +- {sigma:.2g}); the generator was hardly trained there."
    ]


def find_device(name: str) -> torch.device:
    """Find a device that works here.

    Raises:
        ConfigError: there is none of that name.
    """
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"device {name!r} cannot be used ({reason}); try --device cpu, or see 'egbas doctor'"
        ) from error
    return device


def seeded(seed: int) -> torch.Generator:
    """Make the CPU generator of a seed.

    Raises:
        ConfigError: the seed is out of range.
    """
    if not 0 <= seed <= MAX_SEED:
        raise ConfigError(f"seed {seed} is out of range; expected 0 to {MAX_SEED}")
    return torch.Generator().manual_seed(seed)


def _zoo_model(name: str) -> Model:
    try:
        return load_model(name)
    except ModelNotFoundError as error:
        raise ModelNotFoundError(
            f"{error}; a checkpoint is the path of its file, your own network package.module:callable"
        ) from error


def _call(spec: str) -> object:
    """Import and call the user's callable; its own failures come back as messages without a traceback."""
    module_name, _, attribute = spec.partition(":")
    if not module_name or not attribute:
        raise ModelNotFoundError(f"{spec!r} is no package.module:callable, such as my_models:generator")
    here = str(Path.cwd())
    if here not in sys.path:  # as python -m does; left there, for the user's own later imports
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise ModelNotFoundError(
                f"there is no module {error.name!r} in {here} or among the installed packages (from --model {spec})"
            ) from error
        raise NetworkError(f"importing {module_name} failed: {_last_line(error)}") from error
    except (Exception, SystemExit) as error:
        raise NetworkError(f"importing {module_name} failed: {_last_line(error)}") from error
    found = getattr(module, attribute, None)
    if not callable(found):
        nearest = difflib.get_close_matches(attribute, dir(module), n=1)
        hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
        raise ModelNotFoundError(f"module {module_name} has no callable {attribute!r}{hint}")
    if isinstance(found, nn.Module):
        return found
    try:
        return found()
    except EgbasError:
        raise
    except (Exception, SystemExit) as error:
        raise NetworkError(f"calling {spec} failed: {_last_line(error)}; it is called without arguments") from error


def _last_line(error: BaseException) -> str:
    line = traceback.format_exception_only(error)[-1].strip()
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


def _read_npy(path: Path) -> dict[str, Tensor]:
    with path.open("rb") as file:
        return {"array": torch.from_numpy(np.asarray(np.load(file, allow_pickle=False)))}


def _read_npz(path: Path) -> dict[str, Tensor]:
    # Opened here: numpy leaves the file open where the archive is damaged.
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


def _one_tensor(path: Path, named: dict[str, Tensor]) -> Tensor:
    key = next((key for key in QUERY_KEYS if key in named), None)
    if key is None and len(named) != 1:
        raise CheckpointError(f"{path} holds {sorted(named) or 'nothing'}; expected one array, or one called 'query'")
    value = named[key] if key else next(iter(named.values()))
    if value.is_complex() or value.dtype == torch.bool:
        raise CheckpointError(f"{path} holds values of type {value.dtype}; a latent is made of real numbers")
    return value


SMALL_NETWORK_UNITS = 200_000


def set_threads(network: Network, threads: int | None) -> None:
    """Choose how many processor threads torch uses, for this process.

    Small networks are as fast on one thread as on several where the machine is free, and many times as fast
    where it is not: threads that wait for one another lose more than they share. Results may differ in their
    last digits with the number of threads, so it follows from the network and not from a timing.
    """
    units = sum(layer.units for layer in network.layers)
    if threads is not None or units < SMALL_NETWORK_UNITS:
        torch.set_num_threads(threads or 1)
