# SPDX-License-Identifier: MIT
"""TAEF2, a real diffusion decoder, as docs/photographs.md explores it.

The two files of weights (github.com/madebyollin/taesd, MIT) lie in the folder that EGBAS_TAEF2 names. On the command
line ``--model benchmarks.taef2:whitened`` is the decoder behind the Gaussian of a bank: latents of crops of photographs
that come with matplotlib and scikit-learn.
"""

import importlib.util
import os
from pathlib import Path

import matplotlib.cbook
import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

import egbas

FOLDER = Path(os.environ.get("EGBAS_TAEF2", Path(__file__).parents[2] / "shared" / "data" / "taef2"))
SIDE, LATENT = 64, (32, 8, 8)
WIDTH = 64
CROPS = 600  # of the bank


class Clamp(nn.Module):
    """Bounds latents softly to -3..3."""

    def forward(self, z: Tensor) -> Tensor:
        """Of latents of any shape."""
        return torch.tanh(z / 3) * 3


class Block(nn.Module):
    """ReLU(conv(x) + x); where there is a pool, of x + pool(x)."""

    def __init__(self, *, has_pool: bool = False) -> None:
        """Take random weights; those of the file come later."""
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(WIDTH, WIDTH, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(WIDTH, WIDTH, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(WIDTH, WIDTH, 3, padding=1),
        )
        self.pool = (
            nn.Sequential(
                nn.Conv2d(WIDTH, 4 * WIDTH, 1, bias=False),
                nn.GroupNorm(4, 4 * WIDTH),
                nn.ReLU(),
                nn.Conv2d(4 * WIDTH, WIDTH, 1, bias=False),
            )
            if has_pool
            else None
        )
        self.fuse = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Of feature maps (n, 64, h, w)."""
        if self.pool is not None:
            x = x + self.pool(x)
        return self.fuse(self.conv(x) + x)


def decoder() -> nn.Module:
    """The decoder with its weights: latents (n, 32, 8, 8) to images (n, 3, 64, 64) in 0..1."""
    stages: list[nn.Module] = [Clamp(), nn.Conv2d(LATENT[0], WIDTH, 3, padding=1), nn.ReLU()]
    for stage in range(3):
        stages += [Block(has_pool=stage == 0) for _ in range(3)]
        stages += [nn.Upsample(scale_factor=2), nn.Conv2d(WIDTH, WIDTH, 3, padding=1, bias=False)]
    return _loaded(nn.Sequential(*stages, Block(), nn.Conv2d(WIDTH, 3, 3, padding=1)), "taef2_decoder.pth")


def encoder() -> nn.Module:
    """The encoder with its weights: images (n, 3, 64, 64) in 0..1 to latents (n, 32, 8, 8)."""
    stages: list[nn.Module] = [nn.Conv2d(3, WIDTH, 3, padding=1), Block()]
    for stage in range(3):
        stages.append(nn.Conv2d(WIDTH, WIDTH, 3, padding=1, stride=2, bias=False))
        stages += [Block(has_pool=stage == 2) for _ in range(3)]
    return _loaded(nn.Sequential(*stages, nn.Conv2d(WIDTH, LATENT[0], 3, padding=1)), "taef2_encoder.pth")


def _loaded(network: nn.Sequential, name: str) -> nn.Module:
    network.load_state_dict(torch.load(FOLDER / name, weights_only=True))
    return network.eval().requires_grad_(False)


def photographs() -> dict[str, Tensor]:
    """The three photographs (3, h, w) in 0..1 that come with matplotlib and scikit-learn.

    Raises:
        MissingExtraError: scikit-learn is not there. A bank without its photographs would be another one.
    """
    found = importlib.util.find_spec("sklearn")
    if found is None or found.origin is None:
        raise egbas.MissingExtraError(
            "scikit-learn is not installed; two of the three photographs of TAEF2's bank come with it, and a bank "
            "without them is another prior: pip install scikit-learn"
        )
    files = sorted((Path(found.origin).parent / "datasets" / "images").glob("*.jpg"))
    return {"grace_hopper": portrait()} | {file.stem: as_tensor(Image.open(file)) for file in files}


def portrait() -> Tensor:
    """The photograph (3, h, w) in 0..1 that comes with matplotlib."""
    return as_tensor(Image.open(str(matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))))


def as_tensor(picture: Image.Image) -> Tensor:
    """(3, h, w) in 0..1."""
    return torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1).float() / 255


def crop(photo: Tensor, left: int, top: int, side: int) -> Tensor:
    """A square of a photograph, (3, 64, 64)."""
    square = photo[None, :, top : top + side, left : left + side]
    return F.interpolate(square, (SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False)[0]


def crops(n: int = CROPS, seed: int = 0) -> Tensor:
    """Random squares of the photographs (n, 3, 64, 64), a quarter of their height or more; half are mirrored."""
    rng, photos = np.random.default_rng(seed), list(photographs().values())
    drawn = []
    for i in range(n):
        photo = photos[i % len(photos)]
        height, width = photo.shape[1:]
        side = int(rng.integers(min(height, width) // 4, min(height, width) + 1))
        left, top = int(rng.integers(0, width - side + 1)), int(rng.integers(0, height - side + 1))
        square = crop(photo, left, top, side)
        drawn.append(square.flip(2) if rng.random() < 0.5 else square)
    return torch.stack(drawn)


def bank(n: int = CROPS) -> Tensor:
    """Latents (n, 32, 8, 8) of the crops."""
    network = encoder()
    with torch.no_grad():
        return torch.cat([network(batch) for batch in crops(n).split(32)])


class Patch(nn.Module):
    """The decoder as a map of a few positions of its latent alone; all others stay those of one photograph."""

    def __init__(self, whole: nn.Module, latent: Tensor, box: tuple[int, int, int, int]) -> None:
        """Take the decoder and the latent.

        Args:
            whole: the decoder, in eval mode.
            latent: (32, 8, 8) of the photograph.
            box: left, top, right and bottom of the positions that vary, the last two not among them.
        """
        super().__init__()
        self.whole = whole
        self.register_buffer("latent", latent[None].clone())
        self.box = box

    def forward(self, patch: Tensor) -> Tensor:
        """Images (n, 3, 64, 64) of the positions' latents (n, 32, bottom - top, right - left)."""
        left, top, right, bottom = self.box
        z = self.latent.expand(len(patch), -1, -1, -1)
        rows = torch.cat([z[:, :, top:bottom, :left], patch, z[:, :, top:bottom, right:]], dim=3)
        return self.whole(torch.cat([z[:, :, :top], rows, z[:, :, bottom:]], dim=2))


def patch_of(photo: Tensor, box: tuple[int, int, int, int], latents: Tensor) -> tuple[egbas.Decoder, Tensor]:
    """The decoder of some positions around a photograph, behind the Gaussian of the bank there, and its query.

    Args:
        photo: (3, 64, 64) in 0..1.
        box: of positions, as for ``Patch``.
        latents: (m, 32, 8, 8) of the bank.
    """
    left, top, right, bottom = box
    with torch.no_grad():
        (z,) = encoder()(photo[None])
    network = Patch(decoder(), z, box).eval()
    bank_there = latents[:, :, top:bottom, left:right]
    shape = (LATENT[0], bottom - top, right - left)
    generator = egbas.Decoder(network, shape=shape, bank=bank_there, image_range=(0.0, 1.0))
    return generator, generator.whiten(z[None, :, top:bottom, left:right])[0]


def whitened(n: int = CROPS) -> egbas.Decoder:
    """The decoder behind the Gaussian of the bank, with its encoder."""
    return egbas.Decoder(decoder(), shape=LATENT, bank=bank(n), encoder=encoder(), image_range=(0.0, 1.0))
