# SPDX-License-Identifier: MIT
"""Exact samples in a run directory."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from egbas.cli.selftest import small_network
from egbas.errors import RunDirectoryError
from egbas.report import galleries_of, render
from egbas.samplers.exact import ExactConfig
from egbas.storage import load_run
from tests.problems import HalvesNet
from tests.runs import exact_run, focused_run, plane_run, repeated_run


def test_exact_samples_come_back_as_they_were(tmp_path: Path) -> None:
    run = exact_run()
    place = run.save(tmp_path / "run")
    tensors = load_file(place / "region.safetensors")
    assert set(tensors) == {"latents", "chain", "freedom"}
    back = load_run(place, generator=small_network())
    assert run.exact is not None
    assert back.exact is not None
    assert torch.equal(back.exact.latents, run.exact.latents)
    assert torch.equal(back.exact.chain, run.exact.chain)
    assert back.exact.diagnostics == run.exact.diagnostics
    assert back.freedom is not None
    assert torch.allclose(back.freedom, run.freedom, rtol=0, atol=0, equal_nan=True)
    assert back.metrics() == run.metrics()
    assert back.distance == run.distance


def test_the_seeds_of_beropt_come_back_as_they_were(tmp_path: Path) -> None:
    run = repeated_run()
    place = run.save(tmp_path / "run")
    assert json.loads((place / "config.json").read_text())["repeats"] == 3
    assert "freedom_over_sets" in load_file(place / "region.safetensors")
    back = load_run(place, generator=HalvesNet())
    assert run.certainty is not None
    assert back.certainty is not None
    assert (
        back.certainty.record()
        == run.certainty.record()
        == json.loads((place / "metrics.json").read_text())["certainty"]
    )
    assert torch.equal(back.certainty.frequency, run.certainty.frequency)
    assert torch.equal(back.certainty.core, run.certainty.core)
    maps = [one.certainty.agreement.freedom for one in (run, back)]
    assert torch.allclose(*maps, rtol=0, atol=0, equal_nan=True)
    page = render(run, galleries_of(run))
    assert "--repeats 5 asks them, too" not in page
    assert "--repeats 5 asks them, too" in render(exact_run(), galleries_of(exact_run()))
    assert "How certain it is" in page
    assert run.certainty.sentence.split(":")[0] in page
    assert "--repeats 3" in page


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("jaccard",), 1.2),
        (("repeats",), 1),
        (("agreement", "low"), 9.0),
        (("agreement", "map_correlation"), -2),
        (("rows",), [3]),
        (("rows",), [{"seed": -1}]),
    ],
)
def test_damage_to_them_is_told(tmp_path: Path, keys: tuple[str, ...], value: object) -> None:
    place = repeated_run().save(tmp_path / "run")
    metrics = json.loads((place / "metrics.json").read_text())
    part = metrics["certainty"]
    for key in keys[:-1]:
        part = part[key]
    part[keys[-1]] = value
    (place / "metrics.json").write_text(json.dumps(metrics))
    with pytest.raises(RunDirectoryError, match=r"certainty"):
        load_run(place, generator=HalvesNet())


def test_the_tree_is_the_same_with_and_without_them() -> None:
    assert torch.equal(exact_run().grown.latents, plane_run().grown.latents)
    assert exact_run().theta is not None
    assert torch.equal(exact_run().support.beropt.theta, plane_run().support.beropt.theta)


def test_all_are_inside_in_float64_and_the_block_says_what_they_are() -> None:
    run = exact_run()
    assert run.exact is not None
    assert run.certificates["prior"].is_valid
    assert run.certificates["prior"].dtype == "float64"
    assert bool((run.support.region.margin(run.exact.latents) >= 0).all())
    block = json.loads(json.dumps(run.metrics()["region"], allow_nan=False))
    assert {"sampler", "status", "r_hat", "ess", "evaluations", "log10_mass", "freedom", "distance"} <= block.keys()
    assert set(block["distance"]) == {"q05", "q50", "q95"}
    assert block["freedom_low"] <= block["freedom"] <= block["freedom_high"]


def test_the_report_leads_with_them() -> None:
    run = exact_run()
    page = render(run, galleries_of(run))
    assert page.index("exact samples") < page.index("spread over the whole tree")
    assert "held" in page


def test_what_did_not_converge_is_told() -> None:
    run = exact_run()
    assert run.exact is not None
    apart = dataclasses.replace(run.exact, status="NOT_CONVERGED", sentence="Not converged after 5 evaluations.")
    run = dataclasses.replace(run, samples={**run.samples, "prior": apart})
    assert "Not converged" in render(run, galleries_of(run))


def test_the_mass_comes_back_and_agrees_with_counting(tmp_path: Path) -> None:
    run = exact_run()
    assert run.mass is not None
    back = load_run(run.save(tmp_path / "run"), generator=small_network())
    assert back.mass is not None
    assert (back.mass.log10, back.mass.low, back.mass.high) == (run.mass.log10, run.mass.low, run.mass.high)
    z = run.latent.sample(100_000, torch.Generator().manual_seed(0))
    counted = run.region.contains(z).double().mean().log10()
    assert run.mass.low - 0.05 <= counted <= run.mass.high + 0.05  # an interval of 95 %, and the count's own error


def test_level_focus_scores_and_settings_come_back_as_they_were(tmp_path: Path) -> None:
    run = focused_run()
    back = load_run(run.save(tmp_path / "run"), generator=HalvesNet())
    assert (run.facts is not None, back.facts is not None) == (True, True)
    assert back.level == run.level == 5
    assert back.focus is not None and back.focus.dtype == torch.bool
    assert torch.equal(back.focus, run.focus)
    assert back.exact_config == run.exact_config == ExactConfig(samples=20, max_evaluations=3000)
    assert dict(back.facts.scores) == dict(run.facts.scores)
    assert back.facts.scores.keys() == {"brightness", "contrast", "corner"}
    assert back.facts.focus == run.facts.focus
    assert back.facts.feature_distance == run.facts.feature_distance is not None
    assert back.facts.words == run.facts.words != ""
    assert back.config() == run.config()
    assert back.metrics() == run.metrics()


def test_what_says_nothing_of_them_comes_back_without_them(tmp_path: Path) -> None:
    place = exact_run().save(tmp_path / "run")
    config, metrics = (json.loads((place / name).read_text()) for name in ("config.json", "metrics.json"))
    for name in ("level", "focus", "exact"):
        del config[name]
    del config["beropt"]["level"]
    for name in ("words", "judges", "focus", "feature_distance"):
        del metrics["region"][name]
    (place / "config.json").write_text(json.dumps(config))
    (place / "metrics.json").write_text(json.dumps(metrics))
    back = load_run(place, generator=small_network())
    assert (back.level, back.focus, back.exact_config) == (None, None, None)
    assert back.facts is not None and exact_run().facts is not None
    assert (dict(back.facts.scores), back.facts.focus, back.facts.feature_distance) == ({}, None, None)
    assert back.facts.mean == exact_run().facts.mean


def test_a_loaded_run_with_a_focus_can_be_saved_again(tmp_path: Path) -> None:
    first = focused_run().save(tmp_path / "run")
    again = load_run(first, generator=HalvesNet()).save(tmp_path / "again")
    for name in ("config.json", "boundary.safetensors", "region.safetensors"):
        assert (again / name).read_bytes() == (first / name).read_bytes()


def test_the_report_shows_freedom_first_and_the_scores() -> None:
    run = focused_run()
    assert run.facts is not None
    page = render(run, galleries_of(run))
    text = " ".join(page.split())
    assert text.index("Freedom of each pixel, averaged over channels") < text.index("The query and its samples")
    assert run.facts.words in text.replace("&#39;", "'")
    for name, score in run.facts.scores.items():
        assert f'<th scope="row">{name}</th>' in text
        assert f"<td>{score.word}</td>" in text
    assert f"In the focus, which BerOpt looked at, it is {run.facts.focus[0]:.2f}" in text  # type: ignore[index]
