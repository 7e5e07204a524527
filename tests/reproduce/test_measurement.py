# SPDX-License-Identifier: MIT
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

import egbas
from egbas.errors import ConfigError, LayerNotFoundError, ModelNotFoundError, NetworkError
from egbas.evaluation.baselines import METHODS
from egbas.exploration.repeats import seeds_again
from egbas.reproduce import shared_runs as module
from egbas.reproduce.measurement import Measurement, measure
from egbas.reproduce.own_judges import OwnJudges
from egbas.reproduce.shared_runs import Explored
from egbas.samplers.gbrrt import GbRrtConfig
from egbas.storage import Store
from tests.runs import QUICK
from tests.zoo.formats.test_gandissect import layout

told: list[tuple[int, int, str]] = []


@pytest.fixture(scope="module")
def measured() -> Measurement:
    return measure(("dcgan-mnist",), (2,), 2, Explored(progress=lambda *words: told.append(words)))


def test_every_query_and_method(measured: Measurement) -> None:
    assert {(s.model, s.layer, s.query) for s in measured.scores} == {("dcgan-mnist", 2, 0), ("dcgan-mnist", 2, 1)}
    assert {score.method for score in measured.scores} == set(METHODS)
    metrics = {score.metric for score in measured.scores}
    assert metrics >= {"deviation", "class consistency", *(f"critic similarity {layer}" for layer in range(1, 5))}


def test_progress_and_config(measured: Measurement) -> None:
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)
    assert {total for _, total, _ in told} == {4}  # two queries, explored and judged
    assert told[-1][0] == 4
    config = json.loads(json.dumps(measured.config, allow_nan=False))
    assert config["seeds"] == [0, 1]
    assert config["models"].keys() == {"dcgan-mnist"}
    assert (config["classifier"], config["critic"]) == ("lenet-mnist", None)
    assert config["geometries"] == {"dcgan-mnist": {"used": "flat", "asked": "auto"}}
    assert config["discriminators"] == {"dcgan-mnist": {"minibatch_deviation": None}}


def test_queries_of_a_layer_are_explored_together(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds: list[tuple[int, ...]] = []
    original = module.explore_many

    def spy(*words, rng, **options):  # type: ignore[no-untyped-def]
        seeds.append(tuple(rng))
        return original(*words, rng=rng, **options)

    monkeypatch.setattr(module, "explore_many", spy)
    found = measure(("dcgan-mnist-2d",), (1, 2), 2, Explored(beropt=QUICK, gbrrt=GbRrtConfig(iterations=20)))
    assert seeds == [(0, 1), (0, 1)]
    assert found.config["beropt"]["max_steps"] == QUICK.max_steps
    assert found.config["gbrrt"]["iterations"] == 20


def test_other_seeds_of_beropt_at_the_same_queries(tmp_path: Path) -> None:
    settings = {"beropt": QUICK, "gbrrt": GbRrtConfig(iterations=60)}
    once = measure(("dcgan-mnist-2d",), (2,), 2, Explored(**settings))
    found = measure(("dcgan-mnist-2d",), (2,), 2, Explored(**settings, store=Store(tmp_path)), repeats=2)
    assert found.scores == once.scores  # the table itself is of the query's own seed
    ((again),) = found.again
    assert [(one.query, one.method, one.metric) for one in again] == [
        (one.query, one.method, one.metric) for one in found.scores
    ]
    assert again != found.scores
    # They are the seeds of ``egbas explore --repeats``, at the query of the first.
    model = egbas.load_model("dcgan-mnist-2d")
    query = model.latent.sample(1, rng=torch.Generator().manual_seed(1))[0]
    (other,) = seeds_again(1, 1)
    run = egbas.explore(model.generator, query, 2, rng=other, samples=0, latent=model.latent, **settings)
    (n_samples,) = (one.value for one in again if (one.query, one.method, one.metric) == (1, "E-GBAS", "samples"))
    assert n_samples == len(run.latents) - 1
    # What is finished is found again, with more seeds, too.
    more = measure(("dcgan-mnist-2d",), (2,), 2, Explored(**settings, store=Store(tmp_path)), repeats=3)
    assert (more.config["finished_before"], more.again[0], len(more.again)) == (4, again, 2)


def test_without_masks_there_is_nothing_to_repeat() -> None:
    with pytest.raises(ConfigError, match="masks=0"):
        measure(("dcgan-mnist-2d",), (2,), 1, Explored(beropt=replace(QUICK, masks=0)), repeats=2)


def test_what_judges_a_file(tmp_path: Path) -> None:
    file = tmp_path / "g.pth"
    torch.save(layout((16, 32, 32, 16)), file)  # GAN dissection, 16 pixels, without a discriminator
    found = measure((str(file),), (2,), 1, Explored(beropt=QUICK, gbrrt=GbRrtConfig(iterations=20)))
    assert found.config["classifier"] is None
    assert found.config["discriminators"] == {str(file): None}
    assert found.config["geometries"] == {str(file): {"used": "sphere", "asked": "auto"}}


def test_judges_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "g.pth"
    torch.save(layout((16, 32, 32, 16)), file)  # images (3, 16, 16), without a discriminator
    critic, classifier = (nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 2), nn.ReLU()).eval() for _ in range(2))
    with torch.no_grad():
        for linear, bias in ((critic[1], [2.0, 0.0]), (classifier[1], [0.0, 1.0])):
            linear.weight.zero_()
            linear.bias.copy_(torch.tensor(bias))
    settings = {"beropt": QUICK, "gbrrt": GbRrtConfig(iterations=20), "store": Store(tmp_path / "store")}
    found = measure((str(file),), (2,), 1, Explored(**settings), own=OwnJudges(critic=critic, classifier=classifier))
    values = {(one.method, one.metric): one.value for one in found.scores}
    for method in METHODS:  # the same features and the same class, whatever the image is
        assert values[method, "critic similarity 1"] == pytest.approx(1.0)
        assert values[method, "class consistency"] == 1.0
        assert (method, "critic similarity 2") not in values
    assert (found.config["classifier"], found.config["critic"]) == ("Sequential", "Sequential")
    assert found.config["discriminators"] == {str(file): {"minibatch_deviation": None}}
    json.dumps(found.config, allow_nan=False)
    plain = measure((str(file),), (2,), 1, Explored(**settings))
    assert plain.config["finished_before"] == 0  # these are the scores of other judges
    assert not any("critic" in one.metric or "class" in one.metric for one in plain.scores)


def test_what_cannot_judge_is_told_before_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "explore_many", lambda *_, **__: pytest.fail("it was explored"))
    with pytest.raises(NetworkError, match=r"--critic Conv2d: .*3 channels"):
        measure(("dcgan-mnist-2d",), (2,), 1, own=OwnJudges(critic=nn.Conv2d(3, 1, 1).eval()))


def test_the_policy_of_a_discriminator() -> None:
    found = measure(("pggan-mnist",), (2,), 1, Explored(beropt=QUICK, gbrrt=GbRrtConfig(iterations=20)))
    policy = found.config["discriminators"]["pggan-mnist"]["minibatch_deviation"]
    assert policy.keys() == {"groups", "size", "unbiased", "reference"}
    assert policy["reference"] > 0


def test_unknown_names() -> None:
    with pytest.raises(ModelNotFoundError):
        measure(("nothing",), (1,), 1)
    with pytest.raises(LayerNotFoundError):
        measure(("dcgan-mnist",), (9,), 1)
