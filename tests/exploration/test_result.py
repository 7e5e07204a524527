# SPDX-License-Identifier: MIT
import dataclasses

import pytest
import torch

from egbas.errors import ConfigError
from egbas.report import galleries_of, render
from egbas.samplers.contract import Samples
from tests.runs import deeper_run, focused_run, plane_run, sphere_run


def without_a_tree() -> Samples:
    return Samples(latents=plane_run().query[None] + torch.zeros(3, 2), status="COMPLETED", evaluations=0)


def test_shorthands_are_the_trees() -> None:
    run = plane_run()
    assert run.tree is run.samples["tree"] is run.grown
    assert run.latents is run.grown.latents
    assert (run.parents is run.grown.parents, run.rejected is run.grown.rejected) == (True, True)
    assert run.support.region is run.region
    assert run.support.beropt is run.beropt


def test_without_a_tree_they_are_none() -> None:
    run = dataclasses.replace(plane_run(), samples={"walk": without_a_tree()})
    assert (run.tree, run.latents, run.parents, run.rejected, run.rejected_reason) == (None,) * 5
    with pytest.raises(ConfigError, match="'tree' among the samplers"):
        _ = run.grown
    assert run.images().shape == (3, 1, 4, 4)
    assert run.shown == "walk"


def test_without_a_layer_there_is_no_support() -> None:
    run = dataclasses.replace(plane_run(), layer=None, beropt=None)
    assert run.theta is None
    with pytest.raises(ConfigError, match="a region of the user's own"):
        _ = run.support


def test_images_of_a_sampler_by_its_name() -> None:
    run = dataclasses.replace(plane_run(), samples={**plane_run().samples, "walk": without_a_tree()})
    torch.testing.assert_close(run.images(sampler="walk"), run.query_image.expand(3, -1, -1, -1))
    assert torch.equal(run.images(), plane_run().images())  # the tree's, as ever
    with pytest.raises(ConfigError, match="no sampler 'wal'; it has 'tree', 'walk'"):
        run.images(sampler="wal")


def test_no_samples_are_no_images() -> None:
    nothing = dataclasses.replace(without_a_tree(), latents=torch.zeros(0, 2))
    assert dataclasses.replace(plane_run(), samples={"walk": nothing}).images().shape == (0, 1, 4, 4)


def test_the_level_is_that_of_the_set() -> None:
    assert focused_run().level == 5
    assert plane_run().level is None  # a sparsity decided
    assert dataclasses.replace(focused_run(), beropt=None).level is None


def test_edges_are_proven_inside_where_the_region_is_convex() -> None:
    run = plane_run()  # a layer that is affine in the latent, in the plane
    assert run.edges_inside is True
    tree = run.grown
    start = tree.latents[tree.parents[1:]].double()
    for share in (0.25, 0.5, 0.75):
        assert bool((run.support.region.margin(start + share * (tree.latents[1:].double() - start)) >= 0).all())
    assert run.metrics()["edges_inside"] is True
    assert dataclasses.replace(run, samples={"walk": without_a_tree()}).edges_inside is None


def test_edges_of_deeper_layers_and_of_spheres_have_no_proof() -> None:
    assert deeper_run().edges_inside is False
    assert sphere_run().edges_inside is False
    assert "may leave the region" in render(deeper_run(), galleries_of(deeper_run()))
    assert "the edges of the tree lie inside, too" in render(plane_run(), galleries_of(plane_run()))
