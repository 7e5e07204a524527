# SPDX-License-Identifier: MIT
import os
from pathlib import Path

import jaxtyping
import matplotlib
import pytest
import torch

from egbas.training.mnist import FILES

matplotlib.use("Agg")
torch.set_num_threads(1)  # the networks are small: more threads are slower, and sums would depend on their number


# Files that take longest come first: the last file of a run should be a short one, not one that the others wait for.
LONGEST = (
    "sweep/test_ray_engine.py",
    "test_concurrency.py",
    "cli/test_killed.py",
    "exploration/test_explore.py",
    "cli/test_reproduce.py",
    "cli/test_compare.py",
    "cli/test_explore.py",
    "cli/test_options.py",
    "cli/test_checkpoints.py",
    "reproduce/test_judged.py",
    "reproduce/test_sensitivity.py",
    "exploration/test_path.py",
    "exploration/test_facts.py",
    "beropt/test_optimize.py",
    "samplers/test_reflection.py",
    "cli/test_path.py",
    "reproduce/test_figures.py",
    "sweep/test_local.py",
    "storage/test_checks.py",
    "network/test_composite.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort files by how long they take; the order within a file stays."""

    def place(item: pytest.Item) -> int:
        path = item.path.as_posix()
        return next((rank for rank, name in enumerate(LONGEST) if path.endswith(f"tests/{name}")), len(LONGEST))

    items.sort(key=place)


@pytest.fixture
def without_type_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Call egbas as users do: without the checks of types and shapes that the tests switch on."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture(scope="session")
def mnist_folder() -> Path:
    """The folder of the MNIST files: EGBAS_MNIST, or ../shared/data/mnist beside the repository."""
    beside = Path(__file__).parents[2] / "shared" / "data" / "mnist"
    folder = Path(os.environ.get("EGBAS_MNIST", beside))
    if not all((folder / name).is_file() for name, _ in FILES.values()):
        pytest.skip("needs the MNIST files: set EGBAS_MNIST to their folder")
    return folder
