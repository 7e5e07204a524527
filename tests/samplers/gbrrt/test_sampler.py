# SPDX-License-Identifier: MIT
import math

import pytest
import torch

import egbas
from egbas.beropt import BerOptConfig
from egbas.latent import LatentSpace
from egbas.samplers.contract import Sampler, checked
from egbas.samplers.gbrrt import GbRrtConfig, Tree, TreeSampler
from egbas.zoo.models import load_model
from tests.regions import Ball, Box, assert_same, rng

SHORT = GbRrtConfig(iterations=150)


def test_it_keeps_the_contract_and_its_tree_is_samples() -> None:
    sampler = TreeSampler()
    assert isinstance(sampler, Sampler)
    assert sampler.name == "tree"
    tree = sampler.sample(Ball(), torch.zeros(2), LatentSpace(shape=(2,)), rng())
    assert isinstance(checked(tree, "tree", 2), Tree)
    assert tree.iterations == GbRrtConfig().iterations


@pytest.mark.parametrize("model_name", ["dcgan-mnist-2d", "pggan-mnist"])  # flat, sphere
def test_the_tree_is_that_of_an_exploration(model_name: str) -> None:
    model = load_model(model_name)
    queries = model.latent.sample(2, rng())
    beropt = BerOptConfig(max_steps=30, anneal_steps=10)
    runs = egbas.explore_many(model.generator, queries, 1, rng=[5, 6], beropt=beropt, gbrrt=SHORT, samples=0)
    regions, starts, latent = [run.region for run in runs], [run.query for run in runs], runs[0].latent
    together = TreeSampler(SHORT).sample_many(regions, starts, latent, [rng(6), rng(7)])
    for run, tree, seed in zip(runs, together, (6, 7), strict=True):
        assert_same(run.tree, tree)
        assert_same(tree, TreeSampler(SHORT).sample(run.region, run.query, latent, rng(seed)))
        assert (tree.step_size, tree.half_width) == (run.tree.step_size, run.tree.half_width)


@pytest.mark.parametrize("geometry", ["flat", "sphere"])
def test_a_region_needs_nothing_but_contains(geometry: str) -> None:
    latent = LatentSpace(shape=(3,), geometry=geometry)  # type: ignore[arg-type]
    starts, told = [torch.tensor([0.2, 0.1, 0.1]), torch.tensor([0.0, 0.3, 0.0])], []
    trees = TreeSampler(SHORT).sample_many(
        [Ball(), Box(0.35)], starts, latent, [rng(1), rng(2)], lambda done, total, text: told.append((done, total))
    )
    for region, start, tree in zip((Ball(), Box(0.35)), starts, trees, strict=True):
        assert len(tree.drawn) > 10
        assert torch.equal(tree.latents[0], start)
        assert region.contains(tree.latents).all()
        if geometry == "sphere":
            torch.testing.assert_close(tree.latents.norm(dim=1), start.norm().expand(len(tree.latents)))
    assert told[-1] == (300, 300)


def test_settings_that_are_given_stay_and_the_latent_space_bounds_the_others() -> None:
    given = TreeSampler(GbRrtConfig(iterations=20, step_size=0.05, half_width=0.5))
    tree = given.sample(Box(9.0), torch.zeros(2), LatentSpace(shape=(2,)), rng())
    assert (tree.step_size, tree.half_width) == (0.05, 0.5)
    for latent, largest in (
        (LatentSpace(shape=(2,)), 4.0),
        (LatentSpace(shape=(2,), prior="uniform", bound=0.25), 0.5),
        (LatentSpace(shape=(2,), geometry="sphere"), 2 * math.pi),
    ):
        tree = TreeSampler(SHORT).sample(Box(1e9), torch.tensor([2.0, 0.0]), latent, rng())
        assert tree.half_width == pytest.approx(largest)


def test_no_regions() -> None:
    assert TreeSampler().sample_many([], [], LatentSpace(shape=(2,)), []) == []
