# SPDX-License-Identifier: MIT
"""The latent space of a generator: a prior, the shape that the generator takes, and a geometry."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

from egbas.errors import ConfigError
from egbas.latent.normal import Normal
from egbas.latent.prior import Prior, check_positive, check_size, description_of, log_density_of
from egbas.latent.product import prior_from_record, record_of
from egbas.latent.sphere import Sphere
from egbas.latent.uniform import Uniform
from egbas.machine.settings import settles

GeometryName = Literal["flat", "sphere"]

MOST_COORDINATES = 100_000_000  # more is a typing error: no machine has room for some hundred latents of them


@runtime_checkable
class LatentSpaceLike(Protocol):
    """What egbas asks of a latent space: a ``LatentSpace``, or an object of the user's own."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one latent as the generator takes it."""
        ...

    @property
    def size(self) -> int:
        """d, the number of coordinates."""
        ...

    @property
    def geometry(self) -> GeometryName:
        """``"flat"`` or ``"sphere"``."""
        ...

    @property
    def scale(self) -> float:
        """Standard deviation of one coordinate under the prior, in latent units."""
        ...

    @property
    def largest_half_width(self) -> float:
        """Bound on the automatic half-width I of GB-RRT, in latent units."""
        ...

    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        """Draw n flat latents (n, d), float32, on the CPU."""
        ...

    def contains(self, z: Tensor) -> Tensor:
        """Say which latents (n, d) lie in the support: bool (n,)."""
        ...


@dataclass(frozen=True, init=False)
class LatentSpace:
    """Where a generator's inputs come from.

    egbas works on flat latents (n, d); ``shape`` is what the generator is called with.

    Attributes:
        shape: of one latent as the generator takes it, for example ``(64,)`` or ``(512, 1, 1)``.
        prior: a ``Prior``; ``"normal"`` for N(0, 1) in every coordinate, ``"uniform"`` for U(-bound, bound).
        geometry: ``"flat"`` for the paper's box around the query, ``"sphere"`` for the sphere through the query:
            right for a generator that ignores the length of its latent. ``egbas.explore`` tests for that.

    Example:
        >>> LatentSpace(shape=(512, 1, 1)) == LatentSpace(shape=(512, 1, 1), prior=Normal())
        True
        >>> LatentSpace(shape=(2,), prior="uniform", bound=3.0).prior
        Uniform(bound=3.0)
    """

    shape: tuple[int, ...]
    prior: Prior
    geometry: GeometryName

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        prior: Prior | Literal["normal", "uniform"] = "normal",
        bound: float = 1.0,
        geometry: GeometryName | None = None,
    ) -> None:
        """Check the settings.

        Args:
            shape: as above.
            prior: as above.
            bound: half the width of the support of the prior ``"uniform"``, in latent units; unused for others.
            geometry: as above; None: ``"sphere"`` for the prior ``Sphere``, else ``"flat"``.

        Raises:
            ConfigError: a setting is out of range, or the prior is one of another number of coordinates.
        """
        if not shape or any(size < 1 for size in shape):
            raise ConfigError(f"latent shape {shape} is not a list of positive sizes, such as (64,)")
        if math.prod(shape) > MOST_COORDINATES:
            raise ConfigError(
                f"latent shape {shape} is out of range; expected {MOST_COORDINATES:,} coordinates at most"
            )
        check_positive(bound, "bound")
        if isinstance(prior, str):
            if prior not in ("normal", "uniform"):
                raise ConfigError(f"latent prior {prior!r} is unknown; expected 'normal' or 'uniform'")
            prior = Normal() if prior == "normal" else Uniform(bound)
        check_size(prior, math.prod(shape))
        geometry = geometry or ("sphere" if isinstance(prior, Sphere) else "flat")
        if geometry not in ("flat", "sphere"):
            raise ConfigError(f"latent geometry {geometry!r} is unknown; expected 'flat' or 'sphere'")
        for name, value in (("shape", shape), ("prior", prior), ("geometry", geometry)):
            object.__setattr__(self, name, value)

    @classmethod
    def of(cls, space: LatentSpaceLike) -> "LatentSpace":
        """The space itself, or one that asks an object of the user's own."""
        if isinstance(space, cls):
            return space
        return cls(shape=space.shape, prior=_PriorOf(space), geometry=space.geometry)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "LatentSpace":
        """Read what ``record`` wrote.

        Raises:
            ConfigError: the prior cannot be told from a record.
        """
        geometry = record.get("geometry", "flat")
        return cls(shape=tuple(record["shape"]), prior=prior_from_record(record), geometry=geometry)

    def record(self) -> dict[str, Any]:
        """What to write down, fit for JSON: ``shape``, ``prior``, ``bound``, ``geometry``, and what the prior tells."""
        told = record_of(self.prior)
        return {
            "shape": list(self.shape),
            "prior": told["prior"],
            "bound": told.get("bound", self.bound),
            "geometry": self.geometry,
            **told,
        }

    @property
    def bound(self) -> float:
        """Half the width of the uniform prior's support, in latent units; 1 for other priors."""
        return self.prior.bound if isinstance(self.prior, Uniform) else 1.0

    @property
    def description(self) -> str:
        """The prior in a few words."""
        return description_of(self.prior)

    @property
    def size(self) -> int:
        """d, the number of coordinates."""
        return math.prod(self.shape)

    @property
    def scale(self) -> float:
        """Standard deviation of one coordinate under the prior, in latent units."""
        return self.prior.scale(self.size)

    @settles
    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        """Draw n flat latents (n, d) from the prior, float32, on the CPU."""
        return self.prior.sample(n, self.size, rng)

    def contains(self, z: Tensor) -> Tensor:
        """Say which latents (n, d) lie in the prior's support: bool (n,), all True for the normal prior."""
        return self.prior.contains(z)

    def log_density(self, z: Tensor) -> Tensor | None:
        """Logarithm of the prior's density at latents (n, d): (n,); None where the prior has no density."""
        return log_density_of(self.prior, z)

    @property
    def largest_half_width(self) -> float:
        """Bound on the automatic half-width I of GB-RRT, in latent units.

        Four standard deviations of the normal prior; the width of a bounded support, which holds every other
        latent of the prior whatever the query. None (infinity) on a sphere, all of which the prior reaches.
        """
        return math.inf if self.geometry == "sphere" else self.prior.largest_half_width(self.size)


@dataclass(frozen=True)
class _PriorOf:
    """The prior of a latent space of the user's own."""

    space: LatentSpaceLike

    @property
    def description(self) -> str:
        return description_of(self.space)

    def sample(self, n: int, size: int, rng: torch.Generator) -> Tensor:
        return self.space.sample(n, rng)

    def contains(self, z: Tensor) -> Tensor:
        return self.space.contains(z)

    def log_density(self, z: Tensor) -> Tensor | None:
        return log_density_of(self.space, z)

    def scale(self, size: int) -> float:
        return self.space.scale

    def largest_half_width(self, size: int) -> float:
        return self.space.largest_half_width

    def record(self) -> dict[str, Any]:
        return {"prior": type(self.space).__name__}
