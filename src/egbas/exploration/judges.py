# SPDX-License-Identifier: MIT
"""Judges give images named scores, such as brightness; what a region does to a score says whether it is held."""

import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from egbas.errors import ConfigError

Judge = Callable[[Tensor], Mapping[str, Tensor]]

HELD, FREE = 0.4, 0.7  # freedom up to which something is called held, and from which it is called free
_RGB = 3


@dataclass(frozen=True, kw_only=True)
class Score:
    """What a region does to one score of its images.

    Attributes:
        query: the score of the query's image.
        region_mean: over the region.
        region_deviation: its spread there.
        prior_mean: over the prior.
        prior_deviation: its spread there.
        freedom: how far scores lie from the query's over the region, by how far they lie over the prior (root mean
            squares); 0 is held, 1 as free as ever. None where the score does not change over the prior.
    """

    query: float
    region_mean: float
    region_deviation: float
    prior_mean: float
    prior_deviation: float
    freedom: float | None

    @classmethod
    def of(cls, query: float, region: Float[Tensor, " n"], prior: Float[Tensor, " m"]) -> "Score":
        """Compare the scores over a region with those over the prior."""
        near, far = ((values - query).square().mean().sqrt() for values in (region, prior))
        tiny = 1e-9 * max(abs(query), 1.0)
        return cls(
            query=query,
            region_mean=float(region.mean()),
            region_deviation=float(region.std(correction=0)),
            prior_mean=float(prior.mean()),
            prior_deviation=float(prior.std(correction=0)),
            freedom=float(near / far) if far > tiny else None,
        )

    @property
    def word(self) -> str:
        """``held``, ``free`` or ``partly free``; ``constant`` where it does not change over the prior."""
        if self.freedom is None:
            return "constant"
        return "held" if self.freedom < HELD else "free" if self.freedom > FREE else "partly free"


def brightness(images: Float[Tensor, "n c h w"]) -> dict[str, Tensor]:
    """Mean of all pixels."""
    return {"brightness": images.flatten(1).mean(dim=1)}


def contrast(images: Float[Tensor, "n c h w"]) -> dict[str, Tensor]:
    """Standard deviation of all pixels."""
    return {"contrast": images.flatten(1).std(dim=1, correction=0)}


def colour(images: Float[Tensor, "n c h w"]) -> dict[str, Tensor]:
    """Of images with three channels: the mean saturation, largest minus smallest channel, and red minus blue."""
    if images.shape[1] != _RGB:
        return {}
    saturation = (images.amax(dim=1) - images.amin(dim=1)).flatten(1).mean(dim=1)
    return {"saturation": saturation, "warmth": (images[:, 0] - images[:, 2]).flatten(1).mean(dim=1)}


BUILT_IN: tuple[Judge, ...] = (brightness, contrast, colour)
SCORES = "brightness", "contrast", "saturation", "warmth"  # of these


def asked(of: Callable[[Tensor], Any], images: Tensor, who: str) -> Any:
    """What the user's own code says of images; what it raises comes back as a message.

    Raises:
        ConfigError: it raised.
    """
    try:
        with torch.no_grad():
            return of(images)
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        told = traceback.format_exception_only(error)[-1].strip()
        raise ConfigError(
            f"{who} raised {told} ({last.filename}, line {last.lineno}); it is called with images of shape "
            f"{tuple(images.shape)}"
        ) from error


def scores_of(judges: Sequence[Judge], images: Tensor) -> dict[str, Float[Tensor, " n"]]:
    """What all judges say of images that are (n, c, h, w); others are judged by nobody.

    Raises:
        ConfigError: a judge does not answer with names and one finite number for each image.
    """
    if images.ndim != 4:
        return {}
    named: dict[str, Tensor] = {}
    for judge in judges:
        name = getattr(judge, "__name__", type(judge).__name__)
        answer = asked(judge, images, f"the judge {name}")
        if not isinstance(answer, Mapping):
            raise ConfigError(
                f"the judge {name} returned {type(answer).__name__}; expected a dict from names to a score of each "
                f"image, such as {{'smile': tensor of shape ({len(images)},)}}"
            )
        for key, value in answer.items():
            try:
                values = torch.as_tensor(value).detach().cpu().double()
            except (TypeError, ValueError, RuntimeError) as error:
                raise ConfigError(
                    f"the judge {name} gave {key!r} as {type(value).__name__}; expected one number for each image"
                ) from error
            if values.shape != (len(images),) or not bool(values.isfinite().all()):
                raise ConfigError(
                    f"the judge {name} gave {key!r} as {tuple(values.shape)} for {len(images)} images; expected one "
                    "finite number for each image"
                )
            named[str(key)] = values
    return named
