# SPDX-License-Identifier: MIT
"""Latent spaces Z: the prior that queries come from, its support, and the shape that the generator takes.

A prior is whatever keeps the contract ``Prior``; here are the normal and the uniform one, a sphere, products with
frozen coordinates, and the Gaussian of a bank of latents.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from egbas.errors import ConfigError

__all__ = ["Empirical", "Frozen", "LatentSpace", "LatentSpaceLike", "Normal", "Prior", "Product", "Sphere", "Uniform"]

GeometryName = Literal["flat", "sphere"]

_FAR = 4.0  # standard deviations; hardly any coordinate of a Gaussian lies farther out
_EPS = torch.finfo(torch.float64).eps
_ON_SPHERE = 1e-4  # relative; more than the rounding of float32 in any dimension


@runtime_checkable
class Prior(Protocol):
    """A distribution of flat latents.

    A prior may also have ``log_density(z)``, (n, d) to (n,), with respect to the coordinates that vary; None where
    there is none; and ``description``, a few words.
    """

    def sample(self, n: int, size: int, rng: torch.Generator) -> Tensor:
        """Draw n latents (n, size), float32, on the CPU; the same state of ``rng`` gives the same ones."""
        ...

    def contains(self, z: Tensor) -> Tensor:
        """Say which latents (n, d) lie in the support: bool (n,)."""
        ...

    def scale(self, size: int) -> float:
        """Standard deviation of one coordinate of ``size``, in latent units; root mean square where they differ."""
        ...

    def largest_half_width(self, size: int) -> float:
        """Half-width of a box around any latent of the prior that holds nearly every other, in latent units."""
        ...

    def record(self) -> dict[str, Any]:
        """What to write down, fit for JSON; its ``prior`` is the prior's name."""
        ...


@dataclass(frozen=True)
class Normal:
    """N(0, 1) in every coordinate."""

    description = "normal"

    def sample(self, n: int, size: int, rng: torch.Generator) -> Float[Tensor, "n d"]:
        """Draw latents."""
        return torch.randn(n, size, generator=rng)

    def contains(self, z: Float[Tensor, "n d"]) -> Bool[Tensor, " n"]:
        """All are in the support."""
        return torch.ones(len(z), dtype=torch.bool, device=z.device)

    def log_density(self, z: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        """Its logarithm, in float64."""
        return -0.5 * (z.double().square().sum(dim=1) + z.shape[1] * math.log(2 * math.pi))

    def scale(self, size: int) -> float:
        """One."""
        return 1.0

    def largest_half_width(self, size: int) -> float:
        """Four standard deviations."""
        return _FAR

    def record(self) -> dict[str, Any]:
        """Its name."""
        return {"prior": "normal"}


@dataclass(frozen=True)
class Uniform:
    """U(-bound, bound) in every coordinate.

    Attributes:
        bound: half the width of the support, in latent units. > 0.
    """

    bound: float = 1.0

    def __post_init__(self) -> None:
        """Check the bound."""
        _check_positive(self.bound, "bound")

    @property
    def description(self) -> str:
        """With its support."""
        return f"uniform on -{self.bound:g}..{self.bound:g}"

    def sample(self, n: int, size: int, rng: torch.Generator) -> Float[Tensor, "n d"]:
        """Draw latents."""
        return self.bound * (2 * torch.rand(n, size, generator=rng) - 1)

    def contains(self, z: Float[Tensor, "n d"]) -> Bool[Tensor, " n"]:
        """Those with every coordinate within the bound."""
        return (z.abs() <= self.bound).all(dim=1)

    def log_density(self, z: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        """Its logarithm, in float64; -inf outside the support."""
        inside = z.new_full((len(z),), -z.shape[1] * math.log(2 * self.bound), dtype=torch.float64)
        return inside.masked_fill(~self.contains(z), -math.inf)

    def scale(self, size: int) -> float:
        """That of a uniform number, bound / sqrt(3)."""
        return self.bound / math.sqrt(3)

    def largest_half_width(self, size: int) -> float:
        """The width of the support."""
        return 2 * self.bound

    def record(self) -> dict[str, Any]:
        """Its name and bound."""
        return {"prior": "uniform", "bound": self.bound}


@dataclass(frozen=True)
class Sphere:
    """Uniform on a sphere around the origin. It has no density: its support has no volume.

    Attributes:
        radius: in latent units; None: sqrt(d), about the length of latents of N(0, 1). > 0.
    """

    radius: float | None = None

    def __post_init__(self) -> None:
        """Check the radius."""
        if self.radius is not None:
            _check_positive(self.radius, "radius")

    @property
    def description(self) -> str:
        """With its radius."""
        return f"sphere of radius {'sqrt(d)' if self.radius is None else format(self.radius, 'g')}"

    def sample(self, n: int, size: int, rng: torch.Generator) -> Float[Tensor, "n d"]:
        """Draw latents."""
        return self._radius(size) * torch.nn.functional.normalize(torch.randn(n, size, generator=rng))

    def contains(self, z: Float[Tensor, "n d"]) -> Bool[Tensor, " n"]:
        """Those of the radius's length, up to rounding."""
        radius = self._radius(z.shape[1])
        return (z.double().norm(dim=1) - radius).abs() <= _ON_SPHERE * radius

    def scale(self, size: int) -> float:
        """The radius / sqrt(d)."""
        return self._radius(size) / math.sqrt(size)

    def largest_half_width(self, size: int) -> float:
        """The diameter."""
        return 2 * self._radius(size)

    def record(self) -> dict[str, Any]:
        """Its name and radius."""
        return {"prior": "sphere", "radius": self.radius}

    def _radius(self, size: int) -> float:
        return math.sqrt(size) if self.radius is None else self.radius


@dataclass(frozen=True)
class Frozen:
    """Coordinates that never vary: one fixed latent, a part of a ``Product``.

    Attributes:
        values: (size,) of the coordinates.
    """

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        """Check the values."""
        object.__setattr__(self, "values", tuple(float(value) for value in self.values))
        if not self.values or not all(map(math.isfinite, self.values)):
            raise ConfigError(f"frozen coordinates {self.values} are not a list of finite numbers")

    @property
    def size(self) -> int:
        """How many coordinates there are."""
        return len(self.values)

    @property
    def description(self) -> str:
        """That they are frozen."""
        return "frozen"

    def sample(self, n: int, size: int, rng: torch.Generator) -> Float[Tensor, "n d"]:
        """The same latent n times; nothing is drawn."""
        return torch.tensor(self.values).repeat(n, 1)

    def contains(self, z: Float[Tensor, "n d"]) -> Bool[Tensor, " n"]:
        """Those that are it, in their precision."""
        return (z == torch.tensor(self.values, dtype=torch.float64).to(z)).all(dim=1)

    def log_density(self, z: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        """No coordinate varies: 0, or -inf for other latents."""
        return z.new_zeros(len(z), dtype=torch.float64).masked_fill(~self.contains(z), -math.inf)

    def scale(self, size: int) -> float:
        """Zero."""
        return 0.0

    def largest_half_width(self, size: int) -> float:
        """Zero."""
        return 0.0

    def record(self) -> dict[str, Any]:
        """Its name and values."""
        return {"prior": "frozen", "values": list(self.values)}


@dataclass(frozen=True)
class Product:
    """Blocks of coordinates, one after the other, each with a prior of its own, independent of the others.

    Attributes:
        parts: for each block how many coordinates it has, and its prior; ``Frozen`` where they are fixed.

    Example:
        >>> import torch
        >>> condition = Product(((3, Normal()), (2, Frozen((0.0, 1.0)))))
        >>> condition.sample(4, 5, torch.Generator().manual_seed(0))[:, 3:].unique(dim=0)
        tensor([[0., 1.]])
    """

    parts: tuple[tuple[int, Prior], ...]

    def __post_init__(self) -> None:
        """Check the blocks."""
        object.__setattr__(self, "parts", tuple((size, prior) for size, prior in self.parts))
        if not self.parts or any(size < 1 for size, _ in self.parts):
            raise ConfigError("a product needs blocks of at least one coordinate each, such as ((60, Normal()),)")
        for size, prior in self.parts:
            _check_size(prior, size)
        if all(isinstance(prior, Frozen) for _, prior in self.parts):
            raise ConfigError("every coordinate of the product is frozen; expected at least one block that varies")

    @property
    def size(self) -> int:
        """How many coordinates there are."""
        return sum(self._sizes)

    @property
    def description(self) -> str:
        """Of its blocks."""
        return ", ".join(f"{size} {_description(prior)}" for size, prior in self.parts)

    def sample(self, n: int, size: int, rng: torch.Generator) -> Float[Tensor, "n d"]:
        """Draw latents, block by block."""
        return torch.cat([prior.sample(n, size, rng) for size, prior in self.parts], dim=1)

    def contains(self, z: Float[Tensor, "n d"]) -> Bool[Tensor, " n"]:
        """Those whose every block lies in its support."""
        blocks = zip(self.parts, z.split(self._sizes, dim=1), strict=True)
        return torch.stack([prior.contains(block) for (_, prior), block in blocks]).all(dim=0)

    def log_density(self, z: Float[Tensor, "n d"]) -> Float[Tensor, " n"] | None:
        """That of the coordinates that vary; None where a block has none."""
        blocks = zip(self.parts, z.split(self._sizes, dim=1), strict=True)
        terms = [_log_density(prior, block) for (_, prior), block in blocks]
        known = [term for term in terms if term is not None]
        return torch.stack(known).sum(dim=0) if len(known) == len(terms) else None

    def scale(self, size: int) -> float:
        """The root mean square over the coordinates that vary."""
        varying = [(m, prior.scale(m)) for m, prior in self.parts if not isinstance(prior, Frozen)]
        return math.sqrt(sum(m * scale**2 for m, scale in varying) / sum(m for m, _ in varying))

    def largest_half_width(self, size: int) -> float:
        """The largest of any block."""
        return max(prior.largest_half_width(m) for m, prior in self.parts)

    def record(self) -> dict[str, Any]:
        """Its name and blocks."""
        return {"prior": "product", "parts": [{"size": size, **_record(prior)} for size, prior in self.parts]}

    @property
    def _sizes(self) -> list[int]:
        return [size for size, _ in self.parts]


@dataclass(frozen=True, eq=False)
class Empirical:
    """The Gaussian with the mean and the covariance of a bank of latents, for latents whose prior nobody wrote down.

    A Gaussian and not the bank's own latents made fuzzy (a smoothed bootstrap): its moments are the bank's, its
    density is exact in any number of dimensions, and ``whiten`` takes it to N(0, 1), for which all else is made.

    Attributes:
        bank: (m, d) latents, at least two.
        shrinkage: 0..1, how far the covariance goes towards that of independent coordinates of the same variance.
            A bank of d latents or fewer needs some: its covariance alone has no density.
    """

    bank: Float[Tensor, "m d"]
    shrinkage: float = 0.0

    def __post_init__(self) -> None:
        """Check the bank and keep a copy."""
        if self.bank.ndim != 2 or len(self.bank) < 2 or not bool(torch.isfinite(self.bank).all()):
            raise ConfigError(
                f"got a bank of latents of shape {tuple(self.bank.shape)}; expected (m, d), m at least 2, all finite"
            )
        if not 0 <= self.shrinkage <= 1:
            raise ConfigError(f"the shrinkage of the bank's covariance is {self.shrinkage}; it must be from 0 to 1")
        object.__setattr__(self, "bank", self.bank.detach().to("cpu", copy=True))
        variances, (m, d) = torch.linalg.eigvalsh(self.covariance), self.bank.shape
        if not variances[0] > d * _EPS * variances[-1]:
            raise ConfigError(
                f"the covariance of {m} latents in {d} dimensions is singular; give a bank of more latents, or a "
                f"shrinkage such as 0.1 (now {self.shrinkage})"
            )

    @property
    def size(self) -> int:
        """How many coordinates there are."""
        return self.bank.shape[1]

    @property
    def description(self) -> str:
        """With the bank's size."""
        return f"Gaussian of a bank of {len(self.bank)} latents"

    @cached_property
    def mean(self) -> Float[Tensor, " d"]:
        """Of the bank, in float64."""
        return self.bank.double().mean(dim=0)

    @cached_property
    def covariance(self) -> Float[Tensor, "d d"]:
        """Of the bank, shrunk, in float64."""
        covariance = torch.cov(self.bank.double().T).reshape(self.size, self.size)
        independent = covariance.diagonal().mean() * torch.eye(self.size, dtype=torch.float64)
        return torch.lerp(covariance, independent, self.shrinkage)

    @cached_property
    def factor(self) -> Float[Tensor, "d d"]:
        """The Cholesky factor L of the covariance, L L' = C: latents are mean + L e for e of N(0, 1)."""
        return torch.linalg.cholesky(self.covariance)

    def whiten(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """The e of z = mean + L e: of N(0, 1) where z are of this prior; in float64."""
        gaps = z.double() - self.mean.to(z.device)
        return torch.linalg.solve_triangular(self.factor.to(z.device), gaps.T, upper=False).T

    def unwhiten(self, e: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """The mean + L e, in float64."""
        return self.mean.to(e.device) + e.double() @ self.factor.to(e.device).T

    def sample(self, n: int, size: int, rng: torch.Generator) -> Float[Tensor, "n d"]:
        """Draw latents."""
        return self.unwhiten(torch.randn(n, self.size, generator=rng)).float()

    def contains(self, z: Float[Tensor, "n d"]) -> Bool[Tensor, " n"]:
        """All are in the support."""
        return torch.ones(len(z), dtype=torch.bool, device=z.device)

    def log_density(self, z: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        """Its logarithm, in float64."""
        return Normal().log_density(self.whiten(z)) - float(self.factor.diagonal().log().sum())

    def scale(self, size: int) -> float:
        """The root mean square over the coordinates."""
        return math.sqrt(float(self.covariance.diagonal().mean()))

    def largest_half_width(self, size: int) -> float:
        """Four standard deviations of the coordinate that varies most."""
        return _FAR * math.sqrt(float(self.covariance.diagonal().max()))

    def record(self) -> dict[str, Any]:
        """Its name, and what tells the bank; the bank itself is too large."""
        digest = hashlib.sha256(self.bank.double().contiguous().numpy().tobytes()).hexdigest()
        return {"prior": "empirical", "n": len(self.bank), "bank_sha256": digest, "shrinkage": self.shrinkage}


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
        _check_positive(bound, "bound")
        if isinstance(prior, str):
            if prior not in ("normal", "uniform"):
                raise ConfigError(f"latent prior {prior!r} is unknown; expected 'normal' or 'uniform'")
            prior = Normal() if prior == "normal" else Uniform(bound)
        _check_size(prior, math.prod(shape))
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
        return cls(shape=tuple(record["shape"]), prior=_prior_from(record), geometry=geometry)

    def record(self) -> dict[str, Any]:
        """What to write down, fit for JSON: ``shape``, ``prior``, ``bound``, ``geometry``, and what the prior tells."""
        told = _record(self.prior)
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
        return _description(self.prior)

    @property
    def size(self) -> int:
        """d, the number of coordinates."""
        return math.prod(self.shape)

    @property
    def scale(self) -> float:
        """Standard deviation of one coordinate under the prior, in latent units."""
        return self.prior.scale(self.size)

    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        """Draw n flat latents (n, d) from the prior, float32, on the CPU."""
        return self.prior.sample(n, self.size, rng)

    def contains(self, z: Tensor) -> Tensor:
        """Say which latents (n, d) lie in the prior's support: bool (n,), all True for the normal prior."""
        return self.prior.contains(z)

    def log_density(self, z: Tensor) -> Tensor | None:
        """Logarithm of the prior's density at latents (n, d): (n,); None where the prior has no density."""
        return _log_density(self.prior, z)

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
        return _description(self.space)

    def sample(self, n: int, size: int, rng: torch.Generator) -> Tensor:
        return self.space.sample(n, rng)

    def contains(self, z: Tensor) -> Tensor:
        return self.space.contains(z)

    def log_density(self, z: Tensor) -> Tensor | None:
        return _log_density(self.space, z)

    def scale(self, size: int) -> float:
        return self.space.scale

    def largest_half_width(self, size: int) -> float:
        return self.space.largest_half_width

    def record(self) -> dict[str, Any]:
        return {"prior": type(self.space).__name__}


_OWN = (Normal, Uniform, Sphere, Frozen, Product)  # those that a record tells in full


def _record(prior: Prior) -> dict[str, Any]:
    """What a prior tells of itself, under a name that is its own."""
    told = prior.record()
    if isinstance(prior, _OWN) and type(prior) not in _OWN:  # the user's subclass, which may draw otherwise
        return {**told, "prior": type(prior).__name__}
    return {"prior": type(prior).__name__, **told}


def _prior_from(record: Mapping[str, Any]) -> Prior:
    match record.get("prior", "normal"):
        case "normal":
            return Normal()
        case "uniform":
            return Uniform(record.get("bound", 1.0))
        case "sphere":
            return Sphere(record["radius"])
        case "frozen":
            return Frozen(tuple(record["values"]))
        case "product":
            return Product(tuple((part["size"], _prior_from(part)) for part in record["parts"]))
        case name:
            raise ConfigError(
                f"the latent prior {str(name)!r} cannot be told from its record; pass the latent space as latent="
            )


def _log_density(prior: object, z: Tensor) -> Tensor | None:
    log_density = getattr(prior, "log_density", None)
    return None if log_density is None else log_density(z)


def _description(prior: object) -> str:
    return str(getattr(prior, "description", type(prior).__name__))


def _check_size(prior: Prior, size: int) -> None:
    expected = getattr(prior, "size", None)
    if expected is not None and expected != size:
        raise ConfigError(f"the prior ({_description(prior)}) is one of {expected} coordinates; got {size} of them")


def _check_positive(value: float, name: str) -> None:
    if not (value > 0 and math.isfinite(value)):
        raise ConfigError(f"latent {name} {value} is not a positive number")
