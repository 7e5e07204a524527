# SPDX-License-Identifier: MIT
import errno
import fcntl
import multiprocessing
import os
import signal
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from egbas.storage.claims import Claims

ONE, OTHER = "a" * 32, "b" * 32


def test_one_holds_a_claim_and_another_does_not_get_it(tmp_path: Path) -> None:
    mine, theirs = Claims(tmp_path), Claims(tmp_path)
    with mine.of(ONE) as granted:
        assert granted
        with theirs.of(ONE) as also:
            assert not also
        with theirs.of(OTHER) as another:
            assert another
    with theirs.of(ONE) as later:
        assert later


def test_a_claim_that_was_not_granted_frees_nothing(tmp_path: Path) -> None:
    mine, theirs, third = (Claims(tmp_path) for _ in range(3))
    with mine.of(ONE):
        with theirs.of(ONE):
            pass
        with third.of(ONE) as granted:
            assert not granted


def test_an_error_frees_a_claim(tmp_path: Path) -> None:
    mine, theirs = Claims(tmp_path), Claims(tmp_path)
    with pytest.raises(KeyError), mine.of(ONE):
        raise KeyError
    with theirs.of(ONE) as granted:
        assert granted


def hold(folder: str, pipe: "Connection[Any, Any]") -> None:
    with Claims(Path(folder)).of(ONE) as granted:
        pipe.send(granted)
        time.sleep(60)


def test_the_kernel_frees_what_a_killed_process_held(tmp_path: Path) -> None:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=hold, args=(str(tmp_path), theirs))
    process.start()
    try:
        assert ours.recv()
        claims = Claims(tmp_path)
        with claims.of(ONE) as granted:
            assert not granted
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        with claims.of(ONE) as granted:
            assert granted
    finally:
        process.kill()


def test_waiting_takes_what_comes_free(tmp_path: Path) -> None:
    claims = Claims(tmp_path)
    with claims.wait(ONE), Claims(tmp_path).of(ONE) as granted:
        assert not granted
    with Claims(tmp_path).of(ONE) as granted:
        assert granted
    claims.close()


def test_without_locks_every_claim_is_granted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "fcntl", refuse)
    claims = Claims(tmp_path)
    with claims.of(ONE) as granted, Claims(tmp_path).of(ONE) as also:
        assert granted and also
    assert not claims.has_locks


def test_another_error_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "the disk is broken")

    monkeypatch.setattr(fcntl, "fcntl", fail)
    with pytest.raises(OSError, match="broken"), Claims(tmp_path).of(ONE):
        pass
