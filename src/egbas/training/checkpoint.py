# SPDX-License-Identifier: MIT
"""Training state on disk, so that a stopped training goes on where it was, bit for bit."""

import os
from pathlib import Path
from typing import Any

import torch

from egbas.errors import CheckpointError


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write a training state; the file appears complete or not at all."""
    partial = path.with_suffix(path.suffix + ".partial")
    torch.save(state, partial)
    os.replace(partial, path)


def load_state(path: Path) -> dict[str, Any] | None:
    """Read a training state, or None where there is none yet.

    Raises:
        CheckpointError: the file exists and cannot be read.
    """
    if not path.exists():
        return None
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # Not torch's own message: it advises to read the file with weights_only=False, which runs code in it.
        reason = type(error).__name__
        raise CheckpointError(f"{path} cannot be read ({reason}); delete it to train from the start") from error
