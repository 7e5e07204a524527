# SPDX-License-Identifier: MIT
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from egbas.errors import RunDirectoryError
from egbas.storage import Store, key_of
from egbas.storage.store import kept_in

KEY = key_of({"a": 1})
FILES = {"one.txt": b"1", "two.txt": b"2"}


def test_a_key_is_of_what_it_says_and_not_of_the_order() -> None:
    assert key_of({"a": 1, "b": [2, None]}) == key_of({"b": [2, None], "a": 1})
    assert len({key_of(each) for each in ({"a": 1}, {"a": 2}, {"a": "1"}, {"a": None}, {"b": 1}, {"a": 1.0})}) == 6
    assert key_of({}) == "44136fa355b3678a1146ad16f7e8649e"  # the same in every process, on every machine
    with pytest.raises(ValueError):
        key_of({"a": float("nan")})


def test_what_is_finished_is_found(tmp_path: Path) -> None:
    store = Store(tmp_path / "deep" / "store")
    assert store.find(KEY) is None and list(store.keys()) == []
    assert not (tmp_path / "deep").exists()  # to look makes nothing
    place = store.finish(KEY, FILES)
    assert store.find(KEY) == place
    assert {file.name for file in place.iterdir()} == {*FILES, "DONE"}
    assert list(store.keys()) == [KEY]


def test_what_is_finished_is_never_replaced(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.finish(KEY, FILES)
    before = (store.place(KEY) / "DONE").stat()
    store.finish(KEY, {"other.txt": b"3"})
    assert (store.place(KEY) / "DONE").stat() == before
    assert {file.name for file in store.place(KEY).iterdir()} == {*FILES, "DONE"}


def test_an_unfinished_directory_is_not_found(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.finish(KEY, FILES)
    (store.place(KEY) / "DONE").unlink()
    assert store.find(KEY) is None and list(store.keys()) == []


def test_it_is_made_once(tmp_path: Path) -> None:
    store, made = Store(tmp_path), []

    def make() -> dict[str, bytes]:
        made.append(1)
        return FILES

    assert [store.get(KEY, make)[1] for _ in range(3)] == [True, False, False]
    assert made == [1]


def test_two_at_once_make_it_once(tmp_path: Path) -> None:
    made, begun = [], threading.Event()

    def make() -> dict[str, bytes]:
        made.append(1)
        begun.set()
        assert not done.wait(0.3)
        return FILES

    done, results = threading.Event(), []
    threads = [threading.Thread(target=lambda: results.append(Store(tmp_path).get(KEY, make)[1])) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [1]
    assert sorted(results) == [False, True]


def test_an_error_leaves_nothing_and_the_claim_is_free(tmp_path: Path) -> None:
    store = Store(tmp_path)

    def fail() -> dict[str, bytes]:
        raise KeyError("it")

    with pytest.raises(KeyError):
        store.get(KEY, fail)
    assert list((tmp_path / "tasks").iterdir()) == []
    assert Store(tmp_path).get(KEY, lambda: FILES)[1]


def test_content_comes_back(tmp_path: Path) -> None:
    store = Store(tmp_path, "scores")
    assert store.content({"a": 1}, lambda: {"x": [1 / 3]}) == ({"x": [1 / 3]}, True)
    assert store.content({"a": 1}, lambda: {"x": 0}) == ({"x": [1 / 3]}, False)
    assert store.content({"a": 2}, lambda: {"x": 0}) == ({"x": 0}, True)
    (store.place(key_of({"a": 2})) / "content.json").write_text("{")
    with pytest.raises(RunDirectoryError, match=r"damaged.*remove it"):
        store.content({"a": 2}, lambda: {"x": 0})


def test_failures_are_kept_until_it_works(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.failure(KEY) is None and list(store.failures()) == []
    store.fail(KEY, {"task": "t", "message": "m"})
    assert store.failure(KEY) == {"task": "t", "message": "m"}
    assert list(store.failures()) == [(KEY, {"task": "t", "message": "m"})]
    store.finish(KEY, FILES)
    assert store.failure(KEY) is None
    (tmp_path / "failed" / f"{KEY}.json").write_text("{")
    assert store.failure(KEY) is None  # damaged: it is tried again


def test_what_is_left_half_written_is_swept_up_but_not_what_is_being_written(tmp_path: Path) -> None:
    store, other = Store(tmp_path), key_of({"b": 2})
    store.finish(KEY, FILES)
    for key in (KEY, other):
        left = tmp_path / "tasks" / f".{key}.machine-1.abc.partial"
        left.mkdir()
        (left / "one.txt").write_bytes(b"")
    with Store(tmp_path).claim(other) as granted:
        assert granted
        store.sweep_up()
    assert sorted(each.name for each in (tmp_path / "tasks").iterdir()) == [f".{other}.machine-1.abc.partial", KEY]
    store.sweep_up()
    assert [each.name for each in (tmp_path / "tasks").iterdir()] == [KEY]


def test_removing_leaves_what_is_not_of_a_store(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    store.finish(KEY, FILES)
    Store(store.path, "scores").content({"a": 1}, dict)
    store.fail(KEY, {})
    (store.path / "mine.txt").touch()
    store.remove()
    assert [each.name for each in store.path.iterdir()] == ["mine.txt"]
    (store.path / "mine.txt").unlink()
    store.remove()
    assert not store.path.exists()


FULL = """
import resource, signal, sys
from egbas.errors import RunDirectoryError
from egbas.storage import Store, key_of
from egbas.storage.store import kept_in
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
store = Store(sys.argv[1])
store.finish(key_of({"a": 1}), {"small": b"x" * 900})
try:
    store.finish(key_of({"a": 2}), {"small": b"x" * 900, "large": b"x" * 2000})
except RunDirectoryError as error:
    print(error)
"""


def test_a_full_disk_is_told_and_leaves_no_half(tmp_path: Path) -> None:
    told = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=True)
    assert "the disk is full" in told.stdout and "free some space" in told.stdout
    assert [each.name for each in (tmp_path / "tasks").iterdir()] == [key_of({"a": 1})]


def test_a_store_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunDirectoryError, match="was not written"):
        Store(tmp_path / "file").get(KEY, lambda: FILES)


def test_keys_of_the_record(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.fail(KEY, {"message": "é"})
    assert json.loads((tmp_path / "failed" / f"{KEY}.json").read_text())["message"] == "é"


def test_a_hidden_store_goes_when_all_is_finished(tmp_path: Path) -> None:
    hidden = tmp_path / "deep" / ".out"
    with kept_in(None, hidden) as store:
        store.finish(KEY, FILES)
        assert hidden.is_dir()
    assert not (tmp_path / "deep").exists()


def test_a_hidden_store_stays_with_what_is_finished(tmp_path: Path) -> None:
    hidden = tmp_path / "deep" / ".out"
    with pytest.raises(KeyboardInterrupt), kept_in(None, hidden) as store, store.claim(KEY):
        raise KeyboardInterrupt
    assert not (tmp_path / "deep").exists()  # nothing was finished
    with pytest.raises(KeyboardInterrupt), kept_in(None, hidden) as store:
        store.finish(KEY, FILES)
        raise KeyboardInterrupt
    assert Store(hidden).find(KEY)


def test_a_store_that_was_given_stays(tmp_path: Path) -> None:
    with kept_in(tmp_path / "store", tmp_path / ".out") as store:
        store.finish(KEY, FILES)
    assert store.path == tmp_path / "store" and store.find(KEY)


def test_what_somebody_works_on_is_not_waited_for(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with Store(tmp_path).claim(KEY) as granted:
        assert granted and store.attempt(KEY, lambda: FILES) is None
    assert store.attempt(KEY, lambda: FILES) == (store.place(KEY), True)
    assert store.attempt(KEY, lambda: {}) == (store.place(KEY), False)


def test_the_last_user_removes_a_store_of_its_own(tmp_path: Path) -> None:
    own = tmp_path / "own"
    with kept_in(None, own) as first:
        with kept_in(None, own) as second:
            second.content({"a": 1}, lambda: 5)
        assert first.content({"a": 1}, lambda: 6) == (5, False)  # the other one has left it
    assert not own.exists()


def test_who_ends_early_leaves_a_store_to_its_other_users(tmp_path: Path) -> None:
    own = tmp_path / "own"
    with kept_in(None, own) as store, store.claim("ab" * 16) as granted:
        assert granted
        with pytest.raises(KeyboardInterrupt), kept_in(None, own):
            raise KeyboardInterrupt
        with kept_in(None, own) as third, third.claim("ab" * 16) as again:
            assert not again
    assert not own.exists()


def test_stores_that_go_close_their_files(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else None
    for number in range(20):
        Store(tmp_path, "scores").content({"n": number}, lambda: 1)
    if before is not None:
        assert len(os.listdir("/proc/self/fd")) <= before + 2


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_given_store_that_is_none_is_refused_before_work(tmp_path: Path, kind: str) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text("{}")
    given = tmp_path / "run" / "config.json" if kind == "file" else tmp_path / "run"
    with pytest.raises(RunDirectoryError, match=r"--store .* name a folder"), kept_in(given, tmp_path / "own"):
        raise AssertionError("no work is begun")
    assert [each.name for each in (tmp_path / "run").iterdir()] == ["config.json"]
