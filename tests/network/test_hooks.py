# SPDX-License-Identifier: MIT
import pytest
import torch
from torch import nn

from egbas.network.hooks import Capture, Record, Replace, Stop, hooked
from egbas.network.layers import Layer
from tests import problems

Z = problems.QUERY[None]
FIRST = Layer(number=1, path="1", kind="ReLU", shape=(3,), units=3)
MAP = Layer(number=None, path="0", kind="Linear", shape=(3,), units=3)


@pytest.mark.parametrize("layer", [FIRST, MAP])
def test_capture_stops(layer: Layer) -> None:
    module, capture = problems.Plain(), Capture()
    with pytest.raises(Stop), hooked(module, layer, capture):
        module(Z)
    assert capture.h is not None and capture.h.tolist() == [problems.QUERY_H.tolist()]
    assert not module[0]._forward_hooks


def test_stop_is_no_exception_that_a_network_could_swallow() -> None:
    assert not issubclass(Stop, Exception)


@pytest.mark.parametrize("module", [problems.Plain(), problems.InPlaceModule()])
def test_record_keeps_both_sides_and_goes_on(module: nn.Module) -> None:
    record = Record()
    with hooked(module, FIRST, record):
        x = module(Z)
    assert record.h is not None and record.a is not None
    assert (record.h.tolist(), record.a.tolist()) == (
        [problems.QUERY_H.tolist()],
        [problems.QUERY_A.tolist()],
    )
    assert x.tolist() == [problems.QUERY_X.tolist()]


@pytest.mark.parametrize("module", [problems.Plain(), problems.InPlaceStatement(), problems.InPlaceView()])
def test_replace_goes_on_with_something_else(module: nn.Module) -> None:
    module.requires_grad_(False)
    with hooked(module, FIRST, Replace(torch.tensor([[1.0, 1.0, 1.0]]))):
        x = module(Z)
    assert x.tolist() == [[3.0, -1.0]]
