# SPDX-License-Identifier: MIT
import threading
import warnings

import numpy as np
import pytest
import torch

from egbas.machine.settings import alone, as_caller, is_settled, settled, settles


def test_a_fresh_thread_is_settled() -> None:
    assert is_settled()


def test_autocast_is_put_aside_and_comes_back() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert not is_settled()
        with settled():
            assert is_settled()
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16


def test_the_default_device_is_put_aside_and_is_the_callers_again() -> None:
    with torch.device("meta"):
        assert not is_settled()
        with settled():
            assert torch.zeros(1).device.type == "cpu"
            with as_caller():
                assert torch.zeros(1).device.type == "meta"
            with as_caller(torch.device("cpu")):  # a network's own
                assert torch.zeros(1).device.type == "cpu"
        assert torch.zeros(1).device.type == "meta"
    with as_caller(torch.device("meta")):  # nothing was set, so nothing is
        assert torch.zeros(1).device.type == "cpu"


def test_numpys_error_state_is_put_aside() -> None:
    with np.errstate(all="raise"):
        with settled(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert np.log(np.zeros(1)) == -np.inf
        with pytest.raises(FloatingPointError):
            np.log(np.zeros(1))


def test_other_threads_notice_nothing() -> None:
    seen: list[bool] = []

    def look() -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            start.wait()
            seen.append(torch.is_autocast_enabled("cpu"))

    start = threading.Event()
    thread = threading.Thread(target=look)
    thread.start()
    with torch.autocast("cpu", dtype=torch.bfloat16), settled():
        start.set()
        thread.join()
    assert seen == [True]


def test_alone_has_gradients_and_leaves_the_mode() -> None:
    @alone
    def slope() -> float:
        x = torch.ones(1, requires_grad=True)
        return float(torch.autograd.grad((x * x).sum(), x)[0])

    with torch.inference_mode():
        assert slope() == 2
        assert torch.is_inference_mode_enabled()
    with torch.no_grad():
        assert slope() == 2


def test_settles_leaves_gradients_as_they_are() -> None:
    @settles
    def has_gradients() -> bool:
        return torch.is_grad_enabled()

    with torch.no_grad(), torch.autocast("cpu"):
        assert not has_gradients()
