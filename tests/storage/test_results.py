# SPDX-License-Identifier: MIT
import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from egbas.errors import MissingExtraError, RunDirectoryError
from egbas.storage import Store, key_of, load_sweep, results
from egbas.storage.results import TableWriter, row_of, row_of_files, row_of_run

pytest.importorskip("pyarrow", reason="needs the extra egbas[sweep]")

CONFIG: dict[str, Any] = {
    "model": {"name": "m", "sha256": "abc"},
    "layer": {"number": 2, "path": "block.relu", "units": 8},
    "level": 6,
    "seed": 3,
    "query": [0.5, 1.0],
    "samplers": ["tree"],
    "beropt": {"sparsity": None, "temperatures": [1.0, 0.5]},
}
METRICS: dict[str, Any] = {
    "warnings": ["a", "b"],
    "units": 8,
    "fidelity": 0.25,
    "samplers": {"tree": {"status": "FULL"}},
    "region": {"freedom": 0.5, "distance": {"q95": 1.5}},
}


def files(seed: int, **metrics: Any) -> dict[str, bytes]:
    config = {**CONFIG, "seed": seed}
    return {
        "config.json": json.dumps(config).encode(),
        "metrics.json": json.dumps({**METRICS, **metrics}).encode(),
    }


def finished(store: Store, seed: int, **metrics: Any) -> dict[str, Any]:
    key = key_of({"seed": seed})
    place = store.finish(key, files(seed, **metrics))
    return row_of_run(key, place)


def test_a_row_has_settings_metrics_and_folder() -> None:
    row = row_of("ab" * 16, CONFIG, METRICS)
    assert {name: row[name] for name in ("task", "model", "layer", "level", "seed", "folder")} == {
        "task": "ab" * 16,
        "model": "m",
        "layer": "2",
        "level": 6,
        "seed": 3,
        "folder": f"tasks/{'ab' * 16}",
    }
    assert (row["region.distance.q95"], row["region.freedom"], row["fidelity"]) == (1.5, 0.5, 0.25)
    assert (row["model.sha256"], row["layer.path"], row["beropt.temperatures"]) == ("abc", "block.relu", "[1.0, 0.5]")
    assert row["warnings"] == "a\nb" and row["samplers.tree.status"] == "FULL" and row["samplers"] == '["tree"]'
    assert "query" not in row and len(row["query_sha256"]) == 16


def test_a_layer_without_a_number_has_its_path_and_a_name_that_is_taken_is_told_apart() -> None:
    config = {**CONFIG, "layer": {"number": None, "path": "conv"}, "fidelity": 9}
    row = row_of("k", config, METRICS)
    assert (row["layer"], row["fidelity"], row["config.fidelity"]) == ("conv", 0.25, 9)
    assert row_of_files("k", files(3)) == row_of("k", CONFIG, METRICS)


def test_parts_become_one_table_with_each_task_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "ROWS", 2)
    store = Store(tmp_path)
    table = TableWriter(store)
    for seed in range(5):
        table.add(finished(store, seed))
    table.add(finished(store, 0))  # found by two drivers
    assert len(list((tmp_path / "parts").iterdir())) == 3
    assert table.compact() == 5
    assert not (tmp_path / "parts").exists()
    assert sorted(row["seed"] for row in load_sweep(tmp_path).rows()) == list(range(5))
    assert {file.name for file in tmp_path.iterdir()} == {"tasks", "claims", "results.parquet"}


def test_what_a_killed_driver_did_not_write_down_is_read_from_the_directories(tmp_path: Path) -> None:
    store = Store(tmp_path)
    table = TableWriter(store)
    table.add(finished(store, 0))
    table.compact()
    finished(store, 1, new=7)  # and a column that the table does not have
    rows = {row["seed"]: row for row in load_sweep(tmp_path).rows()}
    assert rows[1]["new"] == 7 and rows[0]["new"] is None
    before = (tmp_path / "results.parquet").stat().st_mtime_ns
    load_sweep(tmp_path)
    assert (tmp_path / "results.parquet").stat().st_mtime_ns == before  # there was nothing to add


def test_columns_of_several_kinds(tmp_path: Path) -> None:
    store = Store(tmp_path)
    values = [None, 1, 0.5, "many"]
    for seed, value in enumerate(values):
        table = TableWriter(store)
        table.add(finished(store, seed, number=None if value == "many" else value, text=value))
        table.flush()
    rows = sorted(load_sweep(tmp_path).rows(["seed", "number", "text"]), key=lambda row: row["seed"])
    assert [row["number"] for row in rows] == [None, 1.0, 0.5, None]
    assert [row["text"] for row in rows] == [None, "1", "0.5", "many"]


def test_a_damaged_directory_has_no_row_and_spoils_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    finished(store, 0)
    finished(store, 1)
    (store.place(key_of({"seed": 1})) / "metrics.json").write_text("{")
    assert [row["seed"] for row in load_sweep(tmp_path).rows()] == [0]


def test_to_frame_and_failures(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas", reason="needs the extra egbas[sweep]")
    store = Store(tmp_path)
    for seed in range(3):
        finished(store, seed)
    store.fail(key_of({"seed": 9}), {"task": "t", "message": "it is bad"})
    sweep = load_sweep(tmp_path)
    frame = sweep.to_frame()
    assert isinstance(frame, pandas.DataFrame)
    assert sorted(frame["seed"]) == [0, 1, 2] and frame["region.freedom"].tolist() == [0.5] * 3
    assert list(sweep.to_frame(["seed"]).columns) == ["seed"]
    assert list(frame.columns)[:5] == ["task", "model", "layer", "level", "seed"]
    assert sweep.failures == {key_of({"seed": 9}): "it is bad"}


def test_what_is_no_sweep(tmp_path: Path) -> None:
    with pytest.raises(RunDirectoryError, match="no folder of a sweep"):
        load_sweep(tmp_path)
    (tmp_path / "tasks").mkdir()
    with pytest.raises(RunDirectoryError, match="no task of the sweep"):
        load_sweep(tmp_path)


def test_without_pyarrow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = importlib.import_module

    def absent(name: str) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError("No module named 'pyarrow'")
        return original(name)

    monkeypatch.setattr(results.importlib, "import_module", absent)
    with pytest.raises(MissingExtraError, match=r"pip install 'egbas\[sweep\]'"):
        TableWriter(Store(tmp_path))
