# SPDX-License-Identifier: MIT
"""Whether images are a function of each latent alone, whatever a network's rounding.

A network's first pass may round otherwise than later ones, and networks enlarge what was rounded. So where float32
passes differ, a copy in float64 is asked, which rounds a billion times as finely: noise is as large there as before.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from egbas.errors import EgbasError, NetworkError
from egbas.network.forward import Forward
from egbas.network.images import close, images_at_once

_REPEATED, _ALONE = 0.1, 10.0  # slack: a pass that is repeated, and one of another batch size
_N_REPEATS, _N_ENOUGH = 3, 2  # where there is no float64 to ask
# Latents in a large batch. Nothing asks for more than 256 at once; large images are never asked for many at once.
LARGE, _VALUES_IN_ALL = 257, 400_000
HEADS, _HEADS_OF_MANY_UNITS, _MANY_UNITS = 64, 17, 2**16  # latents in a large batch up to a layer

Head = Callable[[Tensor], Tensor]


def refuse_unrepeatable(forward: Forward, z: Float[Tensor, "n d"], first: Tensor) -> None:
    """Compare a first pass with a second one.

    Args:
        forward: the network.
        z: latents.
        first: the images that it has given for them.

    Raises:
        NetworkError: it gives other images for the same latents.
    """

    def is_repeated(network: Forward) -> bool:
        return close(network.images(z), network.images(z), slack=_REPEATED)

    if not close(forward.images(z), first, slack=_REPEATED) and not _is_but_rounding(forward, is_repeated):
        raise NetworkError(
            "the network gives other images the second time for the same latents; "
            "expected a function of the latents alone: "
            "turn off dropout and random noise (generator.eval(), fixed noise inputs)"
        )


def refuse_mixing(forward: Forward, z: Float[Tensor, "n d"], first: Tensor) -> None:
    """Compare the image of a latent in a batch with that of the latent alone.

    Args:
        forward: the network.
        z: latents, more than one.
        first: the images that it has given for them.

    Raises:
        NetworkError: it depends on the other latents.
    """

    def is_alike(network: Forward) -> bool:
        return close(network.images(z[:1])[0], network.images(z)[0], slack=_ALONE)

    if not close(forward.images(z[:1])[0], first[0], slack=_ALONE) and not _is_but_rounding(forward, is_alike):
        raise NetworkError(
            "the image of a latent changes with the other latents in its batch; expected each row on its own: "
            "turn off statistics over the batch (batch norm without running statistics)"
        )


def large_batch(image_size: int) -> int:
    """How many latents the large batch has that a network of images of so many values is tried with."""
    n = min(LARGE, max(images_at_once(image_size), _VALUES_IN_ALL // image_size))
    return n - 2 if n % 4 == 2 and n > 2 else n  # odd or whole fours, so that two sizes tell of both


def refuse_large_batches(forward: Forward, z: Float[Tensor, "n d"], first: Tensor) -> None:
    """Compare the images of latents in large batches, an even and an odd one, with those in a small one.

    Some layers only look at large ones, or at those that they can split evenly.

    Args:
        forward: the network.
        z: latents, a few.
        first: the images that it has given for them.

    Raises:
        NetworkError: it gives other images in one of them, or cannot run one.
    """
    large, most = large_batch(first[0].numel()), images_at_once(first[0].numel())
    if large <= len(z):
        return
    try:
        got = forward.images(_repeated(z, large))
    except NetworkError:  # more than a fixed size, or than memory has room for, and than we ask for
        large = most
        got = forward.images(_repeated(z, large))
    for n in (large, _other_parity(large)):
        got = got if n == large else forward.images(_repeated(z, n))
        if not close(got, _repeated(first, n), slack=_ALONE) and not _is_but_rounding(
            forward, lambda network, n=n: _is_alike(network.images, network.images(z), z, n)
        ):
            raise _depends_on_size("image", n, len(z))


def refuse_large_heads(head: Head, exact: Callable[[], Head], z: Float[Tensor, "n d"]) -> None:
    """Compare the pre-activations of latents in large batches with those in a small one.

    For a network of large images, which has not shown what it does with a large batch.

    Args:
        head: of a layer; maps latents (n, d) to (n, units).
        exact: makes the same in float64, or raises where there is none.
        z: latents, a few.

    Raises:
        NetworkError: they are others in one of them.
    """
    expected = head(z)
    large = HEADS if expected.shape[1] <= _MANY_UNITS else _HEADS_OF_MANY_UNITS
    for n in (large, _other_parity(large)):
        if _is_alike(head, expected, z, n):
            continue
        try:
            finer = exact()
            is_rounding = _is_alike(finer, finer(z), z, n)
        except EgbasError:  # it cannot be copied, or has a layer of another precision
            is_rounding = False
        if not is_rounding:
            raise _depends_on_size("pre-activation", n, len(z))


def _other_parity(large: int) -> int:
    """A second size to try, for layers that only look at batches of whole fours or at odd ones."""
    if large % 2 == 0:
        return 5
    return 64 if large > 64 else 4


def _is_alike(network: Callable[[Tensor], Tensor], expected: Tensor, z: Tensor, n: int) -> bool:
    """Whether a batch of n gives for latents (few, d) what is expected, (few, *shape)."""
    return close(network(_repeated(z, n)), _repeated(expected, n), slack=_ALONE)


def _depends_on_size(what: str, n: int, few: int) -> NetworkError:
    return NetworkError(
        f"the {what} of a latent is another one in a batch of {n} than in one of {few}; expected each row on its own, "
        "whatever the size of the batch: turn off what looks at it (statistics over large batches, "
        "minibatch standard deviation)"
    )


def _repeated(rows: Float[Tensor, "few *shape"], n: int) -> Float[Tensor, "n *shape"]:
    """The same rows again and again: so each row of a large batch has one to be compared with."""
    return rows[torch.arange(n) % len(rows)]


def _is_but_rounding(forward: Forward, holds: Callable[[Forward], bool]) -> bool:
    """Whether a test that has failed holds in float64, or else most of the times that it is made again."""
    if forward.is_coarse:
        try:
            return holds(forward.in_float64())
        except Exception:  # it cannot be copied, or has a layer of another precision
            pass
    return sum(holds(forward) for _ in range(_N_REPEATS)) >= _N_ENOUGH
