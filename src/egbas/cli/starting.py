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


def check_start(
    *, latent: str | None, image: str | None, encoder: str | None, force: bool, bank: str | None = None
) -> None:
    """Refuse two queries, what belongs to an image without one, and two ways to a latent; before any work.

    Raises:
        ConfigError: so it is.
    """
    if image is not None and latent is not None:
        raise ConfigError(f"got --latent {latent} and --image {image}; each is a query: leave one out")
    given = {"--force": force, f"--encoder {encoder}": encoder is not None, f"--bank {bank}": bank is not None}
    first = next((option for option, is_given in reversed(given.items()) if is_given), None)
    if image is None and first is not None:
        raise ConfigError(f"got {first} without --image, to which it belongs; give one, or leave it out")
    if encoder is not None and bank is not None:
        raise ConfigError(
            f"got --encoder {encoder} and --bank {bank}; an encoder gives the latent, and a bank is where an inversion "
            "begins: leave one out"
        )


def query_of_image(  # noqa: PLR0913
    image: str,
    network: "Network",
    latent: "LatentSpace",
    *,
    encoder: str | None,
    force: bool,
    seed: int,
    bank: str | None = None,
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
        bank: as typed after ``--bank``: what an inversion begins with instead; None: its own draws.
        progress: called with (stage, done, total, text).

    Raises:
        ConfigError: the picture cannot be read, or the nearest image is too far from it; or there is a bank, and the
            generator has an encoder.
        CheckpointError, ShapeError: the bank cannot be read, or holds other latents.
        NetworkError: the encoder fails.
    """
    from egbas.exploration.source import ENCODER, INVERSION, ITSELF, Source
    from egbas.inputs.models import find_callable
    from egbas.inputs.pictures import find_picture
    from egbas.inputs.queries import find_bank, seeded
    from egbas.inversion import invert, target_of
    from egbas.network.classified import Pixels, maker_of
    from egbas.network.decoder import Decoder, encoded_by

    picture = find_picture(image, network)
    target = target_of(picture.image, network)
    own = find_callable(encoder, "--encoder") if encoder is not None else None
    maker, found, how = maker_of(network.generator), None, ENCODER
    if bank is not None and isinstance(maker, Decoder) and maker.has_encoder:
        raise ConfigError(
            f"got --bank {bank}, and the model has an encoder, which gives the latent of --image; leave --bank out"
        )
    if isinstance(maker, Pixels):
        if own is not None or bank is not None:
            raise ConfigError(
                "in the space of images the latent of --image is the image itself; leave --encoder and --bank out"
            )
        z0, how = target.reshape(-1).cpu(), ITSELF
    elif isinstance(maker, Decoder) and (own is not None or maker.has_encoder):
        z0 = maker.encode(target[None], own)[0]
    elif own is not None:
        z0 = encoded_by(own, target[None], latent.shape).reshape(-1)
    else:
        how = INVERSION
        found = invert(
            network.generator,
            target,
            latent,
            rng=seed,
            bank=None if bank is None else find_bank(bank, latent, seeded(seed)),
            output=network.output,
            inputs=network.inputs or None,
            progress=progress,
        )
        z0 = found.latent
    nearest = network.generate(z0[None].to(network.device))[0].cpu()
    source = Source(
        image=picture.image,
        file=picture.name,
        sha256=picture.sha256,
        how=how,
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
    bank: str | None = None,
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
        bank: as typed after ``--bank``.

    Raises:
        ConfigError, NetworkError: as ``query_of_image`` does.
    """
    with show.progress_bar(quiet) as progress:
        z0, source, said = query_of_image(
            image, network, latent, encoder=encoder, force=force, seed=seed, bank=bank, progress=progress
        )
    for text in said:
        show.warning(text)
    return z0, source
