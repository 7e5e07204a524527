# SPDX-License-Identifier: MIT
import pytest
import torch
from torch import Tensor

from egbas.network.order import SAME, Order, behind, order_of


def permuted(shape: tuple[int, ...], *dims: int) -> tuple[Order | None, Tensor]:
    """The order of a permutation, and the numbers of the elements in it."""
    x = torch.arange(torch.Size(shape).numel()).view(shape)
    return order_of(torch.permute, x, (x, dims), {}), x.permute(dims).flatten()


def test_an_order_tells_where_each_element_comes_from() -> None:
    order, elements = permuted((2, 3, 4), 2, 0, 1)
    assert order == ((4, 1), (6, 4))  # the first two dimensions stay together
    assert torch.arange(24).as_strided(*zip(*order, strict=True)).flatten().tolist() == elements.tolist()
    assert permuted((2, 1, 3), 1, 0, 2)[0] == SAME


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (((2, 3, 4), (0, 2, 1)), ((2, 4, 3), (0, 2, 1))),
        (((2, 3, 4), (2, 0, 1)), ((4, 2, 3), (1, 2, 0))),
        (((2, 3, 4), (2, 1, 0)), ((4, 6), (1, 0))),  # a view between them
        (((6, 4), (1, 0)), ((4, 2, 3), (2, 0, 1))),
        (((2, 3, 4, 5), (0, 2, 3, 1)), ((2, 20, 3), (0, 2, 1))),
    ],
)
def test_orders_are_put_one_behind_the_other(
    first: tuple[tuple[int, ...], tuple[int, ...]], second: tuple[tuple[int, ...], tuple[int, ...]]
) -> None:
    earlier, elements = permuted(first[0], *first[1])
    later, places = permuted(second[0], *second[1])
    assert earlier is not None and later is not None
    order = behind(later, earlier)
    assert order is not None
    n = torch.arange(len(places))
    found = n if order == SAME else n.as_strided(*zip(*order, strict=True)).flatten()
    assert found.tolist() == elements[places].tolist()


def test_what_is_no_permutation_has_no_order() -> None:
    x = torch.ones(2, 3)
    assert order_of(Tensor.expand, x, (x, 2, 3), {}) == SAME
    assert order_of(torch.broadcast_to, x[:1], (x[:1], (2, 3)), {}) is None
    assert behind(((3, 1), (2, 3)), ((5, 1), (2, 5))) is None
    assert behind(((4, 1), (9, 4)), ((6, 1), (6, 6))) is None  # 4 and 6 have no common parts
