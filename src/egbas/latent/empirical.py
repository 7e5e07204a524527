# SPDX-License-Identifier: MIT
"""The Gaussian of a bank of latents."""

import hashlib
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from egbas.errors import ConfigError
from egbas.latent.normal import Normal
from egbas.latent.prior import FAR

_EPS = torch.finfo(torch.float64).eps


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
                f"the covariance of {m} latents in {d} dimensions is singular; "
                f"give a bank of more latents, or a shrinkage such as 0.1 (now {self.shrinkage})"
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
        return self.unwhiten(torch.randn(n, self.size, generator=rng, dtype=torch.float32)).float()

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
        return FAR * math.sqrt(float(self.covariance.diagonal().max()))

    def record(self) -> dict[str, Any]:
        """Its name, and what tells the bank; the bank itself is too large."""
        digest = hashlib.sha256(self.bank.double().contiguous().numpy().tobytes()).hexdigest()
        return {"prior": "empirical", "n": len(self.bank), "bank_sha256": digest, "shrinkage": self.shrinkage}


def ledoit_wolf(bank: Float[Tensor, "m d"]) -> float:
    """The shrinkage towards independent coordinates that has the least expected squared error, 0 to 1.

    Ledoit and Wolf 2004, "A well-conditioned estimator for large-dimensional covariance matrices", Lemma 3.3.
    """
    gaps = bank.double() - bank.double().mean(dim=0)
    m, d = gaps.shape
    covariance = gaps.T @ gaps / m
    mean = covariance.diagonal().mean()
    spread = (covariance.square().sum() - d * mean.square()) / d  # of the eigenvalues around their mean
    if not spread > 0:
        return 1.0
    # Mean over latents of ||x x' - S||^2 is that of ||x||^4, less ||S||^2.
    error = (gaps.square().sum(dim=1).square().mean() - covariance.square().sum()) / (m * d)
    return float((error / spread).clamp(0, 1))
