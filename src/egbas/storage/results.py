# SPDX-License-Identifier: MIT
"""The table of a sweep: one row a task, in part files while it runs and in one Parquet file at its end.

The table is made of the finished directories, and can be made of them again: what a killed driver did not write down is
read from there.
"""

import contextlib
import hashlib
import importlib
import itertools
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from egbas.errors import MissingExtraError, RunDirectoryError
from egbas.storage.claims import Claims
from egbas.storage.destination import CONFIG, METRICS
from egbas.storage.load import load_run
from egbas.storage.save import save_failed, write_file
from egbas.storage.store import TASKS, Store

TABLE, PARTS = "results.parquet", "parts"
ROWS = 500  # of a part
_LONGEST = 64  # of a list in a cell; a longer one is left to the run directory
_LOCK = hashlib.sha256(b"the table").hexdigest()
_FIRST = ("task", "model", "layer", "level", "seed")  # columns


def row_of_files(key: str, files: Mapping[str, bytes]) -> dict[str, Any]:
    """The row of a run directory that is not yet written, by its files."""
    return row_of(key, json.loads(files[CONFIG]), json.loads(files[METRICS]))


def row_of_run(key: str, place: Path) -> dict[str, Any]:
    """The row of a finished run directory."""
    return row_of(key, *(json.loads((place / name).read_text(encoding="utf-8")) for name in (CONFIG, METRICS)))


def row_of(key: str, config: Mapping[str, Any], metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The row of a run: its settings, all its metrics, its folder.

    Names within names are joined with dots, such as ``region.distance.q95``. Settings and metrics that have one name
    are told apart by the setting's ``config.`` in front.

    Args:
        key: of the run's directory.
        config: as ``config.json`` holds it.
        metrics: as ``metrics.json`` holds them.
    """
    layer = config.get("layer") or {}
    number = layer.get("number")
    row: dict[str, Any] = {
        "task": key,
        "model": config["model"]["name"],
        "layer": str(number if number is not None else layer.get("path")),
        "level": config.get("level"),
        "seed": config["seed"],
        "folder": f"{TASKS}/{key}",
        "warnings": "\n".join(metrics["warnings"]),
        "query_sha256": hashlib.sha256(json.dumps(config["query"]).encode()).hexdigest()[:16],
    }
    flat = dict(_flat(metrics, ""))
    row |= {name: value for name, value in flat.items() if name not in row}
    for name, value in _flat(config, ""):
        taken = name in row and name not in _FIRST
        row.setdefault(f"config.{name}" if taken else name, value)
    return row


class TableWriter:
    """Writes rows into part files, a few hundred at a time, and at the end all of them into one table."""

    def __init__(self, store: Store) -> None:
        """Take a store; it is written when there are rows.

        Raises:
            MissingExtraError: pyarrow is not installed.
        """
        self._arrow, self._parquet = arrow()
        self._store, self._rows = store, list[Mapping[str, Any]]()

    def add(self, row: Mapping[str, Any]) -> None:
        """Take a row in.

        Raises:
            RunDirectoryError: a part cannot be written.
        """
        self._rows.append(row)
        if len(self._rows) >= ROWS:
            self.flush()

    def flush(self) -> None:
        """Write the rows that are held as a part, whole or not at all.

        Raises:
            RunDirectoryError: it cannot be written.
        """
        if not self._rows:
            return
        keys = "".join(row["task"] for row in self._rows)
        name = f"part-{hashlib.sha256(keys.encode()).hexdigest()[:16]}.parquet"
        write_file(self._store.path / PARTS / name, self._encoded(self._rows))
        self._rows = []

    def compact(self) -> int:
        """Make one table of all parts and of all finished directories that no part tells of; each task is once in it.

        One driver at a time does so; the table is replaced in one rename.

        Returns:
            How many rows it has.

        Raises:
            RunDirectoryError: the disk is full, or the store cannot be written.
        """
        self.flush()
        self._store.path.mkdir(parents=True, exist_ok=True)
        claims = Claims(self._store.path)
        try:
            with claims.wait(_LOCK):
                return self._compact()
        except OSError as error:
            if isinstance(error, RunDirectoryError):
                raise
            raise RunDirectoryError(save_failed(self._store.path / TABLE, error)) from error
        finally:
            claims.close()

    def _compact(self) -> int:
        place = self._store.path / TABLE
        parts = [*([place] if place.exists() else []), *sorted((self._store.path / PARTS).glob("part-*.parquet"))]
        if parts == [place] and next(self._missing(parts), None) is None:
            return self._parquet.read_metadata(place).num_rows
        seen = set[bytes]()
        partial = place.with_name(f".{TABLE}.partial")
        schema = self._schema(parts)
        written, writer = 0, None
        try:
            for table in itertools.chain(self._read(parts), self._missing(parts)):
                keys = [bytes.fromhex(key) for key in table.column("task").to_pylist()]
                fresh = [key not in seen and not seen.add(key) for key in keys]
                chosen = table.filter(self._arrow.array(fresh))
                if writer is None or schema is None:
                    schema = chosen.schema if schema is None else schema
                    writer = self._parquet.ParquetWriter(partial, schema, compression="zstd")
                writer.write_table(self._fitting(chosen, schema))
                written += chosen.num_rows
        finally:
            if writer is not None:
                writer.close()
        if writer is None:
            return 0
        _sync(partial)
        os.replace(partial, place)
        for part in parts:
            if part != place:
                part.unlink()
        with contextlib.suppress(OSError):
            (self._store.path / PARTS).rmdir()
        return written

    def _read(self, parts: Sequence[Path]) -> Iterator[Any]:
        """The rows of some files, a few hundred at a time."""
        for part in parts:
            with self._parquet.ParquetFile(part) as file:
                for batch in file.iter_batches(batch_size=ROWS):
                    yield self._arrow.Table.from_batches([batch])

    def _missing(self, parts: Sequence[Path]) -> Iterator[Any]:
        """The rows of finished directories that no file tells of."""
        known = set[bytes]()
        for part in parts:
            for batch in self._batches(part, ["task"]):
                known.update(map(bytes.fromhex, batch.column("task").to_pylist()))
        missing = (key for key in self._store.keys() if bytes.fromhex(key) not in known)
        while rows := [self._row(key) for key in itertools.islice(missing, ROWS)]:
            yield self._table([row for row in rows if row is not None])

    def _batches(self, part: Path, columns: list[str]) -> Iterator[Any]:
        with self._parquet.ParquetFile(part) as file:
            yield from file.iter_batches(batch_size=10 * ROWS, columns=columns)

    def _row(self, key: str) -> dict[str, Any] | None:
        try:
            return row_of_run(key, self._store.place(key))
        except (OSError, ValueError, KeyError, TypeError):
            return None  # a damaged directory has no row; load_run says what is wrong with it

    def _schema(self, parts: Sequence[Path]) -> Any:
        """The columns of all files and of what no file tells of yet."""
        schemas = [self._parquet.read_schema(part) for part in parts]
        schemas += [table.schema for table in self._missing(parts)]
        if not schemas:
            return None
        kinds: dict[str, set[Any]] = {}
        for schema in schemas:
            for field in schema:
                kinds.setdefault(field.name, set()).add(field.type)
        names = [*(name for name in _FIRST if name in kinds), *sorted(set(kinds) - set(_FIRST))]
        return self._arrow.schema([(name, self._together(kinds[name])) for name in names])

    def _together(self, kinds: set[Any]) -> Any:
        """The type of a column that has several: numbers are decimal then, and what does not fit together is text."""
        some = kinds - {self._arrow.null()}
        if len(some) < 2:
            return next(iter(some or kinds))
        is_number = some <= {self._arrow.int64(), self._arrow.float64()}
        return self._arrow.float64() if is_number else self._arrow.string()

    def _fitting(self, table: Any, schema: Any) -> Any:
        columns = [
            table.column(field.name).cast(field.type)
            if field.name in table.column_names
            else self._arrow.nulls(table.num_rows, field.type)
            for field in schema
        ]
        return self._arrow.table(columns, schema=schema)

    def _table(self, rows: Sequence[Mapping[str, Any]]) -> Any:
        names = dict.fromkeys(name for row in rows for name in row)
        return self._arrow.table({name: _column(self._arrow, [row.get(name) for row in rows]) for name in names})

    def _encoded(self, rows: Sequence[Mapping[str, Any]]) -> bytes:
        sink = self._arrow.BufferOutputStream()
        self._parquet.write_table(self._table(rows), sink, compression="zstd")
        return sink.getvalue().to_pybytes()


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """A sweep that was written.

    Attributes:
        path: of its folder.
        failures: what each failed task said, by its key.
    """

    path: Path
    failures: Mapping[str, str]

    def to_frame(self, columns: Sequence[str] | None = None) -> Any:
        """The table as a ``pandas.DataFrame``, one row a task.

        Args:
            columns: some of them; None: all.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        pandas = _extra("pandas")
        return pandas.read_parquet(self.path / TABLE, columns=None if columns is None else list(columns))

    @property
    def columns(self) -> list[str]:
        """Names of the columns of the table."""
        _, parquet = arrow()
        return parquet.read_schema(self.path / TABLE).names

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """The rows of the table as dicts, one after another.

        Args:
            columns: some of them; None: all.
        """
        _, parquet = arrow()
        with parquet.ParquetFile(self.path / TABLE) as file:
            for batch in file.iter_batches(batch_size=ROWS, columns=None if columns is None else list(columns)):
                yield from batch.to_pylist()

    def run(self, task: str, **settings: Any) -> Any:
        """The exploration of a task, as ``egbas.load_run`` reads it; ``settings`` are that function's.

        Args:
            task: the key, as the column of that name has it.
            **settings: such as the ``generator``, where the zoo does not have it.
        """
        return load_run(self.path / TASKS / task, **settings)


def load_sweep(path: str | os.PathLike[str]) -> Sweep:
    """Read the folder that ``egbas sweep`` wrote; of a sweep that still runs, what is finished.

    Args:
        path: of the folder.

    Raises:
        RunDirectoryError: it is no folder of a sweep, or no task in it is finished.
        MissingExtraError: pyarrow is not installed.
    """
    store = Store(path)
    if not (store.path / TASKS).is_dir():
        raise RunDirectoryError(f"{path} is no folder of a sweep; expected one that 'egbas sweep --out' wrote")
    if not TableWriter(store).compact():
        raise RunDirectoryError(f"no task of the sweep {path} is finished; expected at least one: run it again")
    failures = {key: told.get("message", "") for key, told in store.failures()}
    return Sweep(path=store.path, failures=failures)


def arrow() -> tuple[Any, Any]:
    """The modules pyarrow and pyarrow.parquet.

    Raises:
        MissingExtraError: they are not installed.
    """
    return _extra("pyarrow"), _extra("pyarrow.parquet")


def _extra(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"the table of a sweep needs {module.split('.', maxsplit=1)[0]}, which is not installed ({error}); "
            "pip install 'egbas[sweep]'"
        ) from error


def _flat(content: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in content.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            if len(value) <= _LONGEST and name != "query":
                yield f"{prefix}{name}", json.dumps(value)
        else:
            yield f"{prefix}{name}", value


def _column(arrow: Any, values: list[Any]) -> Any:
    """One column; whole numbers among decimal ones become decimal, and what does not fit together becomes text."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {int, float}:
        values = [None if value is None else float(value) for value in values]
    elif len(kinds) > 1:
        values = [None if value is None else str(value) for value in values]
    return arrow.array(values)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
