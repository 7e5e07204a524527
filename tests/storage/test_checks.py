# SPDX-License-Identifier: MIT
"""Run directories that somebody changed, or that broke: each ends in an error that names the file."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import egbas
from egbas.cli.selftest import small_network
from egbas.errors import RunDirectoryError
from egbas.storage import load_run
from tests.problems import ScaleInvariantNet
from tests.runs import QUICK, sphere_run

QUERY = torch.tensor([0.3, -0.2])
GONE = object()


class Ball:
    def contains(self, z: Tensor) -> Tensor:
        return z.norm(dim=1) < 0.8


class Draws:
    name = "draws"

    def sample(self, region, start, latent, rng, progress=None):
        return egbas.Samples(latents=start.repeat(5, 1), status="DONE", evaluations=5, facts={"steps": 5})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def finished(folder: Path) -> Path:
    """A run with a layer, a tree and exact samples, which looked at a part of the image."""
    samplers, gbrrt = ["tree", "prior", Draws()], egbas.GbRrtConfig(iterations=200)
    settings: dict[str, Any] = {"samplers": samplers, "gbrrt": gbrrt, "beropt": QUICK, "samples": 20}
    return egbas.explore(small_network(), QUERY, 1, rng=3, focus=(0, 0, 3, 2), **settings).save(folder / "run")


@pytest.fixture(scope="module")
def of_region(folder: Path) -> Path:
    """A run in a region of one's own, whose chains lie beside the other samples."""
    samplers = ["uniform", Draws()]
    return egbas.explore(small_network(), QUERY, region=Ball(), rng=3, samplers=samplers, samples=20).save(
        folder / "of"
    )


@pytest.fixture
def place(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def changed_json(place: Path, name: str, where: str, value: Any) -> None:
    """Set the value at some keys, take it away, or set it to what a function makes of it."""
    content = json.loads((place / name).read_text())
    *keys, last = where.split(".")
    inner = content
    for key in keys:
        inner = inner[key]
    if value is GONE:
        del inner[last]
    else:
        inner[last] = value(inner[last]) if callable(value) else value
    (place / name).write_text(json.dumps(content))


def changed_tensors(place: Path, name: str, **changes: Callable[[Tensor], Tensor] | None) -> None:
    """Set tensors to what functions make of them; None takes one away."""
    tensors = load_file(place / name)
    for key, change in changes.items():
        tensor = tensors.pop(key.replace("__", "/"))
        if change is not None:
            tensors[key.replace("__", "/")] = change(tensor.clone()).contiguous()
    save_file(tensors, place / name)


def assert_told(place: Path, file: str, *words: str, generator: nn.Module | None = None, **given: Any) -> None:
    with pytest.raises(RunDirectoryError) as told:
        load_run(place, generator=generator or small_network(), **given)
    text = str(told.value)
    assert text.startswith(f"{place / file} is damaged"), text
    for word in ("explore again", *words):
        assert word in text, text


def at(index: int, value: float) -> Callable[[Tensor], Tensor]:
    def change(tensor: Tensor) -> Tensor:
        tensor.view(-1)[index] = value
        return tensor

    return change


def short(tensor: Tensor) -> Tensor:
    return tensor[:-1]


CONFIG = [
    ("seed", "x", "seed is 'x'; expected an integer from 0 to 2**63 - 1"),
    ("seed", -1, "seed is -1"),
    ("seed", True, "seed is True"),
    ("seed", 2**63, "from 0 to 2**63 - 1"),
    ("seed", GONE, "seed is missing"),
    ("layer", "relu", "layer is 'relu'; expected an object"),
    ("layer", GONE, "layer is missing"),
    ("layer", None, "layer is None; expected an object"),
    ("layer.path", 3, "layer.path is 3"),
    ("layer.path", "nowhere", "layer 'nowhere' is not in the generator"),
    ("layer.path", "", "layer.shape is [24]; expected [1, 4, 4]"),
    ("layer.shape", [7], "layer.shape is [7]; expected [24]"),
    ("model", None, "model is None"),
    ("model.sha256", 5, "model.sha256 is 5"),
    ("latent", [], "latent is []"),
    ("latent.shape", [], "at least one"),
    ("latent.shape", ["2"], "each an integer of at least 1"),
    ("latent.shape", [3], "query is [0.3"),
    ("latent.geometry", "round", "one of flat, sphere"),
    ("latent.bound", "wide", "latent.bound is 'wide'"),
    ("latent.prior", "sphere", "KeyError: 'radius'"),
    ("query", [0.3], "a list of 2, each a finite number"),
    ("query", [0.3, -0.2, 1.0], "a list of 2"),
    ("query", [0.3, None], "each a finite number"),
    ("query", [0.3, 10**400], "each a finite number"),
    ("query", "ab", "a list, each a finite number"),
    ("samplers", ["tree"], "expected ['tree', 'prior', 'draws']"),
    ("samplers", 3, "samplers is 3"),
    ("gbrrt", GONE, "gbrrt is missing"),
    ("gbrrt.step_size", 0, "gbrrt.step_size is 0; expected a finite number above 0"),
    ("gbrrt.half_width", "wide", "gbrrt.half_width is 'wide'"),
    ("gbrrt.iterations", 201, "gbrrt.iterations is 201; expected 200"),
    ("beropt", None, "beropt is None"),
    ("beropt.threshold", 2, "between 0 and 1"),
    ("beropt.sparsity", "x", "sparsity"),
    ("beropt.sparsity", -1.0, "BerOpt's sparsity is -1.0"),
    ("beropt.temperatures", GONE, "KeyError"),
    ("level", 3, "level is 3; expected None"),
    ("focus", [0, 0, 1, 1], "focus is [0, 0, 1, 1]; expected [0, 0, 3, 2]"),
    ("exact", "many", "exact is 'many'"),
    ("exact", {"samples": 0}, "exact.samples is 0"),
    ("exact.n_chains", 3, "the exact samplers' n_chains is 3"),
    ("exact.unknown", 0, "unexpected keyword argument"),
]

METRICS = [
    ("samplers", {}, "one at least"),
    ("samplers", [], "samplers is []"),
    ("samplers", None, "chains, of which 'region' tells"),
    ("samplers.tree", None, "samplers.tree is None"),
    ("samplers.prior.kind", "heap", "samplers.prior.kind is 'heap'; expected one of tree, chains, samples"),
    ("samplers.prior.kind", [], "samplers.prior.kind is []"),
    ("samplers.prior.kind", "samples", "samplers.prior.kind is samples; expected chains"),
    ("samplers", lambda told: {**told, "oak": told["tree"]}, "one tree at most"),
    ("samplers.tree.status", "GREAT", "one of COMPLETED, NOTHING_ACCEPTED"),
    ("samplers.tree.status", "NOTHING_ACCEPTED", "samplers.tree.status is 'NOTHING_ACCEPTED'; expected 'COMPLETED'"),
    ("samplers.tree.samples", 7, "samplers.tree.samples is 7"),
    ("samplers.prior.evaluations", -3, "samplers.prior.evaluations is -3"),
    ("samplers.prior.evaluations", 3, "region.evaluations"),
    ("samplers.prior.facts", None, "samplers.prior.facts is None"),
    ("samplers.prior.facts.ess", "many", "samplers.prior.facts.ess is 'many'"),
    ("samplers.prior.facts.r_hat", GONE, "samplers.prior.facts.r_hat is missing"),
    ("samplers.prior.facts.r_hat", 1.0, "region.r_hat"),
    ("samplers.prior.facts.chains", 10**400, "samplers.prior.facts.chains is 1"),
    ("samplers.prior.facts.chains", 0, "samplers.prior.facts.chains is 0"),
    ("samplers.prior.certificate", {}, "samplers.prior.certificate.n_samples is missing"),
    ("samplers.prior.certificate.n_samples", 1000, "the certificate of 'prior' is"),
    ("samplers.prior.certificate.n_inside", 1000, "the certificate of 'prior' is 1000 of"),
    ("samplers.prior.certificate.n_inside", -1, "samplers.prior.certificate.n_inside is -1"),
    ("samplers.prior.certificate.n_inside", lambda n: n - 1, "below 0 where some of them are outside"),
    ("samplers.tree.certificate.smallest_margin", -0.5, "with a smallest margin of -0.5"),
    ("samplers.tree.certificate.smallest_margin", "0", "smallest_margin is '0'"),
    ("samplers.tree.certificate.dtype", "float128", "one of float64"),
    ("certificate", [], "certificate is []"),
    ("certificate.n_samples", 5, "certificate.n_samples is 5"),
    ("certificate.smallest_margin", 3.0, "certificate.smallest_margin is 3.0"),
    ("certificate.is_valid", False, "certificate.is_valid is False; expected True"),
    ("samples", 1, "samples is 1"),
    ("iterations", 1, "iterations is 1; expected 200"),
    ("rejected_outside", -1, "rejected_outside is -1"),
    ("acceptance", 1, "acceptance is 1"),
    ("gbrrt_status", "nothing", "gbrrt_status is 'nothing'"),
    ("head_evaluations", 1.5, "head_evaluations is 1.5"),
    ("head_rounds", GONE, "head_rounds is missing"),
    ("units", 15, "units is 15; expected 24"),
    ("supporting_units", 0, "supporting_units is 0"),
    ("beropt_steps", 1, "beropt_steps is 1"),
    ("beropt_status", "DONE", "one of CONVERGED, MAX_STEPS, OUT_OF_REACH, EMPTY"),
    ("fidelity", None, "fidelity is None"),
    ("polarisation", 1.5, "polarisation is 1.5; expected a finite number from 0 to 1"),
    ("region", [], "region is []"),
    ("region.sampler", "tree", "region.sampler is 'tree'"),
    ("region.sampler", GONE, "region.sampler is missing"),
    ("region.ess", 10**6, "region.ess is 1000000"),
    ("region.status", "GOOD", "region.status is 'GOOD'"),
    ("region.log10_mass", "small", "region.log10_mass is 'small'"),
    ("region.log10_mass_low", GONE, "region.log10_mass_low is missing"),
    ("region.freedom_low", GONE, "region.freedom_low is missing"),
    ("region.distance", None, "region.distance is None"),
    ("region.distance.q50", "x", "region.distance.q50 is 'x'"),
    ("region.distance.q01", 0.5, "unexpected keyword argument"),
    ("region.distance.q05", 9.0, "region.distance is {'q05': 9.0"),
    ("region.log10_mass", -99.0, "log10_mass_low <= log10_mass <= log10_mass_high"),
    ("region.freedom_low", 2.0, "freedom_low <= freedom_high"),
    ("region.judges", {"hue": {}}, "region.judges.hue.query is missing"),
    ("seconds", {"beropt": "long"}, "seconds.beropt is 'long'"),
    ("warnings", "none", "warnings is 'none'"),
]


@pytest.mark.parametrize(("where", "value", "words"), CONFIG)
def test_config(place: Path, where: str, value: Any, words: str) -> None:
    changed_json(place, "config.json", where, value)
    assert_told(place, "config.json", words)


@pytest.mark.parametrize(("where", "value", "words"), METRICS)
def test_metrics(place: Path, where: str, value: Any, words: str) -> None:
    changed_json(place, "metrics.json", where, value)
    assert_told(place, "metrics.json", words)


TENSORS = [
    ("boundary", {"signs": lambda v: v * 5}, "signs is [", "-1 or +1 each"),
    ("boundary", {"signs": at(0, 0)}, "-1 or +1 each"),
    ("boundary", {"signs": torch.neg}, "the signs do not belong to this query"),
    ("boundary", {"signs": short}, "signs is of shape"),
    ("boundary", {"signs": lambda v: v.long()}, "signs is int64; expected int8"),
    ("boundary", {"signs": None}, "signs is missing"),
    ("boundary", {"units": lambda v: v + 10_000}, "units is [", "those with theta above 0.5"),
    ("boundary", {"units": lambda v: -v}, "those with theta above 0.5"),
    ("boundary", {"units": lambda v: v[0].repeat(len(v))}, "those with theta above 0.5"),
    ("boundary", {"units": lambda v: v.flip(0), "signs": lambda v: v.flip(0)}, "those with theta above 0.5, in order"),
    ("boundary", {"units": short, "signs": short}, "those with theta above 0.5"),
    ("boundary", {"units": lambda v: v[:0], "signs": lambda v: v[:0]}, "those with theta above 0.5"),
    ("boundary", {"units": lambda v: v.to(torch.uint8)}, "units is uint8; expected int64"),
    ("boundary", {"theta": short}, "theta is of shape (23,); expected shape (24,)"),
    ("boundary", {"theta": lambda v: 1 - v}, "units is ["),
    ("boundary", {"theta": at(0, torch.nan)}, "theta is [nan", "from 0 to 1"),
    ("boundary", {"theta": at(3, 1.5)}, "from 0 to 1.5"),
    ("boundary", {"losses": short}, "sizes is of shape"),
    ("boundary", {"losses": lambda v: v[None]}, "losses is of shape"),
    ("boundary", {"focus": lambda v: 2 * v}, "0 or 1 each"),
    ("boundary", {"focus": torch.zeros_like}, "and some 1"),
    ("boundary", {"focus": lambda v: v[:, :-1]}, "focus is of shape (4, 3); expected shape (4, 4)"),
    ("samples", {"query": at(0, torch.nan)}, "query is [nan"),
    ("samples", {"query": at(0, 0.31)}, "that of config.json"),
    ("samples", {"query": lambda v: v[None]}, "query is of shape (1, 2); expected shape (2,)"),
    ("samples", {"latents": at(5, torch.inf)}, "latents is ["),
    ("samples", {"latents": at(0, 0.31)}, "expected the query"),
    ("samples", {"latents": at(5, 0.9)}, "lies", "expected edges of the step size"),
    ("samples", {"latents": lambda v: v[:0], "parents": lambda v: v[:0]}, "parents is []"),
    ("samples", {"latents": lambda v: v[:, :1]}, "expected shape (77, 2)"),
    ("samples", {"latents": lambda v: v[:, None]}, "expected shape (n, 2)"),
    ("samples", {"latents": lambda v: v.int()}, "latents is int32; expected float16 or"),
    ("samples", {"parents": at(2, 9999)}, "parents is [", "to 9999"),
    ("samples", {"parents": at(1, 1)}, "below its own place"),
    ("samples", {"parents": at(2, 5)}, "below its own place"),
    ("samples", {"parents": at(3, -1)}, "below its own place"),
    ("samples", {"parents": at(0, 0)}, "below its own place"),
    ("samples", {"parents": at(-1, 0)}, "expected edges of the step size"),
    ("samples", {"parents": short}, "parents is of shape"),
    ("samples", {"parents": lambda v: v.double()}, "parents is float64; expected int64"),
    ("samples", {"rejected_reason": at(0, 3)}, "1 or 2 each"),
    ("samples", {"rejected_reason": at(0, 0)}, "1 or 2 each"),
    ("samples", {"rejected_reason": short}, "rejected_reason is of shape"),
    ("samples", {"rejected": short}, "rejected_reason is of shape"),
    ("samples", {"rejected": None}, "rejected is missing"),
    ("samples", {"draws__latents": None}, "draws/latents is missing"),
    ("samples", {"draws__latents": lambda v: v[None]}, "draws/latents is of shape"),
    ("region", {"freedom": lambda v: v[:, :2]}, "freedom is of shape (1, 2, 4); expected shape (1, 4, 4)"),
    ("region", {"freedom": lambda v: v[0]}, "expected shape (1, 4, 4)"),
    ("region", {"freedom": lambda v: v - 10}, "numbers of at least 0, or NaN"),
    ("region", {"freedom": None}, "freedom is missing"),
    ("region", {"chain": short}, "chain is of shape"),
    ("region", {"chain": lambda v: v.float()}, "chain is float32; expected int64 or int32"),
    ("region", {"chain": at(0, -1)}, "from 0 to 15 each"),
    ("region", {"chain": at(0, 16)}, "from 0 to 15 each"),
    ("region", {"latents": at(0, torch.nan)}, "latents is [nan"),
    ("region", {"latents": None}, "latents is missing"),
]


@pytest.mark.parametrize(("name", "changes", "words"), [(name, changes, words) for name, changes, *words in TENSORS])
def test_tensors(place: Path, name: str, changes: dict[str, Any], words: list[str]) -> None:
    changed_tensors(place, f"{name}.safetensors", **changes)
    assert_told(place, f"{name}.safetensors", *words)


def test_a_tree_without_its_last_node_is_told(place: Path) -> None:
    changed_tensors(place, "samples.safetensors", latents=short, parents=short)
    assert_told(place, "metrics.json", "the certificate of 'tree'")


def test_rejected_candidates_that_were_lost_are_told(place: Path) -> None:
    changed_tensors(place, "samples.safetensors", rejected=short, rejected_reason=short)
    assert_told(place, "config.json", "gbrrt.iterations is 200; expected 199")


def test_exact_samples_that_were_lost_are_told(place: Path) -> None:
    changed_tensors(place, "region.safetensors", latents=short, chain=short)
    assert_told(place, "metrics.json", "the certificate of 'prior'")


def test_a_sampler_that_was_lost_is_told(place: Path) -> None:
    changed_json(place, "metrics.json", "samplers.draws", GONE)
    assert_told(place, "config.json", "samplers is ['tree', 'prior', 'draws']")


def test_a_region_block_that_was_lost_is_told(place: Path) -> None:
    changed_json(place, "metrics.json", "region", GONE)
    assert_told(place, "samples.safetensors", "prior/latents is missing")


@pytest.mark.parametrize("name", ["tree?", "*", "", "a.b"])
def test_names_of_samplers_are_no_signs_of_a_table(place: Path, name: str) -> None:
    changed_json(place, "metrics.json", "samplers", lambda told: {**told, name: {"kind": "samples"}})
    assert_told(place, "metrics.json", "status is missing")


def test_the_whole_is_as_it_was(finished: Path, of_region: Path) -> None:
    for place, given in ((finished, {}), (of_region, {"region": Ball()})):
        back = load_run(place, generator=small_network(), **given)
        for told, name in ((back.metrics(), "metrics.json"), (back.config(), "config.json")):
            assert json.loads(json.dumps(told)) == json.loads((place / name).read_text())


@pytest.mark.parametrize(
    ("file", "where", "value", "words"),
    [
        ("config.json", "region", {}, "region.kind is missing"),
        ("config.json", "layer", {"path": "relu"}, "layer is {'path': 'relu'}; expected null"),
        ("metrics.json", "samplers.uniform.kind", "samples", "expected chains, for samples.safetensors has them"),
        ("metrics.json", "samplers.uniform.certificate.n_samples", 3, "the certificate of 'uniform'"),
        ("metrics.json", "samplers.draws.facts", {"steps": [None, 1e400]}, "Infinity is no number of JSON"),
        ("metrics.json", "region", {"sampler": "prior"}, "samplers.prior.kind is None"),
    ],
)
def test_a_region_of_ones_own(of_region: Path, tmp_path: Path, file: str, where: str, value: Any, words: str) -> None:
    place = Path(shutil.copytree(of_region, tmp_path / "run"))
    if where == "region" and file == "metrics.json":
        save_file({}, place / "region.safetensors")
    changed_json(place, file, where, value)
    assert_told(place, file, words, region=Ball())


def test_chains_beside_the_other_samples_are_checked(of_region: Path, tmp_path: Path) -> None:
    place = Path(shutil.copytree(of_region, tmp_path / "run"))
    changed_tensors(place, "samples.safetensors", uniform__chain=short)
    assert_told(place, "samples.safetensors", "uniform/chain is of shape", region=Ball())


def test_edges_on_a_sphere_are_arcs(tmp_path: Path) -> None:
    place = sphere_run().save(tmp_path / "run")
    assert load_run(place, generator=ScaleInvariantNet(5)).tree is not None
    changed_tensors(place, "samples.safetensors", latents=lambda v: torch.cat([v[:1], 1.1 * v[1:]]))
    assert_told(place, "samples.safetensors", "expected edges of the step size", generator=ScaleInvariantNet(5))


def test_what_no_table_knows_is_let_be(place: Path) -> None:
    for name in ("config.json", "metrics.json"):
        changed_json(place, name, "from_tomorrow", {"a": 1})
    tensors = load_file(place / "boundary.safetensors") | {"from_tomorrow": torch.zeros(2)}
    save_file(tensors, place / "boundary.safetensors")
    assert load_run(place, generator=small_network()).level is None


class Listed(nn.Module):
    """A network whose last weights are in no ``state_dict``."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.inner = small_network()
        self.factors = [torch.tensor(factor)]

    def forward(self, z: Tensor) -> Tensor:
        return torch.tanh(self.factors[0] * self.inner(z))


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = egbas.GbRrtConfig(iterations=30)
    run = egbas.explore(Listed(1.0), torch.tensor([0.3, -0.2]), 1, rng=0, samples=0, gbrrt=config, beropt=QUICK)
    return run.save(tmp_path_factory.mktemp("listed") / "run")


def test_weights_that_are_in_no_checksum_are_seen(listed: Path) -> None:
    assert len(load_run(listed, Listed(1.0)).samples) == 1
    for factor in (1.01, 1.2):
        with pytest.raises(RunDirectoryError, match="its images are others"):
            load_run(listed, Listed(factor))


def test_a_run_without_outputs_still_loads(listed: Path, tmp_path: Path) -> None:
    place = Path(shutil.copytree(listed, tmp_path / "run"))
    tensors = load_file(place / "samples.safetensors")
    del tensors["outputs"]
    save_file(tensors, place / "samples.safetensors")
    assert len(load_run(place, Listed(1.0)).samples) == 1


def test_a_run_whose_images_are_vectors_comes_back(tmp_path: Path) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(2, 6), nn.ReLU(), nn.Linear(6, 5)).eval()
    run = egbas.explore(net, torch.tensor([0.3, -0.2]), 1, rng=0, samples=20, beropt=QUICK)
    back = load_run(run.save(tmp_path / "run"), net)
    assert run.freedom is not None and back.freedom is not None
    assert back.freedom.shape == (5,)
    assert torch.equal(back.freedom, run.freedom)
    tensors = load_file(tmp_path / "run/region.safetensors")
    save_file(tensors | {"freedom": tensors["freedom"][:4].contiguous()}, tmp_path / "run/region.safetensors")
    with pytest.raises(RunDirectoryError, match=r"freedom.*\(4,\).*\(5,\)"):
        load_run(tmp_path / "run", net)
