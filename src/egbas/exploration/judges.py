# SPDX-License-Identifier: MIT
"""Judges give images named scores, such as brightness; what a region does to a score says whether it is held.

Features, beside them, are numbers of an image that a distance is measured in.
"""

import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from egbas.errors import ConfigError
from egbas.machine.settings import as_caller

Judge = Callable[[Tensor], Mapping[str, Tensor]]
Features = Callable[[Tensor], Tensor]

HELD, FREE = 0.4, 0.7  # freedom up to which something is called held, and from which it is called free
_RGB = 3
_DIMENSIONS = 3  # of an image: channels, height, width
_ROUNDING = 2e-6  # of a score, relative to its size: judges compute in float32
_LARGEST = 1e100  # of a score, so that its square is still a number


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
        tiny = _ROUNDING * max(abs(query), float(prior.abs().max()))
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


def name_of(function: Callable[..., Any]) -> str:
    """A judge or features as ``module:name``, as the command line takes them where they can be imported.

    An object without a name of its own is told by where its module holds it, or else as ``module:Class()``.
    """
    if hasattr(function, "__qualname__"):
        return f"{function.__module__}:{function.__qualname__}"
    kind = type(function)
    held = vars(sys.modules[kind.__module__]).items() if kind.__module__ in sys.modules else ()
    name = next((name for name, value in held if value is function), f"{kind.__qualname__}()")
    return f"{kind.__module__}:{name}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Panel:
    """Judges and features that have answered for the image of a query: what they say of others must have that form.

    Attributes:
        judges: the built-in ones first.
        features: of images, a row for each; None: there are none.
        scores: of the query's image, by name.
        row: (1, f) float64, its features; f is 0 without any.
    """

    judges: Sequence[Judge]
    features: Features | None
    scores: Mapping[str, float]
    row: Float[Tensor, "1 f"]

    @classmethod
    def of(cls, judges: Sequence[Judge], features: Features | None, image: Float[Tensor, "..."]) -> "Panel":
        """Ask all of them about the image of a query.

        Args:
            judges: further ones, beside brightness, contrast and colour.
            features: of images (n, c, h, w), one tensor for each.
            image: (c, h, w).

        Raises:
            ConfigError: there are judges for what is no image, two give a score of the same name, or one raises or
                answers in another form.
        """
        for what, function in (*(("judge", one) for one in judges), ("features", features)):
            if not callable(function) and function is not None:
                raise ConfigError(
                    f"got {function!r} among the {what}; expected a callable that takes images (n, c, h, w)"
                )
        if judges and image.ndim != _DIMENSIONS:
            raise ConfigError(
                f"judges look at images (c, h, w), and this network gives {tuple(image.shape)}; leave them out, or "
                "measure distances in features"
            )
        everyone = (*BUILT_IN, *judges)
        scores = {name: float(values[0]) for name, values in _scores(everyone, image[None]).items()}
        row = _rows(features, image[None])
        if features is not None and not bool(row.norm() > 0):
            raise ConfigError(
                "the features of the query's image are all zero, so that no distance is relative to their norm; give "
                "others"
            )
        return cls(judges=everyone, features=features, scores=scores, row=row)

    def scores_of(self, images: Tensor) -> dict[str, Float[Tensor, " n"]]:
        """What all judges say of images that are (n, c, h, w); others are judged by nobody.

        Raises:
            ConfigError: a judge raises or answers in another form, or with other names than for the query's image.
        """
        found = _scores(self.judges, images)
        if found.keys() != self.scores.keys():
            raise ConfigError(
                f"the judges gave {_listed(self.scores)} for the query's image and {_listed(found)} for {len(images)} "
                "others; expected the same names for all images"
            )
        return found

    def distances(self, images: Tensor) -> Float[Tensor, " n"]:
        """How far images lie from the query's in features, relative to the norm of its features; zeros without any.

        Raises:
            ConfigError: the features raise or answer in another form, or with another width than for the query's image.
        """
        rows = _rows(self.features, images)
        if rows.shape[1] != self.row.shape[1]:
            raise ConfigError(
                f"the features gave {self.row.shape[1]:,} numbers for the query's image and {rows.shape[1]:,} for "
                "another; expected as many for every image"
            )
        if self.features is None:
            return rows.new_zeros(len(rows))
        return (rows - self.row).norm(dim=1) / self.row.norm()


def _asked(of: Callable[[Tensor], Any], images: Tensor, who: str) -> Any:
    """What the user's own code says of images, which it may change; what it raises comes back as a message.

    Raises:
        ConfigError: it raised.
    """
    try:
        with torch.no_grad(), as_caller():
            return of(images.clone())
    except (Exception, SystemExit) as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        told = " ".join(traceback.format_exception_only(error)[-1].split())  # on one line
        raise ConfigError(
            f"{who} raised {told} ({last.filename}, line {last.lineno}); it is called with images of shape "
            f"{tuple(images.shape)}"
        ) from error


def _scores(judges: Sequence[Judge], images: Tensor) -> dict[str, Float[Tensor, " n"]]:
    if images.ndim != 1 + _DIMENSIONS:
        return {}
    named: dict[str, Tensor] = {}
    for judge in judges:
        who = f"the judge {getattr(judge, '__name__', type(judge).__name__)}"
        answer = _asked(judge, images, who)
        if not isinstance(answer, Mapping):
            raise ConfigError(
                f"{who} returned {type(answer).__name__}; expected a dict from names to a score of each image, such as "
                f"{{'smile': tensor of shape ({len(images)},)}}"
            )
        if not answer and judge not in BUILT_IN:  # a grey image has no colour to tell of
            raise ConfigError(f"{who} named no score; expected a dict from names to a score of each image")
        for key, value in answer.items():
            name = str(key)
            if not name.isprintable() or not name.strip():
                raise ConfigError(f"{who} gave a score named {key!r}; expected a name that can be printed")
            if name in named:
                raise ConfigError(f"{who} gave {name!r}, which another score is called; name it otherwise")
            named[name] = _numbers(value, len(images), f"{who} gave {key!r}")
    return named


def _numbers(value: Any, n: int, gave: str) -> Float[Tensor, " n"]:
    """A score of each image, as a judge may return it."""
    try:
        values = torch.as_tensor(value)
        if values.is_floating_point() and not isinstance(value, Tensor | np.ndarray):
            values = torch.as_tensor(value, dtype=torch.float32)  # not what is the default of the process
        values = values.detach().cpu()
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(f"{gave} as {type(value).__name__}; expected one number for each image") from error
    if values.shape != (n,) or values.is_complex():
        kind = " of complex numbers" if values.is_complex() else ""
        raise ConfigError(
            f"{gave} as {tuple(values.shape)}{kind} for {n} images; expected one real number for each image"
        )
    values = values.double().clone()
    if not bool((values.abs() <= _LARGEST).all()):
        raise ConfigError(
            f"{gave} with values that are NaN, infinite or above {_LARGEST:g}; expected one finite number for each "
            "image"
        )
    return values


def _rows(features: Features | None, images: Tensor) -> Float[Tensor, "n f"]:
    """Features of images, flat; nothing where none were asked for."""
    if features is None:
        return torch.zeros(len(images), 0, dtype=torch.float64)
    answer = _asked(features, images, "the features")
    has_rows = isinstance(answer, Tensor) and answer.ndim > 0 and len(answer) == len(images)
    if not has_rows or answer.is_complex() or not answer.numel():
        got = f"{answer.dtype} {tuple(answer.shape)}" if isinstance(answer, Tensor) else type(answer).__name__
        raise ConfigError(
            f"the features returned {got} for {len(images)} images; expected a tensor of real numbers, one row "
            "for each image"
        )
    rows = answer.detach().cpu().reshape(len(images), -1).double().clone()
    if not bool((rows.abs() <= _LARGEST).all()):
        raise ConfigError(
            f"the features gave values that are NaN, infinite or above {_LARGEST:g}; expected finite ones"
        )
    return rows


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names)) or "nothing"
