# SPDX-License-Identifier: MIT
"""A byte of a file damaged, for files of every container: it loads or is refused, and nothing of it is run."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.zoo.containers.malicious import attacks, legacy, zipped
from tests.zoo.formats.damage import N_DAMAGES, small_files

ROOT = Path(__file__).parents[3]
KINDS = ("torch zip", "torch legacy", "pickle", "safetensors", "pickle of tensors", "whole network")
ATTACKS = ("attack", "attack in a zip", "legacy attack")


@pytest.fixture(scope="module")
def marker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What appears when an attack is run."""
    return tmp_path_factory.mktemp("marker") / "marker"


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory, marker: Path) -> dict[str, Any]:
    """What a program that watches itself says of every file and its damages."""
    folder = tmp_path_factory.mktemp("damage")
    attack = attacks(marker)["nested"]
    files = small_files(tmp_path_factory.mktemp("whole"))
    files |= dict(zip(ATTACKS, (attack, zipped(attack), legacy(attack)), strict=True))
    for name, data in files.items():
        (folder / name).write_bytes(data)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(ROOT / "tests/zoo/formats/damage.py"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_loads_or_is_refused(verdicts: dict[str, Any], kind: str) -> None:
    assert verdicts["whole"][kind] == "loaded"
    found = verdicts["damaged"][kind]
    assert found.keys() == {"loaded", "refused"}  # weights may be damaged without a trace, descriptions not
    assert sum(found.values()) == N_DAMAGES


@pytest.mark.parametrize("kind", ATTACKS)
def test_a_damaged_attack_is_refused(verdicts: dict[str, Any], kind: str) -> None:
    assert verdicts["whole"][kind] == "refused"
    assert verdicts["damaged"][kind] == {"refused": N_DAMAGES}


def test_nothing_is_run_or_imported(verdicts: dict[str, Any], marker: Path) -> None:
    assert not verdicts["acts"]
    assert not marker.exists()
