# SPDX-License-Identifier: MIT
"""Seeded fuzz: whatever a file or a command line holds, it is taken, or refused with one of our own errors.

``pytest -m slow tests/test_fuzz.py`` runs many times as many cases as the suite does; ``-s`` shows the counts.
"""

import functools
import io
import json
import pickle
import random
import shutil
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save
from typer.testing import CliRunner

import egbas
from egbas.cli import app
from egbas.cli.selftest import small_network
from egbas.errors import EgbasError
from egbas.inputs.queries import find_bank, find_query, seeded
from egbas.latent import LatentSpace
from tests.runs import exact_run

LONG = pytest.param(40, marks=pytest.mark.slow)
VALUES = [None, True, -1, 0, 1, 2**63, 10**400, 0.5, -1e308, "", "x", "prior", [], [1], [[]], {}, {"a": 1}]
HOSTILE = [
    "",
    " ",
    "-1",
    "0",
    "1",
    "0.5",
    "nan",
    "inf",
    "1e400",
    "9" * 30,
    "9" * 4400,
    "x:y",
    "os:getcwd",
    "\u00e9",
    "a,b",
    ".",
]


def damaged(content: bytes, draw: random.Random) -> bytes:
    """Some bytes changed, lost, doubled or cut off."""
    data, at = bytearray(content), draw.randrange(len(content))
    kind = draw.randrange(5)
    if kind == 0:
        return bytes(data[:at])
    if kind == 1:
        del data[at : at + draw.randint(1, 64)]
    elif kind == 2:
        data[at:at] = data[at : at + draw.randint(1, 64)]
    else:
        for _ in range(draw.choice((1, 1, 8, 64))):
            data[draw.randrange(min(len(data), draw.choice((128, len(data)))))] = draw.randrange(256)
    return bytes(data)


def replaced(value: object, draw: random.Random) -> object:
    """JSON with one value in it replaced, or gone."""
    if isinstance(value, dict | list) and value and draw.random() < 0.85:
        inner = dict(value) if isinstance(value, dict) else dict(enumerate(value))
        key = draw.choice(list(inner))
        inner[key] = replaced(inner[key], draw)
        if draw.random() < 0.1:
            del inner[key]
        return inner if isinstance(value, dict) else list(inner.values())
    return draw.choice(VALUES)


def outcome(work: Callable[[], object]) -> str:
    """``taken``, or the name of our error; any other error is a defect and comes through."""
    try:
        work()
    except EgbasError as error:
        assert str(error)
        return type(error).__name__
    return "taken"


def told(what: str, counts: Counter[str]) -> None:
    print(f"{what}: {counts.total()} cases, {dict(counts)}")
    assert counts.total() > 0


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exact_run().save(tmp_path_factory.mktemp("fuzz") / "run")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("times", [1, LONG])
def test_run_directories(times: int, finished: Path, tmp_path: Path, without_type_checks: None) -> None:
    draw, counts = random.Random(17), Counter[str]()
    names = sorted(path.name for path in finished.iterdir() if path.suffix in (".json", ".safetensors"))
    place = Path(shutil.copytree(finished, tmp_path / "run"))
    for _ in range(60 * times):
        name = draw.choice(names)
        content = (finished / name).read_bytes()
        if name.endswith(".json") and draw.random() < 0.8:
            changed = json.dumps(replaced(json.loads(content), draw)).encode()
        else:
            changed = damaged(content, draw)
        (place / name).write_bytes(changed)
        counts[outcome(lambda: egbas.load_run(place, small_network()))] += 1
        (place / name).write_bytes(content)
    told("run directories", counts)
    assert counts.keys() <= {"taken", "RunDirectoryError", "ConfigError", "NetworkError"}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("times", [1, LONG])
def test_files_of_latents(times: int, tmp_path: Path) -> None:
    draw, counts, space = random.Random(18), Counter[str](), LatentSpace(shape=(3,))
    npy, npz = io.BytesIO(), io.BytesIO()
    np.save(npy, np.ones((1, 3), np.float32))
    np.savez(npz, z=np.ones((1, 3), np.float32))
    whole = {".npy": npy.getvalue(), ".npz": npz.getvalue(), ".safetensors": save({"z": torch.ones(1, 3)})}
    for _ in range(400 * times):
        suffix = draw.choice(sorted(whole))
        path = tmp_path / f"z{suffix}"
        path.write_bytes(damaged(whole[suffix], draw))
        counts[outcome(lambda path=path: find_query(str(path), space))] += 1
        counts[outcome(lambda path=path: find_bank(str(path), space, seeded(0)))] += 1
    told("files of latents", counts)


CONTAINERS = (
    "zip",
    "zip of a module",
    "legacy",
    "legacy of a module",
    "safetensors",
    "pickle of tensors",
    "pickle of arrays",
    "TorchScript",
    "shards",
)


@functools.cache
def containers() -> dict[str, dict[str, bytes]]:
    """One network in every container that there is: the files of each, the one to load first."""
    net = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.ReLU(), torch.nn.Linear(4, 9))
    weights = net.state_dict()
    first, second = ({name: weights[name] for name in weights if name[0] == place} for place in "02")

    def saved(content: object, **settings: bool) -> bytes:
        buffer = io.BytesIO()
        torch.save(content, buffer, **settings)
        return buffer.getvalue()

    program = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls its own format outdated; people have such files
        torch.jit.save(torch.jit.trace(net, torch.ones(1, 2)), program)
    arrays = {name: value.numpy() for name, value in weights.items()}
    index = {"weight_map": {**dict.fromkeys(first, "a.safetensors"), **dict.fromkeys(second, "b.safetensors")}}
    return {
        "zip": {"w.pt": saved({"netG_state_dict": weights})},
        "zip of a module": {"w.pt": saved(net)},
        "legacy": {"w.pth": saved(weights, _use_new_zipfile_serialization=False)},
        "legacy of a module": {"w.pth": saved(net, _use_new_zipfile_serialization=False)},
        "safetensors": {"w.safetensors": save(weights)},
        "pickle of tensors": {"w.pkl": pickle.dumps(dict(weights))},
        "pickle of arrays": {"w.pkl": pickle.dumps(arrays)},
        "TorchScript": {"w.pt": program.getvalue()},
        "shards": {
            "w.safetensors.index.json": json.dumps(index).encode(),
            "a.safetensors": save(first),
            "b.safetensors": save(second),
        },
    }


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("times", [1, LONG])
@pytest.mark.parametrize("container", CONTAINERS)
def test_checkpoints(times: int, container: str, tmp_path: Path, without_type_checks: None) -> None:
    whole, counts = containers()[container], Counter[str]()
    activation = None if "module" in container else "relu"  # a module tells its own
    draw, (path, *_) = random.Random(f"19 {container}"), (tmp_path / name for name in whole)
    for turn in range(40 * times):
        spoilt = draw.choice(list(whole)) if turn else None  # the first is taken as it is
        for name, content in whole.items():
            (tmp_path / name).write_bytes(damaged(content, draw) if name == spoilt else content)
        counts[outcome(lambda: egbas.load_model(path, activation=activation))] += 1
        if not turn:
            assert counts == {"CheckpointError" if container in ("TorchScript", "pickle of arrays") else "taken": 1}
    told(f"checkpoints, {container}", counts)
    assert counts.keys() <= {"taken", "CheckpointError"}


@pytest.mark.parametrize("times", [1, LONG])
def test_command_lines(times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    draw, counts = random.Random(20), Counter[str]()
    settings = ["layer", "latent", "seed", "level", "delta", "sparsity", "threshold", "focus", "judge", "features"]
    settings += [
        "max-steps",
        "geometry",
        "half-width",
        "step-size",
        "iterations",
        "max-evaluations",
        "device",
        "threads",
    ]
    for _ in range(25 * times):
        words = ["explore", "--samples", "0", "--quiet", "--out", "run", "--overwrite"]
        for name in draw.sample(settings, draw.randint(2, 5)):
            words += [f"--{name}", draw.choice(HOSTILE)]
        result = CliRunner().invoke(app, words)
        assert result.exit_code in (0, 2), (words, result.exception)
        counts[str(result.exit_code)] += 1
        assert result.exit_code == 0 or counts["0"] or not (tmp_path / "run").exists(), words
        torch.set_num_threads(1)
    told("command lines", counts)
