# SPDX-License-Identifier: MIT
"""Small explorations for the tests of what is made of them: figures, reports, run directories."""

import functools

import torch
from torch import Tensor, nn

from egbas.beropt import BerOptConfig
from egbas.cli.selftest import small_network
from egbas.exploration.explore import explore
from egbas.exploration.result import Exploration
from egbas.latent import LatentSpace
from egbas.samplers.gbrrt import GbRrtConfig
from tests.problems import HALVES_QUERY, LEFT, HalvesNet, ScaleInvariantNet

QUICK = BerOptConfig(sparsity=0.5, anneal_steps=60, max_steps=120)


@functools.cache
def plane_run() -> Exploration:
    """An exploration of a 2-D latent space, images (1, 4, 4); one for all tests, which leave it as it is."""
    latent = LatentSpace(shape=(2,), prior="uniform")
    return _run(small_network(), torch.tensor([0.3, -0.2]), latent)


@functools.cache
def colour_run() -> Exploration:
    """An exploration of a 5-D latent space through a convolution, images (3, 8, 8)."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(
            nn.Linear(5, 4 * 16),
            nn.Unflatten(1, (4, 4, 4)),
            nn.ReLU(),
            nn.ConvTranspose2d(4, 3, 2, stride=2),
            nn.Tanh(),
        )
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(3)  # far from zero, so that no image is nearly black
    return _run(network.eval(), torch.tensor([0.5, -0.4, 0.3, 1.0, -1.0]), LatentSpace(shape=(5,)))


@functools.cache
def exact_run() -> Exploration:
    """The exploration of ``plane_run`` with exact samples beside the tree."""
    latent = LatentSpace(shape=(2,), prior="uniform")
    return _run(small_network(), torch.tensor([0.3, -0.2]), latent, samples=50)


@functools.cache
def sphere_run() -> Exploration:
    """An exploration of the sphere in a 5-D latent space, images (1, 4, 4); the generator says that it is one."""
    return _run(ScaleInvariantNet(5), torch.tensor([0.5, -0.4, 0.3, 1.0, -1.0]), LatentSpace(shape=(5,)))


def _run(network: nn.Module, z0: Tensor, latent: LatentSpace, samples: int = 0) -> Exploration:
    return explore(
        network,
        z0,
        1,
        rng=3,
        latent=latent,
        beropt=QUICK,
        gbrrt=GbRrtConfig(iterations=200),
        samples=samples,
        model_name="small <net>",
    )


@functools.cache
def focused_run() -> Exploration:
    """An exploration at a level, of the left half of images (1, 2, 4), with a judge and features of its own."""
    return explore(
        HalvesNet(),
        HALVES_QUERY,
        1,
        rng=3,
        level=5,
        focus=LEFT,
        judges=[lambda images: {"corner": images[:, 0, 0, 0]}],
        features=lambda images: images[..., :2].flatten(1),
        gbrrt=GbRrtConfig(iterations=60),
        samples=20,
        max_evaluations=3000,
    )


@functools.cache
def repeated_run() -> Exploration:
    """Three seeds of BerOpt with exact samples, images (1, 2, 4)."""
    return explore(
        HalvesNet(),
        HALVES_QUERY,
        1,
        rng=3,
        level=4,
        samplers=["prior"],
        samples=20,
        max_evaluations=3000,
        repeats=3,
    )


@functools.cache
def deeper_run() -> Exploration:
    """A tree at the second non-linearity: the layer is not affine in the latent."""
    with torch.random.fork_rng():
        torch.manual_seed(2)
        network = nn.Sequential(
            nn.Linear(2, 12), nn.ReLU(), nn.Linear(12, 12), nn.ReLU(), nn.Linear(12, 16), nn.Unflatten(1, (1, 4, 4))
        ).eval()
    return explore(
        network, torch.tensor([0.3, -0.2]), 2, rng=3, beropt=QUICK, gbrrt=GbRrtConfig(iterations=100), samples=0
    )
