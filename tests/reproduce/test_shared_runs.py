# SPDX-License-Identifier: MIT
import weakref
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from egbas.beropt import BerOptConfig
from egbas.cli.workshop import ModelWorkshop
from egbas.errors import LayerNotFoundError, ModelNotFoundError
from egbas.exploration.explore import explore
from egbas.exploration.result import Exploration
from egbas.reproduce import shared_runs as module
from egbas.reproduce.shared_runs import Explored, beropt_at, complete_run
from egbas.samplers.gbrrt import GbRrtConfig
from egbas.storage import Store
from tests.runs import QUICK

MODEL, FEW = "dcgan-mnist-2d", GbRrtConfig(iterations=5)


def seed_of(run: Exploration) -> int:
    return run.seed


def n_nodes(run: Exploration) -> int:
    return len(run.latents)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, tuple[int, ...]]]:
    """Layer and seeds of every call of ``explore_many`` that follows."""
    told: list[tuple[int, tuple[int, ...]]] = []
    original = module.explore_many

    def spy(generator, queries, layer, *, rng, **options):  # type: ignore[no-untyped-def]
        told.append((layer, tuple(rng)))
        return original(generator, queries, layer, rng=rng, **options)

    monkeypatch.setattr(module, "explore_many", spy)
    return told


def test_explores_once_and_at_the_query_of_the_seed() -> None:
    explored = Explored(beropt=QUICK, gbrrt=FEW)
    run = explored(MODEL, 1, 3)
    assert explored(MODEL, 1, 3) is run
    other = explored(MODEL, 1, 4)
    assert other is not run
    assert other.generator is run.generator
    expected = explored.model(MODEL).latent.sample(1, rng=torch.Generator().manual_seed(3))[0]
    assert torch.equal(run.query, expected)
    assert (run.seed, run.layer.number, run.tree.evaluations > 0) == (3, 1, True)
    assert run.beropt.config == replace(QUICK, masks=4)  # as many as are taken for a small image


def test_queries_of_a_layer_share_its_cut_and_are_those_of_explore() -> None:
    explored = Explored(beropt=QUICK, gbrrt=GbRrtConfig(iterations=60))
    runs = explored.each(complete_run, MODEL, 2, (5, 6))
    assert runs[0].region.exact is runs[1].region.exact
    for run in runs:
        few = GbRrtConfig(iterations=60)
        alone = explore(run.generator, run.query, 2, rng=run.seed, beropt=QUICK, gbrrt=few, samples=0)
        assert torch.equal(run.latents, alone.latents)
        assert torch.equal(run.theta, alone.theta)
        assert torch.equal(run.rejected, alone.rejected)


def test_explorations_are_not_kept_where_a_look_is_enough() -> None:
    alive: list[weakref.ref[torch.nn.Module]] = []

    def remember(run: Exploration) -> None:
        alive.append(weakref.ref(run))  # type: ignore[arg-type]
        alive.append(weakref.ref(run.region))  # type: ignore[arg-type]
        alive.append(weakref.ref(run.region.exact))  # type: ignore[arg-type]

    explored = Explored(beropt=QUICK, gbrrt=FEW)
    explored.each(remember, MODEL, 2, (0, 1))
    assert len(alive) == 6
    assert not any(ref() for ref in alive)


def test_what_is_expected_is_found_by_whoever_explores(calls: list[tuple[int, tuple[int, ...]]]) -> None:
    explored = Explored(beropt=QUICK, gbrrt=FEW)
    explored.expect(n_nodes, MODEL, 1, (1, 2))
    assert explored.each(seed_of, MODEL, 1, (0, 1)) == [0, 1]
    found = explored.each(n_nodes, MODEL, 1, (1, 2))
    assert explored.each(n_nodes, MODEL, 1, (2, 1)) == found[::-1]
    assert calls == [(1, (0, 1)), (1, (2,))]
    explored.each(n_nodes, MODEL, 1, (0,))  # nobody expected it
    assert calls[2:] == [(1, (0,))]


def test_at_most_so_many_at_once(calls: list[tuple[int, tuple[int, ...]]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 2)
    assert Explored(beropt=QUICK, gbrrt=FEW).each(seed_of, MODEL, 1, (4, 2, 3)) == [4, 2, 3]
    assert calls == [(1, (4, 2)), (1, (3,))]


def test_progress_counts_what_is_expected() -> None:
    told: list[tuple[int, int, str]] = []
    explored = Explored(beropt=QUICK, gbrrt=FEW, progress=lambda *words: told.append(words))
    for layer in (1, 2):
        explored.expect(seed_of, MODEL, layer, (0, 1))
    explored.each(seed_of, MODEL, 1, (0, 1))
    assert told[-1][:2] == (4, 8)
    explored.each(seed_of, MODEL, 2, (0, 1))
    assert told[-1][:2] == (8, 8)
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)
    assert any("beropt" in text and "l=2" in text for _, _, text in told)


def test_unknown_names() -> None:
    with pytest.raises(ModelNotFoundError, match="did you mean"):
        Explored()("dcgan-mist", 1, 0)
    with pytest.raises(LayerNotFoundError):
        Explored()(MODEL, 9, 0)


def test_what_was_explored_is_found_in_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    first = Explored(beropt=QUICK, gbrrt=FEW, store=store)(MODEL, 1, 3)
    monkeypatch.setattr(module, "explore_many", None)
    again = Explored(beropt=QUICK, gbrrt=FEW, store=store)(MODEL, 1, 3)
    assert torch.equal(first.grown.latents, again.grown.latents)
    assert torch.equal(first.support.beropt.theta, again.support.beropt.theta)


def test_a_sweep_has_the_same_task(tmp_path: Path) -> None:
    store = Store(tmp_path)
    Explored(beropt=BerOptConfig(sparsity=2.0, max_steps=40, anneal_steps=40), gbrrt=FEW, store=store)(MODEL, 1, 3)
    options = {"samples": 0, "repeats": 1, "sparsity": 2.0, "max_steps": 40, "iterations": FEW.iterations}
    options |= {"half_width": FEW.half_width, "step_size": FEW.step_size}
    assert list(store.keys()) == [ModelWorkshop(options, MODEL).task(1, None, 3).key]


def test_settings_at_a_level() -> None:
    assert beropt_at(3) == BerOptConfig(level=3)
    assert beropt_at(None) == BerOptConfig()
    assert beropt_at(6, 0) == BerOptConfig(level=6, masks=0)
