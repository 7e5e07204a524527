# SPDX-License-Identifier: MIT
"""Explorations in many threads and processes: each as it is alone, and others notice nothing."""

import math
import multiprocessing
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn

import egbas
from egbas.beropt import BerOptConfig
from egbas.exploration.result import Exploration
from egbas.samplers.gbrrt import GbRrtConfig
from tests.problems import BoxNet, RedundantUnit, ScaleInvariantNet

N_THREADS, N_EACH = 4, 20
QUICK = BerOptConfig(sparsity=0.2, anneal_steps=12, max_steps=12)
SHORT = GbRrtConfig(iterations=30, step_size=0.1, half_width=1.0)

pytestmark = pytest.mark.usefixtures("without_type_checks")


class Convolutional(nn.Module):
    """A network whose forward asks ``math`` for a root of a size, which fx can only record by a function of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(5, 32), nn.ConvTranspose2d(2, 1, 2, stride=2)
        self.act = nn.ReLU()
        with torch.no_grad():
            for number, parameter in enumerate(self.parameters()):
                parameter.copy_(torch.sin(1.7 * torch.arange(parameter.numel()) + number).view_as(parameter))
        self.eval()

    def forward(self, z: Tensor) -> Tensor:
        h = self.act(self.inner(z)) / math.sqrt(z.shape[1])
        return self.outer(h.view(-1, 2, 4, 4))


class Uncopyable(RedundantUnit):
    """Holds a lock, which cannot be copied."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()

    def forward(self, z: Tensor) -> Tensor:
        with self.lock:
            return super().forward(z)


Job = tuple[Callable[[], nn.Module], int, int]  # makes the network; size of a latent; seed
JOBS: list[Job] = [
    (make, d, seed)
    for seed in range(3)
    for make, d in ((BoxNet, 2), (RedundantUnit, 2), (lambda: ScaleInvariantNet(5), 5), (Convolutional, 5))
]


def explored(network: nn.Module, d: int, seed: int) -> Exploration:
    z0 = 0.3 + 0.1 * torch.rand(d, generator=torch.Generator().manual_seed(seed))
    return egbas.explore(network, z0, 1, rng=seed, beropt=QUICK, gbrrt=SHORT, samples=0)


def bits(run: Exploration) -> tuple[object, ...]:
    """All that must not change."""
    tensors = (run.latents, run.tree.parents, run.tree.rejected, run.beropt.theta, run.beropt.losses, run.query_image)
    return (*[tensor.numpy().tobytes() for tensor in tensors], run.beropt.fidelity, run.region.rounding)


def bits_of_box(seed: int) -> tuple[object, ...]:
    return bits(explored(BoxNet(), 2, seed))


@contextmanager
def bystander(network: nn.Module, d: int) -> Iterator[None]:
    """Another thread calls a network all the time; whatever it meets is raised in the end."""
    stop, met, z = threading.Event(), list[BaseException](), torch.ones(3, d)
    with torch.no_grad():
        expected = network(z)

    @torch.no_grad()
    def call() -> None:
        while not stop.is_set():
            try:
                assert torch.equal(network(z), expected)
                assert math.sqrt is ROOT
            except BaseException as error:
                met.append(error)

    thread, before = threading.Thread(target=call), sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        sys.setswitchinterval(before)
    assert not met, f"{len(met)} calls failed; the first: {met[0]!r}"


ROOT = math.sqrt


def in_threads(work: Callable[[int], Sequence[object]], numbers: Sequence[int]) -> list[Sequence[object]]:
    """Work on numbers in some threads at once."""
    with ThreadPoolExecutor(N_THREADS) as threads:
        return list(threads.map(work, numbers))


def test_threads_explore_as_one_alone_and_a_bystander_notices_nothing() -> None:
    alone = [bits(explored(make(), d, seed)) for make, d, seed in JOBS]

    def work(number: int) -> Sequence[object]:
        make, d, seed = JOBS[number % len(JOBS)]
        return bits(explored(make(), d, seed))

    numbers = range(N_THREADS * N_EACH)
    with bystander(ScaleInvariantNet(7), 7):
        found = in_threads(work, numbers)
    assert found == [alone[number % len(JOBS)] for number in numbers]


@pytest.mark.parametrize(("make", "d"), [(Convolutional, 5), (Uncopyable, 2)])
def test_threads_share_a_network_with_a_bystander(make: Callable[[], nn.Module], d: int) -> None:
    shared = make()
    tensors = dict(shared.named_parameters())
    alone = [bits(explored(make(), d, seed)) for seed in range(5)]
    with bystander(shared, d):
        found = in_threads(lambda number: bits(explored(shared, d, number % 5)), range(N_THREADS * N_EACH // 4))
    assert found == [alone[number % 5] for number in range(len(found))]
    assert all(tensor is tensors[name] and tensor.requires_grad for name, tensor in shared.named_parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in shared.modules())


@pytest.mark.parametrize("method", ["spawn", "fork"])
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_processes_explore_as_one_alone(method: str) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} on this system")
    alone, before = [bits_of_box(seed) for seed in range(4)], torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        torch.ones(10**6).sum()  # by both: a forked process has neither
        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(method)) as processes:
            assert list(processes.map(bits_of_box, range(4), timeout=120)) == alone
    finally:
        torch.set_num_threads(before)
