# SPDX-License-Identifier: MIT
"""Trees in regions that compiled code can tell, against Algorithm 2 line by line."""

from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import Tensor

from egbas.errors import NetworkError
from egbas.geometry import Flat, Geometry, Sphere
from egbas.network import Network
from egbas.region import Precisions, SupportingRegion
from egbas.samplers.gbrrt import GbRrtConfig, Growth, grow, grow_many, with_automatic
from egbas.samplers.gbrrt.algorithm_2 import grow_literally
from egbas.zoo.models import Model, load_model
from tests.regions import assert_same, rng


@cache
def first_layer(name: str) -> tuple[Model, Precisions]:
    model = load_model(name)
    network = Network(model.generator, model.latent.shape)
    return model, Precisions.of(network, network.resolve(1))


def of_first_layer(
    name: str, *, is_sphere: bool = False, n_units: int = 60
) -> tuple[SupportingRegion, Tensor, GbRrtConfig, Geometry]:
    model, precisions = first_layer(name)
    query = model.latent.sample(1, rng=rng(1))[0]
    h = precisions.split.head(query[None])[0]
    units = torch.randperm(len(h), generator=rng(2))[:n_units]
    region = SupportingRegion.of(precisions, query, units, h[units].sign().to(torch.int8), reach=4.0)
    geometry = Sphere(query) if is_sphere else Flat(query)
    config = with_automatic(GbRrtConfig(iterations=300), query, region, largest_half_width=4.0, geometry=geometry)
    return region, query, config, geometry


@pytest.mark.parametrize("rounding", [None, 1e-3])
@pytest.mark.parametrize(
    ("name", "is_sphere"), [("dcgan-mnist-2d", False), ("dcgan-mnist", False), ("dcgan-mnist", True)]
)
def test_the_tree_is_that_of_algorithm_2(name: str, is_sphere: bool, rounding: float | None) -> None:
    region, query, config, geometry = of_first_layer(name, is_sphere=is_sphere)
    halfspaces = region.halfspaces
    assert halfspaces is not None
    if rounding is not None:  # so coarse that many candidates are handed back
        region = replace(region, halfspaces=replace(halfspaces, rounding=rounding))
    assert Growth(query, config, rng=rng(3), geometry=geometry).walls(region) is not None
    tree = grow(query, region, config, rng=rng(3), geometry=geometry)
    literal = grow_literally(query, region, config, rng=rng(3), geometry=geometry)
    assert len(tree.latents) > 20
    assert len(tree.rejected) > 20
    assert_same(tree, grow(query, region, replace(config, window=7), rng=rng(3), geometry=geometry))
    assert_same(tree, literal, tolerance=2e-6)
    assert tree.evaluations == literal.evaluations  # none is tested in vain
    assert tree.rounds == -(-300 // 64)


def test_what_is_handed_back_is_asked_of_the_region(monkeypatch: pytest.MonkeyPatch) -> None:
    region, query, config, geometry = of_first_layer("dcgan-mnist-2d")
    assert region.halfspaces is not None
    asked, contains = [], SupportingRegion.contains
    monkeypatch.setattr(SupportingRegion, "contains", lambda self, z: (asked.append(len(z)), contains(self, z))[1])
    exact = grow(query, region, config, rng=rng(3), geometry=geometry)
    n_exact = len(asked)
    coarse = replace(region, halfspaces=replace(region.halfspaces, rounding=0.01))
    assert_same(exact, grow(query, coarse, config, rng=rng(3), geometry=geometry))
    assert len(asked) - n_exact > 20
    assert set(asked) == {1}


def test_a_region_that_gives_no_number_is_an_error() -> None:
    region, query, config, geometry = of_first_layer("dcgan-mnist-2d")
    halfspaces = region.halfspaces
    assert halfspaces is not None
    packed = halfspaces.units.packed
    broken = replace(halfspaces.units, packed=packed._replace(offset=packed.offset * float("nan")))
    with pytest.raises(NetworkError, match="not finite"):
        grow(
            query, replace(region, halfspaces=replace(halfspaces, units=broken)), config, rng=rng(3), geometry=geometry
        )


def test_side_by_side_with_trees_that_wait() -> None:
    region, query, config, geometry = of_first_layer("dcgan-mnist-2d")
    dense = replace(region, halfspaces=None)
    growths = [Growth(query, config, rng=rng(seed), geometry=geometry) for seed in (3, 3, 4)]
    trees = grow_many(growths, [region, dense, region])
    assert_same(trees[0], trees[1])
    assert_same(trees[2], grow(query, region, config, rng=rng(4), geometry=geometry))
