# SPDX-License-Identifier: MIT
"""MNIST from its four idx.gz files: in a folder, out tensors in [-1, 1] and their checksum."""

import gzip
import hashlib
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from egbas.errors import DataError

# MD5 of the uncompressed files, as published with the data set.
FILES = {
    "train-images": ("train-images-idx3-ubyte.gz", "6bbc9ace898e44ae57da46a324031adb"),
    "train-labels": ("train-labels-idx1-ubyte.gz", "a25bea736e30d166cdddb491f175f624"),
    "test-images": ("t10k-images-idx3-ubyte.gz", "2646ac647ad5339dbf082846283269ea"),
    "test-labels": ("t10k-labels-idx1-ubyte.gz", "27ae3e4e09519cfbb04c329615203637"),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Mnist:
    """One split: ``images`` (n, 1, 28, 28) float32 in [-1, 1], ``labels`` (n,) int64 in 0..9."""

    images: Tensor
    labels: Tensor


def load_mnist(folder: str | Path, split: Literal["train", "test"]) -> Mnist:
    """Read one split of MNIST and verify it against the published checksums.

    Args:
        folder: a folder with the four ``*-ubyte.gz`` files.
        split: ``"train"`` (60,000 images) or ``"test"`` (10,000).

    Raises:
        DataError: a file is missing, unreadable, or is not the published one.
    """
    images = _read_idx(Path(folder), f"{split}-images")
    labels = _read_idx(Path(folder), f"{split}-labels")
    pixels = torch.from_numpy(images.copy()).float().div_(127.5).sub_(1.0)  # (n, 28, 28)
    return Mnist(images=pixels[:, None], labels=torch.from_numpy(labels.copy()).long())


def checksums() -> dict[str, str]:
    """The MD5 of each uncompressed file, for model cards."""
    return {name: md5 for name, (_, md5) in FILES.items()}


def _read_idx(folder: Path, name: str) -> np.ndarray:
    filename, expected = FILES[name]
    path = folder / filename
    try:
        raw = gzip.decompress(path.read_bytes())
    except FileNotFoundError as error:
        raise DataError(
            f"{path} does not exist; --data needs a folder with the four MNIST files "
            f"{', '.join(file for file, _ in FILES.values())}"
        ) from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({error}); fetch the file again") from error
    digest = hashlib.md5(raw, usedforsecurity=False).hexdigest()
    if digest != expected:
        raise DataError(f"{path} has MD5 {digest} when unpacked, expected {expected}: not the published MNIST file")
    n_dims = raw[3]
    shape = struct.unpack(f">{n_dims}I", raw[4 : 4 + 4 * n_dims])
    return np.frombuffer(raw, dtype=np.uint8, offset=4 + 4 * n_dims).reshape(shape)
