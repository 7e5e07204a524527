# SPDX-License-Identifier: MIT
"""What is refused by these tables is tested in ``test_checks.py``, with real files."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from egbas.errors import RunDirectoryError
from egbas.storage import tables
from egbas.storage.expected import Expected, check_tensors
from tests.runs import exact_run

DOCS = (Path(__file__).parents[2] / "docs" / "run-directory.md").read_text()


def names_of(table: Any) -> set[str]:
    if isinstance(table, Expected):
        return set()
    if isinstance(table, list):
        return set().union(*map(names_of, table))
    return {name.rstrip("?") for name in table if name != "*"}.union(*map(names_of, table.values()))


def test_tensors_are_those_of_the_docs_and_of_a_saved_run(tmp_path: Path) -> None:
    place = exact_run().save(tmp_path / "run")
    assert set(load_file(place / "boundary.safetensors")) == set(tables.BOUNDARY)
    assert set(load_file(place / "samples.safetensors")) == {"query", "outputs", *tables.TREE}
    for name in (*tables.BOUNDARY, *tables.TREE, *tables.freedom_of(3), "focus", "thresholds"):
        assert f"| `{name}` |" in DOCS


@pytest.mark.parametrize("table", [tables.MASS, tables.FACTS])
def test_keys_of_the_region_are_those_of_the_docs(table: Any) -> None:
    for name in names_of(table):
        assert f"`{name}`" in DOCS, name


@pytest.mark.parametrize("chain", [[], [0, 0, 1, 2], [2, 1]])
def test_chains(chain: list[int]) -> None:
    wanted = {"chain": tables.chain_of(3)}
    check_tensors(Path("f"), {"chain": torch.tensor(chain, dtype=torch.int64)}, wanted, {})
    with pytest.raises(RunDirectoryError, match="from 0 to 2 each"):
        check_tensors(Path("f"), {"chain": torch.tensor([*chain, 3])}, wanted, {})
