# SPDX-License-Identifier: MIT
"""What the embedded generators make: the latent square of the 2-D one, and draws from the prior of the others."""

import io

import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from egbas.network import Network
from egbas.zoo.models import load_model

PER_SIDE = 24
_GAP = 8  # pixels between the two sheets


def run() -> bytes:
    """Draw the sheets side by side, as a PNG."""
    square = load_model("dcgan-mnist-2d")
    steps = torch.linspace(-square.latent.bound, square.latent.bound, PER_SIDE, dtype=torch.float32)
    rows, columns = torch.meshgrid(-steps, steps, indexing="ij")  # z2 upwards, as in the plane figures
    plane = torch.stack([columns, rows], dim=-1).flatten(0, 1)
    normal = load_model("dcgan-mnist")
    draws = normal.latent.sample(PER_SIDE**2, rng=torch.Generator().manual_seed(0))
    grown = load_model("pggan-mnist")
    draws_grown = grown.latent.sample(PER_SIDE**2, rng=torch.Generator().manual_seed(0))
    left = _sheet(Network(square.generator, square.latent.shape).generate(plane))
    right = _sheet(Network(normal.generator, normal.latent.shape).generate(draws))
    # Its digits are padded by two pixels on each side.
    third = _sheet(Network(grown.generator, grown.latent.shape).generate(draws_grown)[:, :, 2:-2, 2:-2])
    gap = torch.full((len(left), _GAP), 128, dtype=torch.uint8)
    buffer = io.BytesIO()
    Image.fromarray(torch.cat([left, gap, right, gap, third], dim=1).numpy()).save(buffer, format="png", optimize=True)
    return buffer.getvalue()


def _sheet(images: Float[Tensor, "n 1 h w"]) -> UInt8[Tensor, "rows columns"]:
    """Tile images in [-1, 1] into one grey picture, PER_SIDE to a row."""
    grey = ((images[:, 0] + 1) * 127.5).clamp(0, 255).to(torch.uint8)
    n, h, w = grey.shape
    return grey.view(n // PER_SIDE, PER_SIDE, h, w).transpose(1, 2).reshape(n // PER_SIDE * h, PER_SIDE * w)
