# SPDX-License-Identifier: MIT
"""Products of priors, block by block; and the records of priors, which are records of blocks, too."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from egbas.errors import ConfigError
from egbas.latent.frozen import Frozen
from egbas.latent.normal import Normal
from egbas.latent.prior import Prior, check_size, description_of, log_density_of
from egbas.latent.sphere import Sphere
from egbas.latent.uniform import Uniform
from egbas.machine.settings import settles


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
            check_size(prior, size)
        if all(isinstance(prior, Frozen) for _, prior in self.parts):
            raise ConfigError("every coordinate of the product is frozen; expected at least one block that varies")

    @property
    def size(self) -> int:
        """How many coordinates there are."""
        return sum(self._sizes)

    @property
    def description(self) -> str:
        """Of its blocks."""
        return ", ".join(f"{size} {description_of(prior)}" for size, prior in self.parts)

    @settles
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
        terms = [log_density_of(prior, block) for (_, prior), block in blocks]
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
        return {"prior": "product", "parts": [{"size": size, **record_of(prior)} for size, prior in self.parts]}

    @property
    def _sizes(self) -> list[int]:
        return [size for size, _ in self.parts]


_TOLD_IN_FULL = (Normal, Uniform, Sphere, Frozen, Product)  # by their records


def record_of(prior: Prior) -> dict[str, Any]:
    """What a prior tells of itself, under a name that is its own."""
    told = prior.record()
    if isinstance(prior, _TOLD_IN_FULL) and type(prior) not in _TOLD_IN_FULL:
        # The user's subclass, which may draw otherwise.
        return {**told, "prior": type(prior).__name__}
    return {"prior": type(prior).__name__, **told}


def prior_from_record(record: Mapping[str, Any]) -> Prior:
    """The prior that a record tells.

    Raises:
        ConfigError: it tells none in full.
    """
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
            return Product(tuple((part["size"], prior_from_record(part)) for part in record["parts"]))
        case name:
            raise ConfigError(
                f"the latent prior {str(name)!r} cannot be told from its record; pass the latent space as latent="
            )
