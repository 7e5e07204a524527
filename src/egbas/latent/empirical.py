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
from egbas.machine.settings import settles

_EPS = torch.finfo(torch.float64).eps
_FOLDS = 3
_GRID = (1e-4, 1e-3, 0.003, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


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

    @settles
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

    @settles
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


@settles
def held_out_shrinkage(bank: Float[Tensor, "m d"]) -> float:
    """The shrinkage under which latents that were left out of a bank are most likely, of a grid from 0 to 1.

    The shrinkage of Ledoit and Wolf (2004) has the least squared error of the covariance, which small variances hardly
    matter to; latents that are whitened are divided by them. On 2,048-dimensional latents of photographs theirs gave
    those that were left out twice the length that draws have.

    Args:
        bank: three latents at least; each third is left out once.

    Raises:
        ConfigError: there are fewer, or all are the same.
    """
    if len(bank) < _FOLDS or not bool((bank != bank[0]).any()):
        raise ConfigError(
            f"got a bank of {len(bank)} latents, or of equal ones; its shrinkage needs {_FOLDS} that differ"
        )
    # At random, for a bank may have an order; the same each time.
    rows = torch.randperm(len(bank), generator=torch.Generator().manual_seed(0)) % _FOLDS
    total = torch.zeros(len(_GRID), dtype=torch.float64)
    for fold in range(_FOLDS):
        fit, left_out = bank[rows != fold].double(), bank[rows == fold].double()
        centre = fit.mean(dim=0)
        gaps = fit - centre
        variances, axes = torch.linalg.eigh(gaps.T @ gaps / len(gaps))
        squares = ((left_out - centre) @ axes).square().sum(dim=0)
        mean = variances.mean()
        for place, shrinkage in enumerate(_GRID):
            shrunk = torch.lerp(variances.clamp(min=0), mean.expand_as(variances), shrinkage)
            total[place] -= (squares / shrunk).sum() + len(left_out) * shrunk.log().sum()
    return _GRID[int(total.argmax())]
