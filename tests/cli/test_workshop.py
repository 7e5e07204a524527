# SPDX-License-Identifier: MIT
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from egbas.cli import workshop
from egbas.cli.workshop import ModelWorkshop, SweepWorkshop, explore_options, open_workshop, options_for
from egbas.errors import ConfigError, LayerNotFoundError, ModelNotFoundError
from egbas.exploration.explore import explore
from egbas.storage import Store
from egbas.zoo.models import load_model

MODEL = "egbas.cli.selftest:small_network"
OPTIONS: dict[str, Any] = {
    "latent_size": "2",
    "samples": 0,
    "repeats": 1,
    "sparsity": 1.0,
    "iterations": 40,
    "half_width": 4.0,
    "max_steps": 60,
}


def shop(**changes: Any) -> ModelWorkshop:
    return ModelWorkshop({**OPTIONS, **changes}, MODEL)


def test_a_task_is_what_explore_gives() -> None:
    one = shop()
    task = one.task(1, None, 5)
    first, again = one.explore(task), one.explore(task)  # the second time with the split that was kept
    z0 = one.model.latent.sample(1, rng=torch.Generator().manual_seed(5))[0]
    alone = explore(
        one.model.generator, z0, 1, rng=5, latent=one.space, beropt=one._beropt, gbrrt=one._gbrrt, samples=0
    )
    for run in (first, again):
        assert torch.equal(run.grown.latents, alone.grown.latents)
        assert torch.equal(run.support.beropt.theta, alone.support.beropt.theta)


def test_the_files_are_those_of_a_run_directory_without_pictures() -> None:
    assert shop().files(shop().task(1, None, 5)).keys() == {
        "config.json",
        "boundary.safetensors",
        "samples.safetensors",
        "metrics.json",
    }


def test_what_was_explored_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, store = shop(), Store(tmp_path)
    task = one.task(1, None, 5)
    run = one.explored(task, store)
    monkeypatch.setattr(workshop, "explore", None)
    again = one.explored(task, store)
    assert torch.equal(run.grown.latents, again.grown.latents) and run.metrics() == again.metrics()


@pytest.mark.parametrize(
    "changes", [{"iterations": 41}, {"sparsity": 2.0}, {"geometry": "sphere"}, {"focus": "0,0,2,2"}, {"tomorrow": "x"}]
)
def test_settings_tell_tasks_apart(changes: dict[str, Any]) -> None:
    assert shop(**changes).task(1, None, 5).key != shop().task(1, None, 5).key


@pytest.mark.parametrize("changes", [{"device": "cpu"}, {"mass": False}, {"geometry": "flat"}, {"threshold": 0.5}])
def test_what_changes_nothing_does_not(changes: dict[str, Any]) -> None:
    assert shop(**changes).task(1, None, 5).key == shop().task(1, None, 5).key


def test_boundaries_are_in_the_key_and_reach_the_region() -> None:
    plain, moved = shop(), shop(boundary="quantile:0.3")
    assert shop(boundary="zero").task(1, None, 5).key == plain.task(1, None, 5).key
    assert len({one.task(1, None, 5).key for one in (plain, moved, shop(boundary="quantile:0.4"))}) == 3
    run = moved.explore(moved.task(1, None, 5))
    assert run.region.split.thresholds is not None
    assert run.config()["boundary"] == "quantile:0.3"


def test_a_classifier_counts_where_it_judges() -> None:
    model = load_model("dcgan-mnist-2d")
    keys = {
        ModelWorkshop({"samples": samples, "repeats": 1}, "dcgan-mnist-2d", loaded=model).decides["classifier"]
        for samples in (0, 100)
    }
    assert None in keys and len(keys) == 2


def test_rows_of_a_file(tmp_path: Path) -> None:
    np.save(tmp_path / "z.npy", np.array([[0.1, 0.2], [0.3, 0.4]], dtype=np.float32))
    one = shop(latent=str(tmp_path / "z.npy"))
    assert one.rows is not None and len(set(one.rows)) == 2
    assert torch.equal(one.query(one.task(1, None, 0, 1)), torch.tensor([0.3, 0.4], dtype=torch.float32))
    assert shop().rows is None


def test_what_is_wrong_is_told_before_any_task() -> None:
    with pytest.raises(LayerNotFoundError):
        shop().layer(9)
    with pytest.raises(ConfigError, match="--delta and --samples 0"):
        shop(sparsity=None, delta=0.5)
    with pytest.raises(ConfigError, match="leave all but one out"):
        shop(level=3)
    with pytest.raises(ModelNotFoundError):
        open_workshop(OPTIONS, 0).of("dcgan-mist")


def test_one_model_at_a_time_is_held_and_loaded_ones_are_taken() -> None:
    many = SweepWorkshop({"samples": 0})
    model = load_model("dcgan-mnist-2d")
    many.take({"dcgan-mnist-2d": model})
    held = many.of("dcgan-mnist-2d")
    assert held.model is model and many.of("dcgan-mnist-2d") is held


def test_options_of_explorations() -> None:
    assert explore_options({"seed": "0-9", "out": "x", "samples": 0, "tomorrow": 1}) == {"samples": 0, "tomorrow": 1}


def test_what_says_how_a_file_is_read_is_for_files_alone() -> None:
    given = {"activation": "relu", "key": "g", "samples": 0}
    models = ["weights.pt", "my_models:net", "dcgan-mnist"]
    assert options_for("weights.pt", given, models) == given
    for other in models[1:]:
        assert options_for(other, given, models) == {"activation": None, "key": None, "samples": 0}
        assert options_for(other, given, models[1:]) == given  # and is refused with its reason
