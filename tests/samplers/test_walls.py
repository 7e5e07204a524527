# SPDX-License-Identifier: MIT
import torch

from egbas.network import Network
from egbas.region import Precisions, SupportingRegion
from egbas.region.stem_constraints import StemConstraints
from egbas.samplers.target import Gaussian, UniformBox, UniformSphere
from egbas.samplers.walls import BoxWalls, RegionWalls, SphereWalls, StemWalls, walls_of
from egbas.zoo.models import load_model
from tests.samplers.curved_forms import Told, constraints, orthant

Z = torch.tensor([[1.0, 2.0], [-1.0, 2.0], [-3.0, -4.0]], dtype=torch.float64)
WALLS = RegionWalls(Told(orthant), constraints(orthant, 2))


def test_gradients_are_those_of_the_squared_violations() -> None:
    inside, gradients = WALLS.judge(Z)
    assert inside.tolist() == [True, False, False]
    assert gradients.tolist() == [[1.0, 0.0], [3.0, 4.0]]


def test_a_box_is_a_wall_and_the_region_is_not_asked_beyond() -> None:
    region = Told(orthant)
    box = BoxWalls(RegionWalls(region, constraints(orthant, 2)), -2 * torch.ones(2), 2 * torch.ones(2))
    inside, gradients = box.judge(torch.cat([Z, torch.tensor([[0.5, 2.5]])]))
    assert inside.tolist() == [True, False, False, False]
    assert region.n_asked == 2
    assert gradients[0].tolist() == [1.0, 0.0]
    assert bool((gradients[1] > 0).all())
    assert gradients[2, 1] < 0


def test_a_box_that_holds_none_of_the_latents() -> None:
    box = BoxWalls(WALLS, torch.zeros(2), torch.full((2,), 0.1))
    inside, gradients = box.judge(Z)
    assert not inside.any()
    assert gradients.shape == (3, 2)


def test_on_a_sphere_gradients_lie_along_it() -> None:
    inside, gradients = SphereWalls(WALLS, 5.0).judge(Z)
    assert inside.tolist() == [True, False, False]
    torch.testing.assert_close((gradients * Z[1:]).sum(dim=1), torch.zeros(2, dtype=torch.float64), atol=1e-12, rtol=0)


def test_walls_follow_the_target() -> None:
    region, normals = Told(orthant), constraints(orthant, 2)
    assert isinstance(walls_of(region, normals, Gaussian(2)), RegionWalls)
    assert isinstance(walls_of(region, normals, UniformBox(torch.zeros(2), torch.ones(2))), BoxWalls)
    assert isinstance(walls_of(region, normals, UniformSphere(2, 1.0)), SphereWalls)


def test_a_stem_decides_as_the_region_does() -> None:
    model = load_model("dcgan-mnist-2d")
    network = Network(model.generator, model.latent.shape)
    precisions = Precisions.of(network, network.resolve(3))
    h = precisions.split.head(torch.tensor([[0.3, -0.2]]))[0]
    units = h.abs().topk(40).indices
    region = SupportingRegion.of(
        precisions, torch.tensor([0.3, -0.2]), units, h[units].sign().to(torch.int8), reach=1.0
    )
    rng = torch.Generator().manual_seed(0)
    stem = StemConstraints.of(region, model.latent.sample(64, rng))
    assert stem is not None
    z = model.latent.sample(500, rng)
    expected, gradients = RegionWalls(region, stem).judge(z)
    assert 20 < int(expected.sum()) < 480
    inside, found = StemWalls(region, stem).judge(z)
    assert torch.equal(inside, expected)
    torch.testing.assert_close(found, gradients, rtol=1e-3, atol=1e-4)

    # Where the rounding error is said to be large, the region is asked.
    unsure = StemConstraints(**(vars(stem) | {"tolerance": torch.full_like(stem.tolerance, 1e9)}))
    inside, found = StemWalls(region, unsure).judge(z)
    assert torch.equal(inside, expected)
    torch.testing.assert_close(found, gradients, rtol=1e-3, atol=1e-4)
