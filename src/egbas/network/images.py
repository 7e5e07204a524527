# SPDX-License-Identifier: MIT
"""What a generator returns, and the image in it."""

from typing import Any

import torch
from torch import Tensor

from egbas.errors import NetworkError

_VALUES_AT_ONCE, _MOST_AT_ONCE = 200_000, 64


def images_at_once(image_size: int) -> int:
    """How many images of so many values a network is best asked for, or asked about, in one pass.

    64 of 28 x 28, one of 256 x 256: there, the tensors between the layers of a batch of 16 are so large that each is
    memory from the system anew, and an image takes a quarter longer than alone.
    """
    return min(_MOST_AT_ONCE, max(1, _VALUES_AT_ONCE // image_size))


def pick_image(output: Any, kind: type) -> Any:
    """The image in what a forward pass returned: itself, the entry ``"image"``, or the first of its kind.

    Generators return a tensor, a tuple such as (image, latents), or a dict such as {"image": ..., "w": ...}.
    None where there is nothing of the kind.
    """
    if isinstance(output, kind):
        return output
    if isinstance(output, dict):
        if isinstance(output.get("image"), kind):
            return output["image"]
        output = list(output.values())
    if isinstance(output, tuple | list):
        return next((value for value in output if isinstance(value, kind)), None)
    return None


def image_of(output: Any, n: int) -> Tensor:
    """The images (n, ...) in what a forward pass returned.

    Raises:
        NetworkError: there is no tensor in it, or one of another batch size or of no real numbers.
    """
    image = pick_image(output, Tensor)
    if image is None:
        raise NetworkError(
            f"the network returned {type(output).__name__}; "
            "expected a tensor of images (n, c, h, w), a tuple that holds one or a dict with an 'image'"
        )
    if image.ndim < 2 or image.shape[0] != n:
        raise NetworkError(
            f"the network returned a tensor of shape {tuple(image.shape)} for {n} latents; "
            f"expected one image for each, ({n}, c, h, w): "
            "its forward must keep the batch as the first dimension, for any batch size"
        )
    if not image.is_floating_point():
        raise NetworkError(f"the network returned {image.dtype}; expected real images such as torch.float32")
    return image


def refuse_nonfinite(image: Tensor) -> Tensor:
    """Return the images.

    Raises:
        NetworkError: they hold NaN or infinite values.
    """
    if not torch.isfinite(image).all():
        raise NetworkError(
            "the network returned NaN or infinite values; check its weights, its dtype and the scale of the latents"
        )
    return image


def close(got: Tensor, expected: Tensor, *, slack: float = 1.0) -> bool:
    """Whether two results of one computation agree up to its rounding, relative to the largest entry."""
    if got.shape != expected.shape or got.dtype != expected.dtype:
        return False
    got, expected = got.detach(), expected.detach()
    scale = float(expected.nan_to_num(0, 0, 0).abs().max()) if expected.numel() else 0.0
    tolerance = slack * torch.finfo(expected.dtype).eps ** 0.5 * scale
    return torch.allclose(got, expected, rtol=0, atol=tolerance, equal_nan=True)
