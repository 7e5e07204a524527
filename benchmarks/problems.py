# SPDX-License-Identifier: MIT
"""What is explored: the embedded DCGANs with the sets that BerOpt finds, and PGGAN-256 with random weights."""

import functools
import os
from dataclasses import dataclass

import torch
from torch import Tensor, nn

import egbas
from egbas.beropt import BerOptConfig, optimize
from egbas.geometry import Geometry, choose_geometry, geometry_around
from egbas.latent import LatentSpace
from egbas.network import Network
from egbas.region import Precisions, SupportingRegion
from egbas.samplers.gbrrt import GbRrtConfig, Growth, Tree, grow, with_automatic
from egbas.zoo.pggan import PgganConfig, PgganGenerator

DCGANS = [(name, layer) for name in ("dcgan-mnist-2d", "dcgan-mnist") for layer in (1, 2, 3, 4)]
PGGANS = [("PGGAN-256", layer) for layer in (2, 4, 6)]
CHANNELS = (512, 512, 512, 512, 256, 128, 64)  # of the official networks, up to 256 pixels
KEPT = 0.1  # share of PGGAN-256's active units that stand for a set; BerOpt takes minutes there


@dataclass(frozen=True, kw_only=True, eq=False)
class Problem:
    """A region to explore.

    Attributes:
        model: name of the network.
        layer: number of the layer.
        query: z0.
        region: of the query's set.
        config: settings of GB-RRT, step size and half-width among them.
        geometry: the space of the latents.
        seed: of the query and the targets.
    """

    model: str
    layer: int
    query: Tensor
    region: SupportingRegion
    config: GbRrtConfig
    geometry: Geometry
    seed: int

    def grow(self) -> Tree:
        """Grow the tree."""
        return grow(self.query, self.region, self.config, rng=self.targets(), geometry=self.geometry)

    def growth(self) -> Growth:
        """The tree at its start."""
        return Growth(self.query, self.config, rng=self.targets(), geometry=self.geometry)

    def targets(self) -> torch.Generator:
        """The random numbers of the targets."""
        return torch.Generator().manual_seed(self.seed + 1)

    @property
    def key(self) -> dict[str, str | int]:
        """What tells a row's problem."""
        return {"model": self.model, "layer": self.layer}


def set_threads(model: str) -> int:
    """One thread for the small networks, all for the large one, as the command line does."""
    torch.set_num_threads(1 if model.startswith("dcgan") else os.cpu_count() or 1)
    return torch.get_num_threads()


@functools.cache
def generator(model: str, device: str) -> tuple[nn.Module, LatentSpace]:
    """A generator and its latent space."""
    if model.startswith("dcgan"):
        loaded = egbas.load_model(model)
        return loaded.generator.to(device), loaded.latent
    side = int(model.removeprefix("PGGAN-"))
    channels = CHANNELS[: (side // 4).bit_length()]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = PgganGenerator(PgganConfig(latent_size=512, channels=channels, image_channels=3))
    return network.eval().requires_grad_(False).to(device), LatentSpace(shape=(512,))


@functools.cache
def _precisions(model: str, layer: int, device: str) -> tuple[Network, Precisions, LatentSpace]:
    module, latent = generator(model, device)
    network = Network(module, latent.shape)
    return network, Precisions.of(network, network.resolve(layer)), choose_geometry(latent, network, "auto")


@functools.cache
def problem(model: str, layer: int, iterations: int, device: str = "cpu", seed: int = 0) -> Problem:
    """The region of a layer around the query of a seed."""
    _, precisions, latent = _precisions(model, layer, device)
    query = latent.sample(1, rng=torch.Generator().manual_seed(seed))[0]
    units, signs = _supporting_set(model, layer, device, seed)
    space = geometry_around(latent, query)
    region = SupportingRegion.of(precisions, query, units, signs, reach=space.reach(latent.largest_half_width))
    config = GbRrtConfig(iterations=iterations)
    config = with_automatic(config, query, region, largest_half_width=latent.largest_half_width, geometry=space)
    return Problem(model=model, layer=layer, query=query, region=region, config=config, geometry=space, seed=seed)


@functools.cache
def _supporting_set(model: str, layer: int, device: str, seed: int) -> tuple[Tensor, Tensor]:
    _, precisions, latent = _precisions(model, layer, device)
    query = latent.sample(1, rng=torch.Generator().manual_seed(seed))[0]
    if model.startswith("dcgan"):
        result = optimize(precisions.split.at(query), BerOptConfig(), rng=torch.Generator().manual_seed(seed))
        return result.units, result.signs
    h = precisions.split.head(query[None])[0].cpu()
    units = (
        h.argsort(descending=True)[: round(KEPT * int((h > 0).sum()))].sort().values
    )  # BerOpt, too, keeps large ones
    return units, h[units].sign().to(torch.int8)
