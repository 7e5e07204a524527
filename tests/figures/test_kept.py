# SPDX-License-Identifier: MIT
import pytest
import torch

from egbas.errors import ShapeError
from egbas.figures import kept_units_figure
from egbas.figures.kept import kept_counts


def test_counts_by_hand() -> None:
    units = torch.tensor([0, 3, 4, 8])  # of (3, 2, 2): channel 0 at (0,0), (1,1); channel 1 and 2 at (0,0)
    by_channel, by_position = kept_counts(units, (3, 2, 2))
    assert by_channel.tolist() == [2, 1, 1]
    assert by_position.tolist() == [[3, 0], [0, 1]]


def test_flat_layers_have_no_positions() -> None:
    with pytest.raises(ShapeError, match=r"need \(c, h, w\)"):
        kept_counts(torch.tensor([0]), (10,))


@pytest.mark.parametrize("units", [[], [5], list(range(12))])
def test_draws(units: list[int]) -> None:
    kept_units_figure(torch.tensor(units, dtype=torch.int64), (3, 2, 2)).canvas.draw()
