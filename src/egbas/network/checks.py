# SPDX-License-Identifier: MIT
"""Whether images are a function of each latent alone, whatever a network's rounding.

A network's first pass may round otherwise than later ones, and networks enlarge what was rounded. So where float32
passes differ, a copy in float64 is asked, which rounds a billion times as finely: noise is as large there as before.
"""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from egbas.errors import NetworkError
from egbas.network.forward import Forward
from egbas.network.images import close

_REPEATED, _ALONE = 0.1, 10.0  # slack: a pass that is repeated, and one of another batch size
_N_REPEATS, _N_ENOUGH = 3, 2  # where there is no float64 to ask


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


def _is_but_rounding(forward: Forward, holds: Callable[[Forward], bool]) -> bool:
    """Whether a test that has failed holds in float64, or else most of the times that it is made again."""
    if forward.is_coarse:
        try:
            return holds(forward.in_float64())
        except Exception:  # it cannot be copied, or has a layer of another precision
            pass
    return sum(holds(forward) for _ in range(_N_REPEATS)) >= _N_ENOUGH
