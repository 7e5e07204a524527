# SPDX-License-Identifier: MIT
"""What an exploration starts from, checked at the door: queries, seeds, the latent space."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from egbas.errors import ConfigError, ShapeError
from egbas.latent import LatentSpace
from egbas.network import Network
from egbas.network.given import Given


def as_query(z0: Tensor, latent: LatentSpace, network: Network) -> Float[Tensor, " d"]:
    """Check a query and flatten it, in the dtype that the tree will have, on the CPU where that grows.

    Raises:
        ShapeError: it has the wrong size or values that are not finite.
    """
    if not isinstance(z0, Tensor) or z0.numel() != latent.size:
        got = f"shape {tuple(z0.shape)}" if isinstance(z0, Tensor) else type(z0).__name__
        raise ShapeError(
            f"got a query of {got}, expected a tensor of {latent.size} values for latent shape {latent.shape}"
        )
    if not z0.is_floating_point() or not bool(torch.isfinite(z0).all()):
        raise ShapeError("the query must hold finite floating-point numbers; it holds NaN, infinity or another type")
    # Geometry in half precision would not even keep the step size: float32 at least.
    dtype = torch.promote_types(network.dtype, torch.float32)
    return z0.detach().clone().reshape(-1).to(device="cpu", dtype=dtype)


def seed_of(rng: torch.Generator | int) -> int:
    """The seed of a run: the one given, or one that is drawn.

    Raises:
        ConfigError: it is neither a generator nor a seed.
    """
    if isinstance(rng, torch.Generator):
        return int(torch.randint(2**62, (), generator=rng))
    if isinstance(rng, bool) or not isinstance(rng, int) or not 0 <= rng < 2**63:
        raise ConfigError(f"got rng={rng!r}; expected a CPU torch.Generator, or a seed from 0 to 2**63 - 1")
    return rng


def seeds_of(rng: torch.Generator | Sequence[int], n: int) -> list[int]:
    """The seeds of ``n`` runs.

    Raises:
        ConfigError: there are no runs, or not one seed for each.
    """
    if not n:
        raise ConfigError("got no queries; expected at least one")
    if isinstance(rng, torch.Generator):
        return [seed_of(rng) for _ in range(n)]
    if not isinstance(rng, Sequence) or len(rng) != n:
        raise ConfigError(f"got rng={rng!r} for {n} queries; expected a CPU torch.Generator, or one seed for each")
    return [seed_of(seed) for seed in rng]


def latent_of(generator: Given, z0: Tensor) -> LatentSpace:
    """The latent space that a generator carries as its attribute ``latent``, or else N(0, 1) of the query's shape.

    Raises:
        ShapeError: the query is no tensor.
    """
    carried = getattr(generator, "latent", None)
    if isinstance(carried, LatentSpace):
        return carried
    if not isinstance(z0, Tensor):
        raise ShapeError(f"got a query of {type(z0).__name__}; expected a tensor, such as torch.randn(64)")
    return LatentSpace(shape=tuple(z0.shape))


def name_of(generator: nn.Module) -> str:
    """The zoo's name of a generator, or that of its class."""
    carried = getattr(generator, "zoo_name", None)
    return carried if isinstance(carried, str) else type(generator).__name__
