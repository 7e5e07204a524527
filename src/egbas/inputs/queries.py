# SPDX-License-Identifier: MIT
"""The query that is named: a seed of the prior, or a file with one latent; and what is to be said of it."""

import zipfile
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from egbas.errors import CheckpointError, ConfigError, ShapeError
from egbas.latent import LatentSpace, Normal

QUERY_KEYS = ("query", "z0", "z", "latent")
MAX_SEED = 2**63 - 1
IMPLAUSIBLE_SIGMAS = 6  # beyond this a draw from the prior is no explanation


_LARGEST_BANK = 100_000_000


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


def find_bank(given: str, latent: LatentSpace, rng: torch.Generator) -> Tensor:
    """Read the latents (m, d) that ``--bank`` names: so many draws of the prior, or those of a file.

    Raises:
        CheckpointError: the file cannot be read.
        ShapeError: it does not hold finite latents of the model.
        ConfigError: no draw was asked for.
    """
    if given.isdecimal():
        if not 1 <= int(given) <= _LARGEST_BANK:
            raise ConfigError(f"--bank {given}: expected 1 to {_LARGEST_BANK:,} latents")
        return latent.sample(int(given), rng=rng)
    bank = read_latent(Path(given), "--bank")
    is_whole = bank.ndim > 1 and len(bank) > 0 and bank[0].numel() == latent.size
    if not is_whole or not bool(bank.isfinite().all()):
        raise ShapeError(
            f"{given} holds latents of shape {tuple(bank.shape)}; expected finite ones of shape (m, {latent.size})"
        )
    return bank.reshape(len(bank), -1)


def read_latent(path: Path, option: str = "--latent") -> Tensor:
    """Read the tensor of a safetensors, npy or npz file, float32; no pickles.

    Args:
        path: of the file.
        option: that it was typed after, for messages.

    Raises:
        CheckpointError: it is missing, damaged, or not one array of numbers.
    """
    readers = {".safetensors": load_file, ".npy": _read_npy, ".npz": _read_npz}
    if path.suffix.lower() not in readers:
        raise CheckpointError(f"{option} {str(path)!r} is neither a number nor a .safetensors, .npy or .npz file")
    try:
        named = readers[path.suffix.lower()](path)
    except FileNotFoundError as error:
        raise CheckpointError(
            f"there is no file {path}; {option} takes a number, a .safetensors, .npy or .npz file"
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
    norm = float(z0.norm())
    mean, sigma = Normal.length(z0.numel())
    if abs(norm - mean) <= IMPLAUSIBLE_SIGMAS * sigma:
        return []
    return [
        f"The query's norm {norm:.3g} is implausible under the normal prior (expected {mean:.3g} +- {sigma:.2g}); "
        "the generator was hardly trained there."
    ]


def seeded(seed: int) -> torch.Generator:
    """Make the CPU generator of a seed.

    Raises:
        ConfigError: the seed is out of range.
    """
    if not 0 <= seed <= MAX_SEED:
        raise ConfigError(f"seed {seed} is out of range; expected 0 to {MAX_SEED}")
    return torch.Generator().manual_seed(seed)


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
