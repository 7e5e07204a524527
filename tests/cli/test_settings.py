# SPDX-License-Identifier: MIT
import dataclasses
from pathlib import Path

import pytest
import torch
from torch import nn

from egbas.beropt import BerOptConfig
from egbas.beropt.config import DEFAULT_LEVEL
from egbas.cli.settings import check_one, class_judges, configs, layer_key, refuse_empty, summary
from egbas.errors import ConfigError
from egbas.exploration.facts import Distance
from egbas.latent import LatentSpace
from egbas.samplers.gbrrt import GbRrtConfig, GbRrtStatus
from egbas.zoo.models import Model, load_classifier, load_model
from tests.runs import exact_run, plane_run, sphere_run


def test_what_is_not_given_keeps_its_default() -> None:
    given = configs(threshold=None, sparsity=None, level=None, iterations=None)
    assert given == (BerOptConfig(level=DEFAULT_LEVEL), GbRrtConfig())


def test_options_go_to_their_config() -> None:
    beropt, gbrrt = configs(threshold=0.3, step_size=0.1)
    assert beropt == BerOptConfig(threshold=0.3, level=DEFAULT_LEVEL)
    assert gbrrt == GbRrtConfig(step_size=0.1)


@pytest.mark.parametrize("delta", [float("nan"), float("inf"), 0.0, -1.0])
def test_a_distance_is_positive_and_finite(delta: float) -> None:
    with pytest.raises(ConfigError, match=f"delta={delta!r}; expected a positive relative distance"):
        check_one(level=None, delta=delta, sparsity=None)


def test_a_level_or_a_sparsity_says_how_many_units_are_kept() -> None:
    assert configs(level=3)[0] == BerOptConfig(level=3)
    assert configs(sparsity=0.5)[0] == BerOptConfig(sparsity=0.5)
    assert configs(sparsity=1.0)[0] == BerOptConfig(sparsity=1.0)  # the default, where it is typed
    with pytest.raises(ConfigError, match=r"got --level 3 and --sparsity 0\.5; .*leave all but one out"):
        configs(level=3, sparsity=0.5)
    with pytest.raises(ConfigError, match="got level 9"):
        configs(level=9)


def test_one_of_some_options_may_be_given() -> None:
    check_one()
    check_one(level=None, delta=0.4, sparsity=None)
    with pytest.raises(ConfigError, match=r"got --level 3 and --delta 0\.4 and --sparsity 2"):
        check_one(level=3, delta=0.4, sparsity=2.0)


def test_few_steps_shorten_the_annealing() -> None:
    assert configs(max_steps=60)[0] == BerOptConfig(max_steps=60, anneal_steps=60, level=DEFAULT_LEVEL)
    assert configs(max_steps=600)[0] == BerOptConfig(max_steps=600, level=DEFAULT_LEVEL)
    with pytest.raises(ConfigError, match=r"max_steps \(0\)"):
        configs(max_steps=0)


def test_an_embedded_model_is_judged_by_its_class() -> None:
    model = load_model("dcgan-mnist")
    z0 = model.latent.sample(1, rng=torch.Generator().manual_seed(7))[0]
    (judge,) = class_judges(model, z0)
    with torch.no_grad():
        images = model.generator(torch.stack([z0, -z0, z0]))
        expected = load_classifier("lenet-mnist")(images).argmax(dim=1)
    ((name, score),) = judge(images).items()
    assert name == f"class {int(expected[0])}"
    assert score.tolist() == (expected == expected[0]).double().tolist()
    assert score[0] == score[2] == 1.0


def test_a_network_of_ones_own_has_no_classifier() -> None:
    made = Model(name="mine", generator=nn.Linear(2, 4), discriminator=None, latent=LatentSpace(shape=(2,)))
    assert class_judges(made, torch.zeros(2)) == []


@pytest.mark.parametrize(("text", "key"), [("2", 2), (".2", ".2"), ("block.2", "block.2"), ("relu()#2", "relu()#2")])
def test_layers_are_numbers_or_paths(text: str, key: int | str) -> None:
    assert layer_key(text) == key


@pytest.mark.parametrize("text", ["", " "])
def test_no_layer_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"got --layer ' ?'; expected the number of a non-linearity, such as 2, or"):
        layer_key(text)


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


def test_the_summary_says_what_is_known() -> None:
    run = exact_run()
    text = "\n".join(summary(run, Path("there")))
    assert run.facts is not None and run.beropt is not None
    assert f"words    {run.facts.words}" in text
    assert not any(word in text for word in ("level", "focus", "features"))
    facts = dataclasses.replace(run.facts, focus=(0.25, 1.0), feature_distance=Distance(q05=0.1, q50=0.2, q95=0.3))
    beropt = dataclasses.replace(run.beropt, config=BerOptConfig(level=3))
    text = "\n".join(summary(dataclasses.replace(run, facts=facts, beropt=beropt), Path("there")))
    assert ", level 3\n" in text
    assert "focus    freedom 0.25 in it, 1.00 around it" in text
    assert "features differ from the query's by 0.20 (median), 0.30 (95 %)" in text
