# SPDX-License-Identifier: MIT
import operator

import torch
from torch.nn import functional as F

from egbas.network.functions import (
    activation_input,
    activation_name,
    curve_name,
    function_name,
    is_elementwise,
    tensors_in,
)


def test_names_have_no_underscores() -> None:
    assert [function_name(f) for f in (torch.relu_, "mul_", operator.mul, torch.Tensor.__rsub__)] == [
        "relu", "mul", "mul", "rsub",
    ]  # fmt: skip


def test_erf_is_a_curve_and_no_activation() -> None:
    assert (activation_name(torch.erf), curve_name(torch.erf)) == (None, "erf")
    assert activation_name(torch.tanh) == curve_name("tanh_") == "tanh"
    assert curve_name(torch.softmax) is None


def test_what_mixes_elements_is_not_elementwise() -> None:
    assert all(is_elementwise(f) for f in (torch.mul, operator.add, "pow", torch.erf, F.gelu))
    assert not any(is_elementwise(f) for f in (torch.softmax, torch.matmul, torch.sum, F.layer_norm, torch.cumsum))


def test_what_einsum_does_is_told_by_its_equation() -> None:
    assert is_elementwise(torch.einsum, ("ni, ni -> ni", 0, 0))
    assert not any(is_elementwise(torch.einsum, (text,)) for text in ("ni,ij->nj", "ni,ni->n", "ni,ni", "ni,in->ni"))
    assert not is_elementwise(torch.einsum)


def test_tensors_are_found_in_lists_and_dicts() -> None:
    a, b, c = torch.zeros(1), torch.zeros(2), torch.zeros(3)
    assert [len(tensor) for tensor in tensors_in(a, 1.0, [b], {"out": c})] == [1, 2, 3]
    assert activation_input((a, b), {}) is a
    assert activation_input((), {"input": b}) is b
