# SPDX-License-Identifier: MIT
"""What the embedded generators make: the latent square of the 2-D one, and draws from the prior of the others."""

import io

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from egbas.network import Network
from egbas.reproduce.kept import identity_of
from egbas.storage import Store, key_of
from egbas.storage.store import SCORES
from egbas.zoo.models import load_model

PER_SIDE = 24
_GAP, _PLANE = 8, 2  # pixels between two sheets; dimensions of a latent that is shown as a square


MODELS = "dcgan-mnist-2d", "dcgan-mnist", "pggan-mnist"
_MARGIN = {"pggan-mnist": 2}  # pixels on each side of its digits that are empty
_SCHEMA = 1  # to be raised with every change of what is drawn
_SHEET = "sheet.png"


def run(store: Store | None = None) -> bytes:
    """Draw the sheets side by side, as a PNG.

    Args:
        store: where single sheets are kept and found again; None: nowhere.

    Raises:
        RunDirectoryError: one cannot be written.
    """
    sheets = [torch.from_numpy(np.array(Image.open(io.BytesIO(_drawn(name, store))))) for name in MODELS]
    gap = torch.full((len(sheets[0]), _GAP), 128, dtype=torch.uint8)
    return _png(torch.cat([sheets[0], gap, sheets[1], gap, sheets[2]], dim=1))


def _drawn(name: str, store: Store | None) -> bytes:
    """The sheet of a model, as a PNG."""
    model = load_model(name)

    def draw() -> dict[str, bytes]:
        space, margin = model.latent, _MARGIN.get(name, 0)
        z = _plane(space.bound) if space.size == _PLANE else space.sample(PER_SIDE**2, torch.Generator().manual_seed(0))
        images = Network(model.generator, space.shape).generate(z)
        return {
            _SHEET: _png(_sheet(images[:, :, margin : images.shape[2] - margin, margin : images.shape[3] - margin]))
        }

    if store is None:
        return draw()[_SHEET]
    key = key_of({"sheet": _SCHEMA, **identity_of(model)})
    place, _ = Store(store.path, SCORES).get(key, draw)
    return (place / _SHEET).read_bytes()


def _plane(bound: float) -> Float[Tensor, "n 2"]:
    """A grid over the latent square, z2 upwards as in the plane figures."""
    steps = torch.linspace(-bound, bound, PER_SIDE, dtype=torch.float32)
    rows, columns = torch.meshgrid(-steps, steps, indexing="ij")
    return torch.stack([columns, rows], dim=-1).flatten(0, 1)


def _png(grey: UInt8[Tensor, "rows columns"]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(grey.numpy()).save(buffer, format="png", optimize=True)
    return buffer.getvalue()


def _sheet(images: Float[Tensor, "n 1 h w"]) -> UInt8[Tensor, "rows columns"]:
    """Tile images in [-1, 1] into one grey picture, PER_SIDE to a row."""
    grey = ((images[:, 0] + 1) * 127.5).clamp(0, 255).to(torch.uint8)
    n, h, w = grey.shape
    return grey.view(n // PER_SIDE, PER_SIDE, h, w).transpose(1, 2).reshape(n // PER_SIDE * h, PER_SIDE * w)
