# SPDX-License-Identifier: MIT
import math

import numpy as np
import pytest
import torch
from torch import nn

import egbas
from egbas.errors import ConfigError, NetworkError, ShapeError
from egbas.latent import LatentSpace
from egbas.region import DecisionRegion, Intersection, certify, decision_of, supporting_of
from egbas.samplers.mass import mass_of
from tests.problems import linear
from tests.regions import Box

PLANE = LatentSpace(shape=(2,))
THIRDS = [[math.cos(angle), math.sin(angle)] for angle in (0.0, 2 * math.pi / 3, 4 * math.pi / 3)]


def thirds() -> nn.Module:
    """Three classes, each a third of the plane around a direction."""
    return nn.Sequential(linear(THIRDS))


def draws(n: int = 500) -> torch.Tensor:
    return PLANE.sample(n, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("target", [0, 1, 2])
def test_a_third_of_the_plane(target: int) -> None:
    region = DecisionRegion(thirds(), target, latent=PLANE)
    z = draws()
    logits = z.double() @ torch.tensor(THIRDS).double().T
    is_class = logits.argmax(dim=1) == target
    assert torch.equal(region.contains(z), is_class)
    others = [j for j in range(3) if j != target]
    leads = logits[:, [target]] - logits[:, others]
    assert torch.allclose(region.leads(z), leads, atol=1e-6) and region.others.tolist() == others
    assert torch.allclose(region.margin(z), leads.amin(dim=1), atol=1e-6)
    assert torch.equal(region.classes(z), logits.argmax(dim=1))
    assert (region.target_class, region.n_classes) == (target, 3)
    walls = region.linear()
    assert walls is not None and torch.allclose(z.double() @ walls[0].T + walls[1], leads, atol=1e-6)


def test_thirds_have_a_third_of_the_mass_each() -> None:
    start = torch.tensor([1.0, 0.0])
    mass = mass_of(DecisionRegion(thirds(), 0, latent=PLANE), start, PLANE, torch.Generator().manual_seed(0))
    assert mass.low <= math.log10(1 / 3) <= mass.high


def test_the_region_that_a_latent_lies_in() -> None:
    for target, direction in enumerate(THIRDS):
        assert DecisionRegion.holding(thirds(), torch.tensor(direction), latent=PLANE).target_class == target
    with pytest.raises(ShapeError, match="got a latent of 3 values; expected 2"):
        DecisionRegion.holding(thirds(), torch.zeros(3), latent=PLANE)


def test_a_tie_belongs_to_both_classes() -> None:
    diagonal = nn.Sequential(linear([[1.0, 0.0], [0.0, 1.0]]))
    z = torch.tensor([[2.0, 2.0]])
    for target in (0, 1):
        region = DecisionRegion(diagonal, target, latent=PLANE)
        assert bool(region.contains(z)) and region.classes(z).tolist() == [target]


def test_exact_in_float64_behind_the_embedded_generator() -> None:
    both = egbas.Classified(egbas.load_model("dcgan-mnist-2d"), egbas.load_classifier("lenet-mnist"))
    z = draws(200)
    region = DecisionRegion(both, 7)
    inside = region.contains(z)
    logits = both.double()(z.double())["logits"]
    assert torch.equal(inside, logits.argmax(dim=1) == 7) and 0 < inside.sum() < 200
    assert certify(region, z[inside]).dtype == "float64" and certify(region, z[inside]).is_valid
    assert torch.equal(region.classes(z), logits.argmax(dim=1))
    leads = logits[:, [7]] - logits[:, [j for j in range(10) if j != 7]]
    assert torch.allclose(region.leads(z), leads, atol=1e-9)
    both.float()


def test_bad_classes_and_networks_are_refused() -> None:
    assert type(DecisionRegion(thirds(), np.int64(2), latent=PLANE).target_class) is int
    for wrong in (3, -1, True, np.int64(3)):
        with pytest.raises(ConfigError, match="expected one from 0 to 2"):
            DecisionRegion(thirds(), wrong, latent=PLANE)
    with pytest.raises(ConfigError, match="latent space of the network is not known"):
        DecisionRegion(thirds(), 0)
    with pytest.raises(NetworkError, match="expected one logit for each of two classes"):
        DecisionRegion(nn.Sequential(linear([[1.0, 0.0]])), 0, latent=PLANE)
    with pytest.raises(NetworkError, match="1 x 28 x 28 values"):
        DecisionRegion(egbas.load_model("dcgan-mnist-2d"), 0)
    with pytest.raises(NetworkError, match="gives every latent the same logits"):
        DecisionRegion(nn.Sequential(linear([[0.0, 0.0], [0.0, 0.0]])), 0, latent=PLANE)


def test_parts_of_intersections_are_told_apart() -> None:
    decision, box = DecisionRegion(thirds(), 0, latent=PLANE), Box(1.0)
    both = Intersection([box, Intersection([decision])])
    assert decision_of(both) is decision and supporting_of(both) is None
    assert decision_of(box) is None and supporting_of(decision) is None


def test_an_intersection_of_decisions_is_measured_by_its_walls() -> None:
    first, second = DecisionRegion(thirds(), 0, latent=PLANE), DecisionRegion(thirds(), 1, latent=PLANE)
    start = torch.tensor([1.0, 0.0])
    same = mass_of(Intersection([first, first]), start, PLANE, torch.Generator().manual_seed(0))
    assert same.low <= math.log10(1 / 3) <= same.high
    rng = np.random.default_rng(0)
    assert not bool(Intersection([first, second]).contains(torch.from_numpy(rng.standard_normal((500, 2)))).any())
