# SPDX-License-Identifier: MIT
"""kill -9 at random moments: nothing finished is lost, nothing is computed twice, and no half file is seen."""

import contextlib
import json
import os
import random
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
import torch

from egbas.cli import app, workshop
from egbas.exploration import path as exploring
from egbas.reproduce import brute_force, judged, shared_runs, tables
from egbas.reproduce.kept import FOLDER
from egbas.storage import Store, load_sweep
from egbas.sweep.drive import drive
from egbas.sweep.task import Outcome, Task
from egbas.sweep.work import work_into
from tests.workshops import Quick, begun, plan_of

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that fork")
pytest.importorskip("pyarrow", reason="needs the extra egbas[sweep]")

SMALL = ["--model", "egbas.cli.selftest:small_network", "--latent-size", "2", "--iterations", "40"]
SMALL += ["--sparsity", "1", "--half-width", "4", "--quiet"]
TABLE = ["table1", "--model", "dcgan-mnist-2d", "--layer", "1", "--quiet"]


def forked(run: Callable[[], object]) -> int:
    """Run in a process of its own, which has imported everything already."""
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        torch.set_num_threads(1)
        with open(os.devnull, "w") as nothing:
            os.dup2(nothing.fileno(), 1)
        with contextlib.suppress(SystemExit):
            run()
        code = 0
    finally:
        os._exit(code)


def killed(run: Callable[[], object], rng: random.Random, longest: float) -> bool:
    """Run, and kill it at a random moment; whether it was still running."""
    process = forked(run)
    time.sleep(rng.uniform(0, longest))
    ended, _ = os.waitpid(process, os.WNOHANG)
    if ended:
        return False
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return True


def states(folder: Path) -> dict[str, tuple[int, int]]:
    """The finished directories of a store; each is whole."""
    found = {}
    for part in ("tasks", "scores", "cells", "sets"):
        for place in (folder / part).glob("[0-9a-f]*"):
            assert (place / "DONE").exists(), list(place.iterdir())
            for file in place.glob("*.json"):
                json.loads(file.read_text())
            found[f"{part}/{place.name}"] = ((place / "DONE").stat().st_mtime_ns, place.stat().st_ino)
    return found


class InProcess:
    """An engine that works in the process of the driver, as its workers do, so that a kill hits both."""

    n_workers = 1

    def __init__(self, shop: Quick, store: Store) -> None:
        self.shop, self.store = shop, store

    def run(self, tasks: Iterable[Task]) -> Iterator[Outcome]:
        for task in tasks:
            yield work_into(self.store, self.shop, task)


@pytest.mark.parametrize("kills", [6, pytest.param(30, marks=pytest.mark.slow)])
def test_a_sweep(tmp_path: Path, kills: int) -> None:
    rng, log, n = random.Random(0), tmp_path / "log", 40 * kills
    shop = Quick(log=str(log), seconds=0.002)

    def sweep() -> None:
        store = Store(tmp_path / "sweep")
        drive(plan_of(range(n)), store, InProcess(shop, store))

    before, n_killed = {}, 0
    while n_killed < kills:
        n_killed += killed(sweep, rng, 0.3)
        now = states(tmp_path / "sweep")
        assert {key: now[key] for key in before} == before  # neither lost nor written anew
        before = now
    sweep()
    assert len(states(tmp_path / "sweep")) == n
    counts = [begun(log).count(seed) for seed in range(n)]
    assert min(counts) == 1
    assert sum(counts) - n <= kills  # each kill loses the task that was worked on, and no other
    assert not list((tmp_path / "sweep" / "tasks").glob(".*"))
    assert sorted(row["seed"] for row in load_sweep(tmp_path / "sweep").rows()) == list(range(n))


def test_two_drivers_do_everything_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    shop = Quick(log=str(log), seconds=0.004)

    def sweep() -> None:
        store = Store(tmp_path / "sweep")
        drive(plan_of(range(60)), store, InProcess(shop, store))

    for process in [forked(sweep) for _ in range(3)]:
        assert os.waitpid(process, 0)[1] == 0
    assert sorted(begun(log)) == list(range(60))
    assert sorted(row["seed"] for row in load_sweep(tmp_path / "sweep").rows()) == list(range(60))


def counted(monkeypatch: pytest.MonkeyPatch, module: object, name: str, log: Path) -> None:
    """Write down each call of a function."""
    original = getattr(module, name)

    def call(*inputs: object, **settings: object) -> object:
        result = original(*inputs, **settings)
        with log.open("a") as file:
            file.write("1\n")
        return result

    monkeypatch.setattr(module, name, call)


@pytest.mark.parametrize("kills", [1, pytest.param(30, marks=pytest.mark.slow)])
def test_compare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kills: int) -> None:
    monkeypatch.chdir(tmp_path)
    counted(monkeypatch, workshop, "explore", tmp_path / "explored")
    counted(monkeypatch, judged, "evaluate", tmp_path / "judged")
    n, rng, hidden = 2 + kills, random.Random(1), tmp_path / ".out.queries"
    words = ["compare", *SMALL, "--queries", str(n)]

    def compare() -> None:
        app([*words, "--out", "out"], standalone_mode=False)

    before, n_killed = {}, 0
    while n_killed < kills and not (tmp_path / "out").exists():
        n_killed += killed(compare, rng, 1.5)
        now = states(hidden)
        if not (tmp_path / "out").exists():
            assert {key: now[key] for key in before} == before
            before = now
    if not (tmp_path / "out").exists():
        compare()
    assert not hidden.exists()
    for log in ("explored", "judged"):
        assert n <= len(begun(tmp_path / log)) <= n + kills  # but what was worked on when it was killed
    app([*words, "--out", "whole"], standalone_mode=False)
    stopped, whole = (json.loads((tmp_path / name / "comparison.json").read_text()) for name in ("out", "whole"))
    assert stopped["scores"] == whole["scores"] and stopped["rows"] == whole["rows"]
    assert stopped["ratios"] == whole["ratios"]


@pytest.mark.parametrize("kills", [1, pytest.param(30, marks=pytest.mark.slow)])
def test_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kills: int) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("egbas.report.path_page.render_path", lambda *_: "<!DOCTYPE html>")
    counted(monkeypatch, exploring, "_point", tmp_path / "points")
    counted(monkeypatch, exploring, "levels_of", tmp_path / "searches")
    rng, hidden, n_seeds = random.Random(3), tmp_path / ".out.cells", 2 + kills // 4
    words = ["path", *SMALL[:4], "--layer", "1", "--level", "2-5", "--seed", f"0-{n_seeds - 1}", "--samples", "5"]
    words += ["--max-steps", "60", "--max-evaluations", "500", "--quiet"]

    def run() -> None:
        app([*words, "--out", "out"], standalone_mode=False)

    def finished() -> set[str]:
        return {place.parent.name for place in (tmp_path / "out").glob("*/DONE")}

    before, whole, n_killed = {}, set[str](), 0
    while n_killed < kills and len(whole) < n_seeds:
        n_killed += killed(run, rng, 1.5)
        assert whole <= finished()
        whole, now = finished(), states(hidden)
        if len(whole) < n_seeds:
            assert {key: now[key] for key in before} == before  # neither lost nor made anew
            before = now
    run()
    assert not hidden.exists()
    n = 4 * n_seeds
    assert n <= len(begun(tmp_path / "points")) <= n + kills  # but what was worked on when it was killed
    assert n_seeds <= len(begun(tmp_path / "searches")) <= n_seeds + kills
    app([*words, "--out", "again"], standalone_mode=False)
    for seed in range(n_seeds):
        stopped, new = (tmp_path / name / f"seed-{seed}" for name in ("out", "again"))
        for name in ("path.json", "path.safetensors"):
            assert (stopped / name).read_bytes() == (new / name).read_bytes()


@pytest.mark.parametrize("kills", [pytest.param(30, marks=pytest.mark.slow)])
def test_reproduce(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kills: int) -> None:
    monkeypatch.chdir(tmp_path)
    quick = shared_runs.BerOptConfig(max_steps=40, anneal_steps=40)
    monkeypatch.setattr(tables, "beropt_at", lambda *_: quick)
    counted(monkeypatch, shared_runs, "run_files", tmp_path / "explored")
    n, rng = 12, random.Random(2)
    words = ["reproduce", *TABLE, "--seed", f"0-{n - 1}"]

    def reproduce() -> None:
        app([*words, "--out", "out"], standalone_mode=False)

    before, n_killed = {}, 0
    while n_killed < kills and not (tmp_path / "out" / "table1.json").exists():
        n_killed += killed(reproduce, rng, 1.5)
        now = states(tmp_path / "out" / FOLDER)
        if not (tmp_path / "out" / "table1.json").exists():
            assert {key: now[key] for key in before} == before
            before = now
    reproduce()
    assert not (tmp_path / "out" / FOLDER / "tasks").exists()  # scores stay, explorations go
    assert len(begun(tmp_path / "explored")) <= n + 2 * n_killed  # two are explored side by side
    app([*words, "--out", "whole"], standalone_mode=False)
    stopped, whole = (json.loads((tmp_path / name / "table1.json").read_text()) for name in ("out", "whole"))
    assert stopped["rows"] == whole["rows"] and stopped["ratios"] == whole["ratios"]


@pytest.mark.parametrize("kills", [2, pytest.param(30, marks=pytest.mark.slow)])
def test_brute_force(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kills: int) -> None:
    monkeypatch.chdir(tmp_path)
    config = brute_force.BerOptConfig
    monkeypatch.setattr(brute_force, "BerOptConfig", lambda **named: config(**named, max_steps=20, anneal_steps=20))
    counted(monkeypatch, brute_force, "compare", tmp_path / "compared")
    n, rng = 2 * kills, random.Random(4)

    def reproduce() -> None:
        app(["reproduce", "brute-force", "--queries", str(n), "--out", "out", "--quiet"], standalone_mode=False)

    before, n_killed = {}, 0
    while n_killed < kills and not (tmp_path / "out" / "brute-force.json").exists():
        n_killed += killed(reproduce, rng, 1.0)
        now = states(tmp_path / "out" / FOLDER)
        assert {key: now[key] for key in before} == before
        before = now
    reproduce()
    assert 3 * n <= len(begun(tmp_path / "compared")) <= 3 * n + n_killed
    content = (tmp_path / "out" / "brute-force.json").read_bytes()
    reproduce()
    assert (tmp_path / "out" / "brute-force.json").read_bytes() == content
    assert len(begun(tmp_path / "compared")) <= 3 * n + n_killed  # the same command again computes nothing
