# SPDX-License-Identifier: MIT
"""The content-addressed store: the key of all that determines a result leads to its finished directory, or to nothing.

    STORE/tasks/KEY/        a finished run directory; it appears in one rename, with ``DONE`` in it
    STORE/scores/KEY/       likewise, other results
    STORE/cells/KEY/        likewise, a layer and a level of a path; STORE/sets/KEY/ its supporting set
    STORE/failed/KEY.json   what a task that failed said
    STORE/claims            locks: who works on what

Any number of processes may use a store at once.
"""

import contextlib
import hashlib
import json
import os
import shutil
import time
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, overload

from egbas.errors import RunDirectoryError
from egbas.storage.claims import Claims
from egbas.storage.destination import DONE, check_writable
from egbas.storage.save import folder_for, save_failed, write_folder, write_json

TASKS, SCORES, FAILED = "tasks", "scores", "failed"
CELLS, SETS = "cells", "sets"  # of paths
DIGITS = 32  # of a key, hexadecimal: 128 bits
_PAUSE = 0.2  # seconds between two looks at what somebody else works on
PARTS_OF_STORE = frozenset((TASKS, SCORES, CELLS, SETS, FAILED, "claims"))
CONTENT = "content.json"  # of a result that is no run directory


def key_of(decides: Mapping[str, Any]) -> str:
    """The key of a result: a checksum of all that determines it, as JSON takes it; the order of names is no matter."""
    text = json.dumps(decides, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


class Store:
    """Finished directories by their key."""

    def __init__(self, path: str | os.PathLike[str], part: str = TASKS) -> None:
        """Name a folder; it is made when something is written.

        Args:
            path: of the store.
            part: folder in it for what is finished: run directories lie in ``tasks``, other results elsewhere.
        """
        self.path = Path(path).expanduser().resolve()
        self._part = part
        self._finished, self._failed = (os.fspath(self.path / name) for name in (part, FAILED))
        self._claims: Claims | None = None

    def place(self, key: str) -> Path:
        """Where the directory of a key is, or will be."""
        return self.path / self._part / key

    def find(self, key: str) -> Path | None:
        """The finished directory of a key; None where there is none."""
        # Asked for every task of a plan: texts are joined ten times as fast as paths.
        return self.place(key) if os.path.exists(f"{self._finished}/{key}/{DONE}") else None

    def keys(self) -> Iterator[str]:
        """The keys of all that is finished, in no order."""
        with contextlib.suppress(FileNotFoundError), os.scandir(self.path / self._part) as entries:
            for entry in entries:
                if len(entry.name) == DIGITS and (Path(entry.path) / DONE).exists():
                    yield entry.name

    @contextlib.contextmanager
    def claim(self, key: str) -> Iterator[bool]:
        """Claim the work on a key, while the context lasts; the claim ends with the process, too.

        Yields:
            Whether the claim was granted. Look with ``find`` then: somebody may just have finished.

        Raises:
            RunDirectoryError: the store cannot be written.
        """
        with self._opened().of(key) as granted:
            yield granted

    def finish(self, key: str, files: Mapping[str, bytes]) -> Path:
        """Write the directory of a key, whole or not at all; what is finished already stays.

        Args:
            key: that ``key_of`` gave.
            files: what it holds, by name; ``DONE`` is added.

        Raises:
            RunDirectoryError: the disk is full, or the store cannot be written.
        """
        place = self.place(key)
        if self.find(key) is None:
            write_folder(place, {name: _constant(content) for name, content in files.items()}, keep=True)
        (self.path / FAILED / f"{key}.json").unlink(missing_ok=True)
        return place

    def get(self, key: str, make: Callable[[], Mapping[str, bytes]]) -> tuple[Path, bool]:
        """The finished directory of a key: made now, unless it is there or somebody else is just making it.

        Args:
            key: that ``key_of`` gave.
            make: gives the files, by name.

        Returns:
            The directory, and whether it was made now.

        Raises:
            RunDirectoryError: it cannot be written.
        """
        while (got := self.attempt(key, make)) is None:
            time.sleep(_PAUSE)
        return got

    def attempt(self, key: str, make: Callable[[], Mapping[str, bytes]]) -> tuple[Path, bool] | None:
        """As ``get``; None, at once, where somebody else is just making it.

        Raises:
            RunDirectoryError: it cannot be written.
        """
        if (place := self.find(key)) is not None:
            return place, False
        with self.claim(key) as granted:
            if not granted:
                return None
            place = self.find(key)
            return (place, False) if place is not None else (self.finish(key, make()), True)

    @contextlib.contextmanager
    def turn(self, key: str) -> Iterator[None]:
        """Claim the work on a key as soon as nobody else has it.

        Raises:
            RunDirectoryError: the store cannot be written.
        """
        with self._opened().wait(key):
            yield

    @overload
    def content(self, decides: Mapping[str, Any], make: Callable[[], Any]) -> tuple[Any, bool]: ...

    @overload
    def content(
        self, decides: Mapping[str, Any], make: Callable[[], Any], *, is_patient: bool
    ) -> tuple[Any, bool] | None: ...

    def content(
        self, decides: Mapping[str, Any], make: Callable[[], Any], *, is_patient: bool = True
    ) -> tuple[Any, bool] | None:
        """A result that JSON takes, made now unless it is there.

        Args:
            decides: all that determines it.
            make: gives it.
            is_patient: wait while somebody else is just making it; else that gives None.

        Returns:
            The result as it is read, and whether it was made now.

        Raises:
            RunDirectoryError: it cannot be written, or is damaged.
        """
        get = self.get if is_patient else self.attempt
        got = get(key_of(decides), lambda: {CONTENT: (json.dumps(make(), allow_nan=False) + "\n").encode()})
        if got is None:
            return None
        return _read(got[0]), got[1]

    def known(self, decides: Mapping[str, Any]) -> Any:
        """A result that ``content`` has kept; None where it is not there.

        Raises:
            RunDirectoryError: it is damaged.
        """
        place = self.find(key_of(decides))
        return None if place is None else _read(place)

    def fail(self, key: str, told: Mapping[str, Any]) -> None:
        """Keep what a task that failed said.

        Raises:
            RunDirectoryError: it cannot be written.
        """
        write_json(self.path / FAILED / f"{key}.json", dict(told))

    def failure(self, key: str) -> dict[str, Any] | None:
        """What a task that failed said; None where it did not fail, or was tried again since."""
        place = f"{self._failed}/{key}.json"
        if not os.path.exists(place):
            return None
        try:
            return json.loads(Path(place).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):  # tried again meanwhile; damaged: it is tried again
            return None

    def failures(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """All tasks that failed, by their key."""
        for file in sorted((self.path / FAILED).glob("*.json")):
            told = self.failure(file.stem)
            if told is not None:
                yield file.stem, told

    def sweep_up(self) -> None:
        """Remove what interrupted processes left half-written, where nobody is at work on it."""
        for left in (self.path / self._part).glob(".*"):
            key = left.name[1 : 1 + DIGITS]
            if len(key) == DIGITS and left.suffix in (".partial", ".former"):
                with contextlib.suppress(ValueError), self.claim(key) as granted:
                    if granted:
                        shutil.rmtree(left, ignore_errors=True)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is finished in any part of it."""
        parts = (self.path / name for name in PARTS_OF_STORE)
        return not any((entry / DONE).exists() for part in parts if part.is_dir() for entry in part.iterdir())

    def use(self) -> None:
        """Say that this process is at work in the store, until ``leave``.

        Raises:
            RunDirectoryError: the store cannot be written.
        """
        self._opened().use()

    def leave(self) -> None:
        """Say that it is not any more."""
        self._opened().leave()

    def is_sole_user(self) -> bool:
        """Whether no other process has said so; from then on none can."""
        return self._opened().is_sole_user()

    def remove(self, parts: Collection[str] = PARTS_OF_STORE) -> None:
        """Remove the store, with all that is finished in it; files that are not of a store stay.

        Args:
            parts: folders of it that go.
        """
        for name in parts:
            part = self.path / name
            shutil.rmtree(part, ignore_errors=True) if part.is_dir() else part.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.path.rmdir()

    @property
    def has_locks(self) -> bool:
        """Whether claims exclude one another on this file system, as far as is known."""
        return self._opened().has_locks

    def _opened(self) -> Claims:
        if self._claims is None:
            try:
                (self.path / self._part).mkdir(parents=True, exist_ok=True)
                self._claims = Claims(self.path)
                if self._claims.frees_its_own:
                    weakref.finalize(self, self._claims.close)
            except OSError as error:
                raise RunDirectoryError(save_failed(self.path, error)) from error
        return self._claims


def _read(place: Path) -> Any:
    try:
        return json.loads((place / CONTENT).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunDirectoryError(f"{place} is damaged ({error}); remove it, and run the command again") from error


def hidden_beside(place: Path, what: str) -> Path:
    """Where a command keeps what is finished: beside its directory, hidden, so that that appears in one rename."""
    whole = place.expanduser().resolve()
    return whole.with_name(f".{whole.name}.{what}")


@contextlib.contextmanager
def kept_in(given: str | os.PathLike[str] | None, own: Path, *, keeps_scores: bool = False) -> Iterator[Store]:
    """The store of a command: the one that was given, which stays, or one of its own, until all is finished.

    Where the work ends early, its own one stays with what is finished, and goes where nothing is.

    Args:
        given: folder of a store; None: there is none.
        own: folder of the other.
        keeps_scores: whether results that are no run directories, which are small, stay in its own one, too.

    Raises:
        RunDirectoryError: its folder cannot be made.
    """
    if given is not None:
        _check_given(Path(given).expanduser())
        _sweep_up(given)
        yield Store(given)
        return
    with folder_for(own.parent):
        store = Store(own)
        store.use()
        _sweep_up(own)
        try:
            yield store
            # The last one removes it: what is finished may still be asked for.
            if store.is_sole_user():
                store.remove(PARTS_OF_STORE - {SCORES, "claims"} if keeps_scores else PARTS_OF_STORE)
        finally:
            if store.is_sole_user() and store.is_empty:
                store.remove()
            store.leave()


def _check_given(path: Path) -> None:
    """Refuse a folder that is no store, before any work."""
    check_writable(path, "--store")
    names = {each.name for each in path.iterdir()} if path.exists() else set[str]()
    if names and not names & PARTS_OF_STORE:
        raise RunDirectoryError(
            f"--store {path} holds other files ({sorted(names)[0]}) and no store; name a folder of its own"
        )


def _sweep_up(path: str | os.PathLike[str]) -> None:
    for part in (SCORES, CELLS, SETS):
        Store(path, part).sweep_up()


def _constant(content: bytes) -> Callable[[], bytes]:
    return lambda: content
