# SPDX-License-Identifier: MIT
"""The weights in a file, for a network of one's own, and the checksum of what lies in one file or in several."""

import hashlib
import os
from collections import OrderedDict
from pathlib import Path

from torch import Tensor

from egbas.zoo.card import sha256
from egbas.zoo.containers.content import open_content
from egbas.zoo.containers.shards import files_of


def load_weights(path: str | os.PathLike[str], key: str | None = None) -> "OrderedDict[str, Tensor]":
    """Read the state dict in a file, for ``net.load_state_dict``; nothing in the file is run.

    Any file that ``load_model`` opens will do, also a whole pickled network, a training's checkpoint, or a folder of
    several files with their index. Names that wrappers put before all others (``module.``) are stripped, and weights
    in parts (spectral norm, weight norm) stay in their parts.

    Args:
        path: of the file.
        key: of the network in it, where there are several; by default the likeliest to generate with.

    Returns:
        The tensors by name, as they are stored.

    Raises:
        CheckpointError: the file is missing, damaged or malicious, or holds no such network; or a tensor of it has no
            plain values.

    Example:
        >>> import torch, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     torch.save({"netG": torch.nn.Linear(2, 1).state_dict(), "epoch": 3}, f"{folder}/x.pth")
        ...     list(load_weights(f"{folder}/x.pth"))
        ['weight', 'bias']
    """
    with open_content(Path(path).expanduser()) as content:
        chosen = content if key is None else content.choose(key)
        stored = chosen.raw[chosen.generator_name]
        return OrderedDict((name, value.load_stored(name).clone()) for name, value in stored.items())


def checksum(path: Path) -> str:
    """Hexadecimal sha256 of a file; of a network in several files that of all their checksums, in the index's order."""
    files = files_of(path)
    if len(files) == 1:
        return sha256(files[0])
    return hashlib.sha256("".join(sha256(file) for file in files).encode()).hexdigest()
