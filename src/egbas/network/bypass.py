# SPDX-License-Identifier: MIT
"""How much of an image flows past a layer: a skip carries it around the branch that the layer is in.

Two images of the network differ in everything that the latent decides. Give the pass of one latent the layer's values
of another: what flows through the layer is the other's now, what flows past it is still its own. The distance that is
left to the other's image, as a share of the distance of the two images, is what flows past. It is 0 where all goes
through the layer, as in a plain chain of modules, and 1 where nothing of the layer comes to the image.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from egbas.errors import EgbasError
from egbas.network.forward import Forward
from egbas.network.hooks import Exchange, hooked
from egbas.network.images import image_of
from egbas.network.layers import Layer
from egbas.network.trace import N_PROBES, Call

NONE_PAST = 0.01  # share up to which nothing is said to flow past: rounding, and what no image shows
_LEAST_DIMENSIONS = 2
MUCH_PAST = 0.5  # from which a layer is said to be bypassed


def share_past(forward: Forward, layer: Layer, call: Call, z: Float[Tensor, "n d"]) -> float | None:
    """The share of the images' differences that flows past a layer, 0 to 1 and seldom above; two passes.

    Args:
        forward: the network.
        layer: of it.
        call: the layer's.
        z: latents, at least two; each takes the layer's values of the one before it. Of large images two are taken.

    Returns:
        None where it cannot be told: the images are alike, or the network does not run so.
    """
    if call.dtype is None or len(call.shape) < _LEAST_DIMENSIONS or call.shape[0] != N_PROBES:
        return None  # no row for each latent
    hook, replica = Exchange(), forward.replica
    try:
        with torch.no_grad():
            images = forward.images(z)
            with replica.door, hooked(replica.module, layer, hook, call.site):
                exchanged = image_of(replica(forward.prepare(z)), len(z), forward.steps)
            others = images.roll(1, 0)
            apart, left = float((images - others).norm()), float((exchanged - others).norm())
    except (EgbasError, RuntimeError):  # values that are not finite, or a tensor of another shape there
        return None
    return left / apart if hook.is_done and apart > 0 else None


def instead_of(
    layer: Layer,
    candidates: Sequence[tuple[int, Layer]],
    order: int,
    past: Callable[[Layer], float | None],
) -> Layer | None:
    """The first layer after a bypassed one that nothing flows past: the state after the addition.

    Args:
        layer: that is bypassed.
        candidates: layers with their place in the order of the forward pass.
        order: the place of the bypassed one.
        past: measures a layer.
    """
    above = sorted((pair for pair in candidates if pair[0] > order), key=lambda pair: pair[0])
    for _, one in above:
        share = past(one) if one.path != layer.path else None
        if share is not None and share <= NONE_PAST:
            return one
    return None


def sentence(layer: Layer, share: float | None, other: Layer | None, what: str = "images") -> str | None:
    """What is to be told of a bypassed layer; None where hardly anything of what is looked at flows past it."""
    if share is None or share < MUCH_PAST:
        return None
    to_do = (
        " No state between it and the image has all of it."
        if other is None
        else f" Take the state after the skip instead: --layer {other.key} ({_told(other)})."
    )
    return (
        f"Layer {layer.path!r} is bypassed: {min(share, 1):.0%} of what makes {what} differ flows past it (a skip, or "
        f"styles that enter above it), and its units hold none of that.{to_do}"
    )


def _told(layer: Layer) -> str:
    return f"{layer.kind}, {' x '.join(map(str, layer.shape))}"
