# SPDX-License-Identifier: MIT
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from egbas.errors import MissingExtraError
from egbas.storage import Store
from egbas.sweep import ray_engine
from egbas.sweep.drive import Counts, drive
from egbas.sweep.ray_engine import RayEngine
from egbas.sweep.task import FAILED
from egbas.sweep.work import work
from tests.workshops import Quick, begun, plan_of


def test_without_ray_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'egbas\[ray\]'"):
        RayEngine(Quick(log=str(tmp_path / "log")), Store(tmp_path))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes on this machine."""
    pytest.importorskip("ray", reason="needs the extra egbas[ray]")
    pytest.importorskip("pyarrow", reason="needs the extra egbas[sweep]")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import ray
        from ray.cluster_utils import Cluster

        try:
            made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 80 * 2**20})
            made.second = made.add_node(num_cpus=1, object_store_memory=80 * 2**20)
        except Exception as error:  # Ray has no class for it
            if "timed out during startup" not in str(error):
                raise
            pytest.skip(f"this machine is too busy for Ray to start: {error}")
        ray.init(address=made.address, log_to_driver=False)
        try:
            yield made
        finally:
            ray.shutdown()
            made.shutdown()


pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own


def test_two_nodes_a_worker_and_a_node_that_die(cluster: Any, tmp_path: Path) -> None:
    shop = Quick(log=str(tmp_path / "log"), failing=[3], killing=[5], seconds=0.1)
    store = Store(tmp_path / "sweep")
    engine = RayEngine(shop, store)
    assert engine.n_workers == 2

    def tell(counts: Counts) -> None:
        if counts.finished == 12 and cluster.second is not None:
            cluster.remove_node(cluster.second, allow_graceful=False)
            cluster.second = None

    counts = drive(plan_of(range(60)), store, engine, tell=tell)
    assert (counts.finished, counts.failed) == (59, 1)
    assert engine.deaths >= 1 and cluster.second is None  # the node may have had no task when it went
    assert len(list(store.keys())) == 59
    times = [begun(tmp_path / "log").count(seed) for seed in range(60)]
    assert min(times) == 1 and sum(times) <= 60 + 3 * engine.deaths  # finished ones are kept, the rest completes
    alone = Quick(log=str(tmp_path / "other"))
    for task in plan_of(range(60)):
        if task.seed != 3:
            files = work(alone, task).files
            assert files is not None
            assert all((store.place(task.key) / name).read_bytes() == content for name, content in files.items())


def test_workers_write_into_a_shared_folder_and_deadly_tasks_fail(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_engine, "ATTEMPTS", 1)  # each death takes the seconds in which a process imports torch
    shop, store = Quick(log=str(tmp_path / "log"), deadly=[2]), Store(tmp_path / "sweep")
    engine = RayEngine(shop, store, 1, is_shared=True)
    outcomes = {outcome.task.seed: outcome for outcome in engine.run(plan_of(range(5)))}
    assert sorted(outcomes) == list(range(5)) and outcomes[2].status == FAILED
    assert "1 workers died at it" in outcomes[2].message
    assert all(outcome.files is None for outcome in outcomes.values())
    assert len(list(store.keys())) == 4


def test_what_another_driver_works_on_is_left_to_it(cluster: Any, tmp_path: Path) -> None:
    shop, store = Quick(log=str(tmp_path / "log")), Store(tmp_path / "sweep")
    first, *_ = plan = list(plan_of(range(3)))
    other = Store(tmp_path / "sweep")
    with other.claim(first.key):
        outcomes = RayEngine(shop, store, 1).run(plan)
        seeds = {next(outcomes).task.seed for _ in range(2)}
        assert seeds == {1, 2}
        files = work(Quick(log=str(tmp_path / "other")), first).files
        assert files is not None
        other.finish(first.key, files)
    (last,) = outcomes
    assert (last.task.seed, last.status) == (0, "found")
    assert sorted(begun(tmp_path / "log")) == [1, 2]
    assert ray_engine._first_line(ValueError("a\nb")) == "a"
