# SPDX-License-Identifier: MIT
import dataclasses
from pathlib import Path

import pytest

from egbas.beropt import BerOptConfig
from egbas.cli.settings import configs, layer_key, refuse_empty, summary
from egbas.errors import ConfigError
from egbas.samplers.gbrrt import GbRrtConfig, GbRrtStatus
from tests.runs import plane_run, sphere_run


def test_what_is_not_given_keeps_its_default() -> None:
    assert configs(threshold=None, sparsity=None, iterations=None) == (BerOptConfig(), GbRrtConfig())


def test_options_go_to_their_config() -> None:
    beropt, gbrrt = configs(threshold=0.3, step_size=0.1)
    assert beropt == BerOptConfig(threshold=0.3)
    assert gbrrt == GbRrtConfig(step_size=0.1)


def test_few_steps_shorten_the_annealing() -> None:
    assert configs(max_steps=60)[0] == BerOptConfig(max_steps=60, anneal_steps=60)
    assert configs(max_steps=600)[0] == BerOptConfig(max_steps=600)
    with pytest.raises(ConfigError, match=r"max_steps \(0\)"):
        configs(max_steps=0)


@pytest.mark.parametrize(("text", "key"), [("2", 2), ("block.2", "block.2"), ("relu()#2", "relu()#2")])
def test_layers_are_numbers_or_paths(text: str, key: int | str) -> None:
    assert layer_key(text) == key


def test_a_run_without_samples_is_refused() -> None:
    run = plane_run()
    refuse_empty(run)
    tree, status = run.grown, GbRrtStatus.NOTHING_ACCEPTED
    stump = dataclasses.replace(tree, latents=tree.latents[:1], parents=tree.parents[:1], status=status)
    nothing = dataclasses.replace(run, samples={"tree": stump})
    with pytest.raises(ConfigError, match="lower --step-size"):
        refuse_empty(nothing)


def test_summary() -> None:
    text = "\n".join(summary(plane_run(), Path("there")))
    assert "units kept" in text
    assert str(Path("there") / "report.html") in text
    assert "sphere" not in text
    on_sphere = "\n".join(summary(sphere_run(), Path("there")))
    assert f"on a sphere of radius {sphere_run().query.norm():.4g}, " in on_sphere
