# SPDX-License-Identifier: MIT
"""What a sampler is to an exploration, and what it hands back.

A sampler draws latents of a region. What it hands back says what it is: a tree has parents and a step, chains have
diagnostics, a sampler of the user's own has what it puts into ``facts``. Storage, report, figures and metrics ask for
these and pretend nothing.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from egbas.errors import ConfigError, ShapeError
from egbas.latent import LatentSpace
from egbas.region import Region

Progress = Callable[[int, int, str], None]  # (done, total, text)


@dataclass(frozen=True, kw_only=True, eq=False)
class Samples:
    """Latents that a sampler drew.

    Attributes:
        latents: (n, d), finite; in the order in which they were drawn.
        status: how the sampling ended, as a word, such as ``"COMPLETED"`` or ``"NOT_CONVERGED"``.
        evaluations: how many latents the region was asked about.
        facts: what else there is to know, by name: numbers, words, lists of them, fit for JSON.
        sentence: what the status means, for people; "" where the word says it all.
    """

    latents: Float[Tensor, "n d"]
    status: str
    evaluations: int
    facts: Mapping[str, Any] = field(default_factory=dict)
    sentence: str = ""

    @property
    def drawn(self) -> Float[Tensor, "n d"]:
        """The latents that were drawn, without a query in front."""
        return self.latents


@runtime_checkable
class Sampler(Protocol):
    """Draws latents of a region.

    Example:
        >>> import egbas, torch
        >>> class Jitter:
        ...     name = "jitter"
        ...     def sample(self, region, start, latent, rng, progress=None):
        ...         z = start + 0.01 * torch.randn(20, len(start), generator=rng)
        ...         return egbas.Samples(latents=z[region.contains(z)], status="COMPLETED", evaluations=20)
        >>> isinstance(Jitter(), egbas.Sampler)
        True
    """

    @property
    def name(self) -> str:
        """What its samples are called in an exploration."""
        ...

    def sample(
        self,
        region: Region,
        start: Float[Tensor, " d"],
        latent: LatentSpace,
        rng: torch.Generator,
        progress: Progress | None = None,
    ) -> Samples:
        """Draw latents of a region.

        Args:
            region: to stay in.
            start: (d,) a latent in it: the query.
            latent: the latent space.
            rng: a CPU generator, of this sampler alone: the same state gives the same samples.
            progress: called with (done, total, text).
        """
        ...


def checked(samples: Any, name: str, d: int) -> Samples:
    """What a sampler handed back, if it can be used.

    Raises:
        ConfigError: it is no ``Samples``, or its facts are not fit for JSON.
        ShapeError: its latents are not (n, d) or not finite.
    """
    if not isinstance(samples, Samples):
        raise ConfigError(
            f"sampler {name!r} returned {type(samples).__name__}; expected egbas.Samples(latents=..., status=..., "
            "evaluations=...)"
        )
    try:
        json.dumps(dict(samples.facts), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"the facts of sampler {name!r} are not fit for JSON ({error}); expected numbers, words and lists of them"
        ) from error
    latents = samples.latents
    if latents.ndim != 2 or latents.shape[1] != d or not bool(torch.isfinite(latents).all()):
        raise ShapeError(
            f"sampler {name!r} returned latents of shape {tuple(latents.shape)}; expected (n, {d}), all values finite"
        )
    return samples
