# SPDX-License-Identifier: MIT
"""A region and a sampler of the user's own, as a user writes them, through everything that there is."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

import egbas
from egbas.cli.selftest import small_network
from egbas.report import galleries_of, render

QUERY = torch.tensor([0.3, -0.2])


class Ball:
    """A region in a few lines."""

    def contains(self, z: Tensor) -> Tensor:
        return z.norm(dim=1) < 0.8


class Walk:
    """A sampler in a few lines: a random walk that stays where the next step would leave the region."""

    name = "walk"

    def sample(self, region, start, latent, rng, progress=None):
        z, visited = start[None], []
        for step in range(60):
            there = z + 0.2 * torch.randn(z.shape, generator=rng)
            z = there if bool(region.contains(there)) else z
            visited.append(z)
            if progress:
                progress(step + 1, 60, "walking")
        return egbas.Samples(latents=torch.cat(visited), status="COMPLETED", evaluations=60, facts={"steps": 60})


@pytest.fixture(scope="module")
def run() -> egbas.Exploration:
    return egbas.explore(small_network(), QUERY, region=Ball(), samplers=[Walk()], rng=0)


def test_it_is_explored(run: egbas.Exploration) -> None:
    walk = run.samples["walk"]
    assert (walk.status, walk.evaluations, dict(walk.facts)) == ("COMPLETED", 60, {"steps": 60})
    assert len(walk.latents) == 60
    assert bool(Ball().contains(walk.latents).all())
    assert (run.layer, run.theta, run.beropt, run.latents, run.parents) == (None,) * 5
    assert (run.certificate.n_samples, run.certificate.n_inside, run.certificate.smallest_margin) == (60, 60, None)
    assert run.warnings == ()
    assert run.images().shape == (60, 1, 4, 4)


def test_the_same_seed_gives_the_same_samples(run: egbas.Exploration) -> None:
    again = egbas.explore(small_network(), QUERY, region=Ball(), samplers=[Walk()], rng=0)
    other = egbas.explore(small_network(), QUERY, region=Ball(), samplers=[Walk()], rng=1)
    assert torch.equal(again.samples["walk"].latents, run.samples["walk"].latents)
    assert not torch.equal(other.samples["walk"].latents, run.samples["walk"].latents)


def test_progress_is_told_under_the_samplers_name() -> None:
    told = []
    egbas.explore(small_network(), QUERY, region=Ball(), samplers=[Walk()], rng=0, progress=lambda *x: told.append(x))
    assert told[-1] == ("walk", 60, 60, "walking")


def test_it_is_saved_and_comes_back(run: egbas.Exploration, tmp_path: Path) -> None:
    place = run.save(tmp_path / "run")
    assert not (place / "boundary.safetensors").exists()
    back = egbas.load_run(place, generator=small_network(), region=Ball())
    assert torch.equal(back.samples["walk"].latents, run.samples["walk"].latents)
    assert back.metrics() == run.metrics()
    assert back.config() == run.config()
    with pytest.raises(egbas.ConfigError, match=r"its user's own \(Ball\); pass it: load_run\(path, region=...\)"):
        egbas.load_run(place, generator=small_network())


def test_no_file_says_what_is_not_so(run: egbas.Exploration, tmp_path: Path) -> None:
    place = run.save(tmp_path / "run")
    texts = {name: (place / name).read_text() for name in ("config.json", "metrics.json", "report.html")}
    page = re.sub(r"<style>.*?</style>|<[^>]*>", " ", texts["report.html"], flags=re.DOTALL)
    for false in ("tree", "GB-RRT", "BerOpt", "kept", "float64", "candidates", "step size", "half width", "theta"):
        assert false not in page, false
    config, metrics = (json.loads(texts[name]) for name in ("config.json", "metrics.json"))
    assert (config["layer"], config["beropt"], config["gbrrt"]) == (None, None, None)
    assert (config["region"], config["samplers"]) == ({"kind": "Ball"}, ["walk"])
    assert not {"acceptance", "iterations", "gbrrt_status", "fidelity", "head_rounds"} & metrics.keys()
    assert metrics["samplers"]["walk"]["status"] == "COMPLETED"
    assert "walk" in page
    assert "Ball" in page
    assert "60 of 60 lie in the region" in page


def test_a_region_of_ones_own_with_the_tree() -> None:
    run = egbas.explore(
        small_network(), QUERY, region=Ball(), samplers=["tree", Walk()], rng=0, gbrrt=egbas.GbRrtConfig(iterations=200)
    )
    assert run.latents is not None
    assert bool(Ball().contains(run.latents).all())
    assert list(run.samples) == ["tree", "walk"]
    assert run.samples["walk"].latents.shape == (60, 2)
    page = render(run, galleries_of(run))
    assert "GB-RRT tried 200 candidates" in page
    assert "kept boundary" not in page


def test_a_sampler_of_ones_own_in_the_region_of_a_layer(tmp_path: Path) -> None:
    settings = {
        "beropt": egbas.BerOptConfig(sparsity=0.5, anneal_steps=60, max_steps=120),
        "gbrrt": egbas.GbRrtConfig(iterations=100),
    }
    run = egbas.explore(small_network(), QUERY, 1, samplers=["tree", Walk()], rng=0, **settings)
    alone = egbas.explore(small_network(), QUERY, 1, rng=0, **settings)
    assert torch.equal(run.latents, alone.latents)  # whatever else is drawn
    assert run.certificates["walk"].dtype == "float64"
    back = egbas.load_run(run.save(tmp_path / "run"), generator=small_network())
    assert back.metrics() == run.metrics()
    assert torch.equal(back.samples["walk"].latents, run.samples["walk"].latents)
    assert torch.equal(back.latents, run.latents)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({}, egbas.ConfigError, "neither a layer nor a region"),
        ({"layer": 1, "region": Ball()}, egbas.ConfigError, "leave one out"),
        ({"region": Ball(), "beropt": egbas.BerOptConfig()}, egbas.ConfigError, "BerOpt is skipped"),
        ({"layer": 1, "samplers": ["three"]}, egbas.ConfigError, "'three' is unknown"),
    ],
)
def test_what_cannot_be_meant_is_refused(settings: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        egbas.explore(small_network(), QUERY, rng=0, **settings)  # type: ignore[arg-type]


class Answering:
    def __init__(self, answer: Callable[[Tensor], object]) -> None:
        self.contains = answer


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (lambda z: (z.norm(dim=1) < 2).long(), r"torch\.int64 \(3,\)"),
        (lambda z: (z.norm(dim=1) < 2)[:, None], r"torch\.bool \(3, 1\)"),
        (lambda z: (z.norm(dim=1) < 2)[:1], r"torch\.bool \(1,\)"),
        (lambda z: True, "bool for 3 latents"),
        (lambda z: (z.norm(dim=1) < 2).numpy(), "ndarray for 3 latents"),
    ],
)
def test_a_region_that_answers_otherwise_is_refused(answer: Callable[[Tensor], object], told: str) -> None:
    with pytest.raises(egbas.ShapeError, match=f"contains returned {told}"):
        egbas.explore(small_network(), QUERY, region=Answering(answer), rng=0)


def test_a_query_outside_the_region_is_refused() -> None:
    with pytest.raises(egbas.StartOutsideRegionError, match="lies outside the region that was given"):
        egbas.explore(small_network(), 10 * QUERY, region=Ball(), samplers=[Walk()], rng=0)
