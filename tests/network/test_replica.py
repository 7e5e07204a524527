# SPDX-License-Identifier: MIT
import copy
import os
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from egbas.network import Network
from egbas.network.hooks import Capture, Replace, hooked
from egbas.network.replica import Door, freeze, frozen_copy
from egbas.network.trace import trace
from tests import problems


def test_a_copy_shares_weights_but_nothing_else() -> None:
    generator = problems.Stateful()
    replica = freeze(generator)
    assert replica.borrowed is None and replica.module is not generator
    assert replica(problems.QUERY[None]).tolist() == [problems.QUERY_X.tolist()]
    assert not any(parameter.requires_grad for parameter in replica.module.parameters())
    assert all(parameter.requires_grad for parameter in generator.parameters())
    pairs = zip(generator.parameters(), replica.module.parameters(), strict=True)
    assert all(mine.data_ptr() == copied.data_ptr() for mine, copied in pairs)
    assert (generator.n_passes.item(), generator.last) == (0.0, None)


def test_tied_weights_stay_tied() -> None:
    generator = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    generator[1].weight = generator[0].weight
    copied = frozen_copy(generator, torch.float64)
    assert copied.get_parameter("0.weight") is copied.get_parameter("1.weight")
    assert copied.get_parameter("0.weight").dtype == torch.float64


def test_a_tensor_in_the_middle_of_a_graph_is_copied() -> None:
    generator = problems.Plain()
    generator.scaled = generator[0].weight * 2  # pyright: ignore
    assert freeze(generator).borrowed is None


def test_what_cannot_be_copied_is_borrowed() -> None:
    generator = problems.Stateful(lock=True)
    replica = freeze(generator)
    assert replica.module is generator
    image = replica(problems.QUERY[None])
    assert image.tolist() == [problems.QUERY_X.tolist()]
    assert not image.requires_grad
    assert generator.n_passes.item() == 0


def test_one_thread_at_a_time_is_inside() -> None:
    door, order = Door(), list[str]()

    def enter() -> None:
        with door:
            order.append("other")

    with door, door:
        thread = threading.Thread(target=enter)
        thread.start()
        thread.join(timeout=0.1)
        order.append("first")
    thread.join()
    assert order == ["first", "other"]


def test_a_copy_is_another_door() -> None:
    replica = freeze(problems.Plain())
    with replica.door, copy.deepcopy(replica).door, pickle.loads(pickle.dumps(replica.door)):
        pass
    assert copy.deepcopy(replica).door is not replica.door


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_doors_are_open_in_a_forked_process() -> None:
    door, inside, leave = Door(), threading.Event(), threading.Event()

    def stay() -> None:
        with door:
            inside.set()
            leave.wait(timeout=30)

    thread = threading.Thread(target=stay)
    thread.start()
    inside.wait(timeout=30)
    child = os.fork()
    if child == 0:
        os._exit(0 if door._lock.acquire(timeout=5) else 1)
    leave.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_network_that_changes_meanwhile_is_copied_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []

    def copied(generator: nn.Module) -> nn.Module:
        tries.append(1)
        if len(tries) < 3:
            raise RuntimeError("dictionary changed size during iteration")
        return frozen_copy(generator)

    monkeypatch.setattr("egbas.network.replica.frozen_copy", copied)
    assert freeze(problems.Plain()).borrowed is None


def test_hooks_hear_their_own_thread_alone() -> None:
    generator = problems.Stateful(lock=True)
    replica, z = freeze(generator), problems.QUERY[None]

    def by_another() -> object:
        with ThreadPoolExecutor(1) as other:
            return other.submit(lambda: generator(z).tolist()).result()

    layer = Network(generator, (2,)).layers[0]
    for hook in (Capture(), Replace(torch.zeros(1, 3))):
        with replica.door, hooked(generator, layer, hook):
            assert by_another() == [problems.QUERY_X.tolist()]
    module = Network(generator, (2,)).resolve("0")
    with replica.door, hooked(generator, module, Capture()):
        assert by_another() == [problems.QUERY_X.tolist()]
    seen, _ = trace(generator, lambda: (by_another(), generator(z)))
    assert [call.path for call in seen.modules] == ["0", "1", "2", ""]
