# SPDX-License-Identifier: MIT
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import egbas
from egbas.cli.selftest import small_network
from egbas.errors import ModelNotFoundError, RunDirectoryError
from egbas.exploration.explore import explore
from egbas.latent import LatentSpace
from egbas.samplers.gbrrt import GbRrtConfig
from egbas.storage import load_run, save_run
from tests.problems import QUERY, ManyOutputs, ScaleInvariantNet, linear, pair
from tests.runs import QUICK, colour_run, plane_run, sphere_run


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_run(plane_run(), tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture
def place(finished: Path, tmp_path: Path) -> Path:
    """A copy of the run that a test may damage."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


def test_a_run_comes_back_as_it_was(finished: Path) -> None:
    run, back = plane_run(), load_run(finished, generator=small_network())
    for name in ("latents", "parents", "rejected", "rejected_reason", "theta", "query"):
        assert torch.equal(getattr(back, name), getattr(run, name)), name
    for name in ("units", "signs", "losses", "sizes"):
        assert torch.equal(getattr(back.beropt, name), getattr(run.beropt, name)), name
    assert back.config() == run.config()
    assert back.metrics() == run.metrics()
    assert back.layer == run.layer
    assert back.beropt.config == run.beropt.config
    assert torch.equal(back.images(), run.images())
    assert torch.equal(back.region.contains(run.rejected), run.region.contains(run.rejected))


@pytest.mark.parametrize("boundary", ["turning", "quantile:0.4"])
def test_a_run_with_thresholds_comes_back_as_it_was(boundary: str, tmp_path: Path) -> None:
    torch.manual_seed(1)
    generator = nn.Sequential(nn.Linear(2, 12), nn.SiLU(), nn.Linear(12, 9)).eval()
    run = explore(generator, QUERY, 1, rng=0, samples=0, beropt=QUICK, boundary=boundary)
    place = save_run(run, tmp_path / "run")
    thresholds = load_file(place / "boundary.safetensors")["thresholds"]
    assert json.loads((place / "config.json").read_text())["boundary"] == boundary
    page = (place / "report.html").read_text()
    assert "boundaries at" in page and f"--boundary {boundary}" in page
    back = load_run(place, generator=generator)
    assert back.config() == run.config()
    z = 3 * torch.randn(100, 2, generator=torch.Generator().manual_seed(5))
    sides = (generator[0](z) - thresholds)[:, run.region.units] * run.region.signs >= 0
    for one in (run, back):
        assert torch.equal(one.region.contains(z), sides.all(dim=1))
        assert one.region.contains(one.latents).all()
    # A threshold that was changed leaves the query on the other side.
    unit = run.region.units[0]
    thresholds[unit] += 100.0 * run.region.signs[0]
    save_file(load_file(place / "boundary.safetensors") | {"thresholds": thresholds}, place / "boundary.safetensors")
    with pytest.raises(RunDirectoryError):
        load_run(place, generator=generator)


def test_a_run_on_a_sphere_comes_back_as_it_was(tmp_path: Path) -> None:
    run = sphere_run()
    back = load_run(save_run(run, tmp_path / "run"), generator=ScaleInvariantNet(5))
    assert json.loads((tmp_path / "run" / "config.json").read_text())["latent"]["geometry"] == "sphere"
    assert back.config() == run.config()
    assert back.latent == run.latent
    assert back.region.rounding == run.region.rounding
    assert torch.equal(
        back.geometry.distances(back.latents, run.rejected[:1]), run.geometry.distances(run.latents, run.rejected[:1])
    )


def test_a_run_from_before_there_were_geometries_is_flat(place: Path) -> None:
    config = json.loads((place / "config.json").read_text())
    del config["latent"]["geometry"]
    (place / "config.json").write_text(json.dumps(config))
    assert load_run(place, generator=small_network()).latent == plane_run().latent


def test_a_loaded_run_can_be_saved_again(finished: Path, tmp_path: Path) -> None:
    again = save_run(load_run(finished, generator=small_network()), tmp_path / "again")
    assert (again / "samples.safetensors").read_bytes() == (finished / "samples.safetensors").read_bytes()
    assert (again / "config.json").read_bytes() == (finished / "config.json").read_bytes()


def test_without_a_generator_the_zoo_is_asked(finished: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="generator="):
        load_run(finished)


def test_another_network_is_refused(finished: Path) -> None:
    with pytest.raises(RunDirectoryError, match="other weights"):
        load_run(finished, generator=colour_run().generator)


def test_an_unfinished_run_is_refused(place: Path, tmp_path: Path) -> None:
    (place / "DONE").unlink()
    with pytest.raises(RunDirectoryError, match="unfinished"):
        load_run(place)
    with pytest.raises(RunDirectoryError, match="is no directory"):
        load_run(tmp_path / "nothing")


def cut_short(name: str) -> Callable[[Path], None]:
    return lambda place: (place / name).write_bytes((place / name).read_bytes()[:-40])  # type: ignore[func-returns-value]


def without_key(place: Path) -> None:
    config = json.loads((place / "config.json").read_text())
    del config["gbrrt"]
    (place / "config.json").write_text(json.dumps(config))


def short_parents(place: Path) -> None:
    tensors = load_file(place / "samples.safetensors")
    save_file(tensors | {"parents": tensors["parents"][:-1].clone()}, place / "samples.safetensors")


def foreign_units(place: Path) -> None:
    tensors = load_file(place / "boundary.safetensors")
    save_file(tensors | {"units": tensors["units"] + 10_000}, place / "boundary.safetensors")


@pytest.mark.parametrize(
    "damage",
    [
        cut_short("config.json"),
        cut_short("samples.safetensors"),
        cut_short("boundary.safetensors"),
        lambda place: (place / "metrics.json").unlink(),
        lambda place: (place / "config.json").write_text("[]"),
        without_key,
        short_parents,
        foreign_units,
    ],
)
def test_damage_is_told(place: Path, damage: Callable[[Path], None]) -> None:
    damage(place)
    with pytest.raises(RunDirectoryError, match="damaged"):
        load_run(place, generator=small_network())


def test_a_run_of_version_0_1_0_is_a_tree(place: Path) -> None:
    config, metrics = (json.loads((place / name).read_text()) for name in ("config.json", "metrics.json"))
    for name in ("samplers", "region"):
        config.pop(name)
    del metrics["samplers"]
    (place / "config.json").write_text(json.dumps(config))
    (place / "metrics.json").write_text(json.dumps(metrics))
    run, back = plane_run(), load_run(place, generator=small_network())
    assert list(back.samples) == ["tree"]
    assert torch.equal(back.grown.latents, run.grown.latents)
    assert back.certificate == run.certificate
    assert back.metrics() == run.metrics()


def test_a_run_of_one_of_many_outputs_comes_back_with_it(tmp_path: Path) -> None:
    generator = ManyOutputs(pair)
    run = explore(generator, QUERY, 1, rng=0, output=1, samples=0, beropt=QUICK, gbrrt=GbRrtConfig(iterations=20))
    assert run.config()["output"] == 1
    assert run.query_image.shape == (1, 2, 2)
    back = load_run(save_run(run, tmp_path / "run"), generator=generator)
    assert back.network.output == 1
    assert torch.equal(back.images(), run.images())
    assert back.config() == run.config()


def test_a_run_from_before_there_were_outputs_has_the_default_one(place: Path) -> None:
    config = json.loads((place / "config.json").read_text())
    del config["output"]
    (place / "config.json").write_text(json.dumps(config))
    assert load_run(place, generator=small_network()).network.output is None


def test_a_layer_within_a_decision_region_is_read_back(tmp_path: Path) -> None:
    generator = nn.Sequential(linear([[1.0, 0.0], [0.0, 1.0]]), nn.ReLU(), nn.Unflatten(1, (1, 1, 2)))
    classifier = nn.Sequential(nn.Flatten(), linear([[1.0, 0.0], [0.0, 1.0]]))
    both = egbas.Classified(generator, classifier)
    settings = {"samples": 0, "rng": 0, "latent": LatentSpace(shape=(2,))}
    run = egbas.explore(both, torch.tensor([2.0, 1.0]), 1, region="class", **settings)
    run.save(tmp_path / "run")
    again = egbas.load_run(tmp_path / "run", both)
    assert again.decision is not None and again.decision.target_class == 0 and again.held == "logits"
    assert again.support.beropt.units.tolist() == run.support.beropt.units.tolist()
    z = 3 * torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    assert torch.equal(again.region.contains(z), run.region.contains(z))
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["class"] == 0 and config["hold"] == "logits" and config["region"] is None
    config["class"] = 1  # the query has another
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        RunDirectoryError, match="class is 1: the query lies outside the decision region of class 1; expected 0"
    ):
        egbas.load_run(tmp_path / "run", both)
