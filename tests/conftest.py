# SPDX-License-Identifier: MIT
import os
from collections.abc import Iterator
from pathlib import Path

import jaxtyping
import matplotlib
import pytest
import torch

from tests.typechecks import checked

jaxtyping.jaxtyped = checked  # before the first import of egbas
from egbas.training.mnist import FILES  # noqa: E402

matplotlib.use("Agg")
torch.set_num_threads(1)  # the networks are small: more threads are slower, and sums would depend on their number

# The longest files, which come first so that no worker is left alone with one of them. They run without the checks of
# types and shapes, which would take much of their time; what they call is checked where its own tests call it.
_TESTS = Path(__file__).parent
_LONGEST = {_TESTS / name: place for place, name in enumerate((_TESTS / "longest.txt").read_text().split())}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the longest files before the others, which stay as they are."""
    items.sort(key=lambda item: _LONGEST.get(item.path, len(_LONGEST)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Run a test of the longest files, with its fixtures, as users run egbas."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", before or item.path in _LONGEST)
    try:
        return (yield)
    finally:
        jaxtyping.config.update("jaxtyping_disable", before)


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
