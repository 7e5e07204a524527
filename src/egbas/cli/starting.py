# SPDX-License-Identifier: MIT
"""``--image``: from a picture to the query whose image it is, by an encoder or by inversion."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from egbas.cli import show
from egbas.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

    from egbas.exploration.source import Source
    from egbas.latent import LatentSpace
    from egbas.network import Network

Progress = Callable[[str, int, int, str], None]


def check_start(*, latent: str | None, image: str | None, encoder: str | None, force: bool) -> None:
    """Refuse two queries, and what belongs to an image without one; before any work.

    Raises:
        ConfigError: so it is.
    """
    if image is not None and latent is not None:
        raise ConfigError(f"got --latent {latent} and --image {image}; each is a query: leave one out")
    if image is None and (encoder is not None or force):
        option = "--force" if encoder is None else f"--encoder {encoder}"
        raise ConfigError(f"got {option} without --image, to which it belongs; give one, or leave it out")


def query_of_image(  # noqa: PLR0913
    image: str,
    network: "Network",
    latent: "LatentSpace",
    *,
    encoder: str | None,
    force: bool,
    seed: int,
    progress: Progress | None = None,
) -> "tuple[Tensor, Source, tuple[str, ...]]":
    """The query (d,) of a picture, where it came from, and warnings.

    Args:
        image: as typed after ``--image``.
        network: the generator.
        latent: its latent space.
        encoder: as typed after ``--encoder``; None: the generator's own, or else inversion.
        force: whether a query of another image is taken, too.
        seed: of the draws that an inversion begins with.
        progress: called with (stage, done, total, text).

    Raises:
        ConfigError: the picture cannot be read, or the nearest image is too far from it.
        NetworkError: the encoder fails.
    """
    from egbas.exploration.source import ENCODER, INVERSION, Source
    from egbas.inputs.models import find_callable
    from egbas.inputs.pictures import find_picture
    from egbas.inversion import invert, target_of
    from egbas.network.decoder import Decoder, encoded_by

    picture = find_picture(image, network)
    target = target_of(picture.image, network)
    own = find_callable(encoder, "--encoder") if encoder is not None else None
    generator, found = network.generator, None
    if isinstance(generator, Decoder) and (own is not None or generator.has_encoder):
        z0 = generator.encode(target[None], own)[0]
    elif own is not None:
        z0 = encoded_by(own, target[None], latent.shape).reshape(-1)
    else:
        found = invert(
            generator, target, latent, rng=seed, output=network.output, inputs=network.inputs or None, progress=progress
        )
        z0 = found.latent
    nearest = network.generate(z0[None].to(network.device))[0].cpu()
    source = Source(
        image=picture.image,
        file=picture.name,
        sha256=picture.sha256,
        how=ENCODER if found is None else INVERSION,
        encoder=encoder,
        error=float((nearest - target).norm() / target.norm()),
        start_error=None if found is None else found.start_error,
        evaluations=1 if found is None else found.evaluations,
    )
    return z0.float(), source, (*picture.notes, *source.refuse_far(force))


def begin_at(  # noqa: PLR0913
    image: str,
    network: "Network",
    latent: "LatentSpace",
    *,
    encoder: str | None,
    force: bool,
    seed: int,
    quiet: bool,
) -> "tuple[Tensor, Source]":
    """The query (d,) of a picture and where it came from, with a progress bar; its warnings are told.

    Args:
        image: as typed after ``--image``.
        network: the generator.
        latent: its latent space.
        encoder: as typed after ``--encoder``.
        force: whether a query of another image is taken, too.
        seed: of the draws that an inversion begins with.
        quiet: whether there is to be no progress bar.

    Raises:
        ConfigError, NetworkError: as ``query_of_image`` does.
    """
    with show.progress_bar(quiet) as progress:
        z0, source, said = query_of_image(
            image, network, latent, encoder=encoder, force=force, seed=seed, progress=progress
        )
    for text in said:
        show.warning(text)
    return z0, source
