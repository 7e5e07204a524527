# SPDX-License-Identifier: MIT
"""The query that is named: a seed of the prior, or a file with one latent; and what is to be said of it."""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from egbas.errors import CheckpointError, ConfigError, ShapeError
from egbas.inputs.numbers import whole_number
from egbas.latent import LatentSpace, Normal

QUERY_KEYS = ("query", "z0", "z", "latent")
MAX_SEED = 2**63 - 1
IMPLAUSIBLE_SIGMAS = 6  # beyond this a draw from the prior is no explanation


_LARGEST_BANK = 2**28  # values: a GiB of float32


def find_query(given: str, latent: LatentSpace) -> Tensor:
    """Read the query (d,) that ``--latent`` names: a seed of the prior, or a file.

    Raises:
        CheckpointError: the file cannot be read.
        ShapeError: it does not hold one finite latent of the model.
    """
    if given.isdecimal():
        return latent.sample(1, rng=seeded(whole_number(given, "--latent", 0, MAX_SEED)))[0]
    z0 = read_latent(Path(given))
    d = latent.size
    if tuple(z0.shape) not in {(d,), (1, d), latent.shape, (1, *latent.shape)}:
        raise ShapeError(f"{given} holds a latent of shape {tuple(z0.shape)}; the model takes one of {(d,)}")
    if not z0.isfinite().all():
        raise ShapeError(
            f"{given} holds {int((~z0.isfinite()).sum())} values that are NaN or infinite; expected finite ones"
        )
    return z0.reshape(-1)


def find_rows(given: str, latent: LatentSpace) -> Tensor:
    """Read the queries (n, d) that ``--latent`` names: one that a seed draws, or all latents of a file.

    Raises:
        CheckpointError: the file cannot be read.
        ShapeError: it does not hold finite latents of the model.
    """
    if given.isdecimal():
        return find_query(given, latent)[None]
    rows = read_latent(Path(given))
    d = latent.size
    if tuple(rows.shape) in {(d,), latent.shape}:
        rows = rows[None]
    if rows.ndim < 2 or not len(rows) or rows[0].numel() != d:
        raise ShapeError(
            f"{given} holds latents of shape {tuple(rows.shape)}; expected ({d},) for one query or (n, {d}) for many"
        )
    is_finite = rows.isfinite().flatten(1).all(dim=1)
    if not bool(is_finite.all()):
        n = int((~is_finite).sum())
        raise ShapeError(
            f"{given} holds NaN or infinite values in {n:,} of {len(rows):,} latents; expected finite ones"
        )
    return rows.reshape(len(rows), d)


def find_bank(given: str, latent: LatentSpace, rng: torch.Generator) -> Tensor:
    """Read the latents (m, d) that ``--bank`` names: so many draws of the prior, or those of a file.

    Raises:
        CheckpointError: the file cannot be read.
        ShapeError: it does not hold finite latents of the model.
        ConfigError: no draw was asked for, or more than memory is meant to hold.
    """
    if given.isdecimal():
        most = max(1, _LARGEST_BANK // latent.size)
        return latent.sample(whole_number(given, "--bank", 1, most), rng=rng)
    bank = read_latent(Path(given), "--bank")
    is_whole = bank.ndim > 1 and len(bank) > 0 and bank[0].numel() == latent.size
    if not is_whole:
        raise ShapeError(f"{given} holds latents of shape {tuple(bank.shape)}; expected shape (m, {latent.size})")
    if not bool(bank.isfinite().all()):
        n = int((~bank.isfinite()).flatten(1).any(dim=1).sum())
        raise ShapeError(
            f"{given} holds NaN or infinite values in {n:,} of {len(bank):,} latents; expected finite ones"
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
    return _one_tensor(path, read_arrays(path, option)).to(torch.float32)


def read_arrays(path: Path, option: str) -> dict[str, Tensor]:
    """Read all tensors of a safetensors, npy or npz file by name; no pickles.

    Args:
        path: of the file.
        option: that it was typed after, for messages.

    Raises:
        CheckpointError: it is missing, or damaged.
    """
    readers = {".safetensors": load_file, ".npy": _read_npy, ".npz": _read_npz}
    if path.suffix.lower() not in readers:
        given = "" if path == Path() else str(path)  # an empty text, which a shell makes of a variable that is not set
        raise CheckpointError(f"{option} {given!r} is neither a number nor a .safetensors, .npy or .npz file")
    try:
        return readers[path.suffix.lower()](path)
    except FileNotFoundError as error:
        raise CheckpointError(
            f"there is no file {path}; {option} takes a number, a .safetensors, .npy or .npz file"
        ) from error
    except Exception as error:  # whatever a reader stumbles over: numpy reads headers with Python's own tokenizer
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(
            f"{path} cannot be read ({reason}); it is truncated, damaged or of another format"
        ) from error


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
        return {"array": _as_tensor(np.load(file, allow_pickle=False))}


def _read_npz(path: Path) -> dict[str, Tensor]:
    # Opened here: numpy leaves the file open where the archive is damaged.
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return {name: _as_tensor(arrays[name]) for name in arrays.files}


def _as_tensor(array: np.ndarray) -> Tensor:
    """A tensor of an array in whichever byte order."""
    values = np.asarray(array)
    return torch.from_numpy(values.astype(values.dtype.newbyteorder("="), copy=False))


def _one_tensor(path: Path, named: dict[str, Tensor]) -> Tensor:
    key = next((key for key in QUERY_KEYS if key in named), None)
    if key is None and len(named) != 1:
        raise CheckpointError(f"{path} holds {sorted(named) or 'nothing'}; expected one array, or one called 'query'")
    value = named[key] if key else next(iter(named.values()))
    if value.is_complex() or value.dtype == torch.bool:
        raise CheckpointError(f"{path} holds values of type {value.dtype}; a latent is made of real numbers")
    return value
