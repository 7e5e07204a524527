# SPDX-License-Identifier: MIT
import pickle

from egbas.sweep.task import FINISHED, Outcome, Task


def test_tasks_and_outcomes_travel() -> None:
    task = Task(key="k", model="m", layer="block.relu", level=None, seed=3, row=2)
    outcome = Outcome(task=task, status=FINISHED, row={"a": 1})
    assert pickle.loads(pickle.dumps((task, outcome))) == (task, outcome)
    assert task.told == "m, layer block.relu, row 2, seed 3"
    assert len(pickle.dumps(task)) < 300  # a million of them in turn are no burden
