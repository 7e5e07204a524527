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
