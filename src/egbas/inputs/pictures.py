# SPDX-License-Identifier: MIT
"""The picture that ``--image`` names, as an image of a network: its size, its channels, its range of pixel values."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from egbas.errors import ConfigError, ShapeError
from egbas.inputs.queries import read_latent
from egbas.network import Network
from egbas.network.image_range import ImageRange
from egbas.network.kinds import as_image_shape, kind_of

_ARRAYS = (".npy", ".npz", ".safetensors")
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}  # by the channels of the network's images
_BYTE, _WORD = 255, 65535


@dataclass(frozen=True, eq=False)
class Picture:
    """An image of a network, read from a file.

    Attributes:
        image: of the network's shape, float32, in the network's range of pixel values.
        name: of the file.
        sha256: of its content.
        notes: what was done to the file's pixels, as sentences.
    """

    image: Float[Tensor, "..."]
    name: str
    sha256: str
    notes: tuple[str, ...]


def find_picture(given: str, network: Network) -> Picture:
    """Read a picture, or an array that holds an image of the network as it is.

    A picture of another shape is cropped to its middle, then shrunk or enlarged; what is transparent is black. All that
    is done is told in ``notes``.

    Args:
        given: path of a PNG, JPEG or the like; or of a .npy, .npz or .safetensors file with one image.
        network: whose image it is to be.

    Raises:
        ConfigError: there is no such file, it cannot be read, or the network's images are such that no picture is one.
        ShapeError: it is an array of another shape.
    """
    path = Path(given)
    content = _content(path)
    digest = hashlib.sha256(content).hexdigest()
    shape = tuple(network.image_shape)
    if path.suffix.lower() in _ARRAYS:
        image = read_latent(path, "--image")
        if tuple(image.shape) not in {shape, (1, *shape)}:
            raise ShapeError(f"{path} holds an array of shape {tuple(image.shape)}; expected {shape}")
        if not bool(image.isfinite().all()):
            raise ShapeError(f"{path} holds NaN or infinite values; expected finite ones")
        return Picture(image.reshape(shape), path.name, digest, ())
    if kind_of(shape) != "image":
        raise ConfigError(
            f"--image {path}: the network gives {shape}, which is no image; give such an array in a .npy file"
        )
    channels, height, width = as_image_shape(shape)
    if channels not in _MODES:
        raise ConfigError(
            f"--image {path}: images of {channels} channels are no pictures; give an array in a .npy file"
        )
    pixels, notes = _read(path, _MODES[channels], (width, height))
    image = torch.from_numpy(_in_range(path, pixels, network.image_range))
    image = image[None] if channels == 1 else image.permute(2, 0, 1)
    return Picture(image.reshape(shape).contiguous(), path.name, digest, notes)


def _content(path: Path) -> bytes:
    try:
        if path.is_file():
            return path.read_bytes()
    except (OSError, ValueError) as error:  # no permission, too long a name, or one with a null byte
        raise ConfigError(f"--image {str(path)[:100]}: the file cannot be read ({error})") from error
    raise ConfigError(f"--image {path}: there is no such file; expected a picture, or an array in a .npy file")


def _read(path: Path, mode: str, size: tuple[int, int]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Pixels (h, w) or (h, w, c) in 0..1, and what was done to them."""
    try:
        with Image.open(path) as file:
            file.load()
            picture = ImageOps.exif_transpose(file)
            n_frames = getattr(file, "n_frames", 1)
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(f"--image {path}: the picture cannot be read ({reason}); expected a PNG or JPEG") from error
    notes = [] if n_frames == 1 else [f"{path.name} has {n_frames} frames; the first is taken."]
    cropped = _crop(picture, size)
    if cropped.size != picture.size:
        notes.append(f"{path.name} is {_told(picture.size)}; its middle, {_told(cropped.size)}, is taken.")
    if cropped.size != size:
        word = "shrunk" if cropped.size[0] > size[0] else "enlarged"
        notes.append(f"It is {word} from {_told(cropped.size)} to {_told(size)}, the size of the network's images.")
    if cropped.mode.startswith("I") or cropped.mode == "F":
        return _of_numbers(path, cropped, mode, size), tuple(notes)
    if cropped.has_transparency_data and mode != "RGBA":
        coloured = cropped.convert("RGBA")
        if coloured.getchannel("A").getextrema()[0] < _BYTE:  # pyright: ignore[reportOperatorIssue]
            notes.append(f"{path.name} is transparent in parts, which are taken for black.")
        cropped = Image.alpha_composite(Image.new("RGBA", coloured.size, (0, 0, 0, _BYTE)), coloured)
    resized = cropped.convert(mode).resize(size, Image.Resampling.LANCZOS)
    return np.asarray(resized).astype(np.float32) / _BYTE, tuple(notes)


def _of_numbers(path: Path, picture: Image.Image, mode: str, size: tuple[int, int]) -> np.ndarray:
    """Grey pictures of 16 bits, which Pillow would cut off at 255."""
    values = np.asarray(picture).astype(np.float32)
    if picture.mode == "F" or values.min() < 0 or values.max() > _WORD:
        raise ConfigError(
            f"--image {path}: its pixels are from {values.min():g} to {values.max():g}, which have no known black and "
            "white; give a picture of 8 or 16 bits, or an array in the network's own range in a .npy file"
        )
    resized = np.asarray(Image.fromarray(values / _WORD).resize(size, Image.Resampling.LANCZOS)).clip(0, 1)
    return resized if mode == "L" else np.stack([resized] * 3 + [np.ones_like(resized)] * (mode == "RGBA"), axis=-1)


def _crop(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The largest part in the middle whose sides are as those of the size."""
    share = min(picture.width / size[0], picture.height / size[1])
    wide, tall = max(1, round(share * size[0])), max(1, round(share * size[1]))
    left, top = (picture.width - wide) // 2, (picture.height - tall) // 2
    return picture if (wide, tall) == picture.size else picture.crop((left, top, left + wide, top + tall))


def _in_range(path: Path, pixels: np.ndarray, known: ImageRange | None) -> np.ndarray:
    if known is None:
        raise ConfigError(
            f"--image {path}: which values of the network's images are black and white is not known; give the network "
            "an attribute image_range, such as image_range = (-1.0, 1.0)"
        )
    return (known.low + (known.high - known.low) * pixels).astype(np.float32)


def _told(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"
