# SPDX-License-Identifier: MIT
"""The image that a query stands for, where the query was no draw of the prior: how near the generator comes to it."""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from egbas.errors import ConfigError

ENCODER, INVERSION, ITSELF = "encoder", "inversion", "itself"
KEYS = "file", "sha256", "how", "encoder", "error", "start_error", "evaluations"
MOST_ERROR = 0.2  # of an image's norm: beyond it the query shows something else


@dataclass(frozen=True, kw_only=True, eq=False)
class Source:
    """The image that a query was found for.

    Attributes:
        image: as it was given, of the shape and in the range of the generator's.
        file: name of the file that it came from.
        sha256: of that file.
        how: ``"encoder"``, ``"inversion"``, or ``"itself"`` where the latent is the image.
        encoder: ``module:name`` of the encoder; None: the generator's own, or none.
        error: ||G(z0) - x|| / ||x||.
        start_error: of an inversion, that of its nearest start; None of an encoder.
        evaluations: latents that went through the generator.
    """

    image: Float[Tensor, "..."]
    file: str
    sha256: str
    how: str
    encoder: str | None = None
    error: float
    start_error: float | None = None
    evaluations: int

    def record(self) -> dict[str, Any]:
        """As ``config.json`` holds it."""
        return {name: getattr(self, name) for name in KEYS}

    @property
    def sentence(self) -> str:
        """How near the query's image is to it."""
        if self.how == ITSELF:
            return f"The query is {self.file} itself: the latent is the image."
        by = "the encoder" if self.how == ENCODER else "inversion"
        return f"The query's image differs from {self.file} by {self.error:.1%} of its norm; found by {by}."

    def refuse_far(self, is_forced: bool) -> tuple[str, ...]:
        """Refuse a query whose image is another one, unless that is wanted; then warn.

        Raises:
            ConfigError: the error is above ``MOST_ERROR``.
        """
        if self.error <= MOST_ERROR:
            return ()
        told = (
            f"the nearest image that was found differs from {self.file} by {self.error:.0%} of its norm, more than "
            f"{MOST_ERROR:.0%}"
        )
        if not is_forced:
            raise ConfigError(
                f"{told}: what is found would not be about that image. Give one that the generator makes, an "
                "--encoder, or --force"
            )
        return (
            f"{told[0].upper()}{told[1:]}: what is held and free is about the query's image, not about the file's.",
        )
