# SPDX-License-Identifier: MIT
import dataclasses

import pytest
import torch

from egbas.cli import selftest
from egbas.cli.selftest import self_test, small_network
from tests.runs import plane_run


def test_passes() -> None:
    assert self_test().startswith("passed")


def test_network_is_the_same_every_time() -> None:
    z = torch.tensor([[0.1, 0.2]])
    assert torch.equal(small_network()(z), small_network()(z))
    assert small_network()(z).shape == (1, 1, 4, 4)


def test_a_sample_outside_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    run = plane_run()
    wrong = dataclasses.replace(run, certificates={"tree": dataclasses.replace(run.certificate, n_inside=1)})
    monkeypatch.setattr(selftest, "explore", lambda *_, **__: wrong)
    with pytest.raises(RuntimeError, match="outside their region"):
        self_test()
