# SPDX-License-Identifier: MIT
from xml.etree import ElementTree

import pytest
import torch

from egbas.errors import ShapeError
from egbas.figures import kept_units_drawing
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
    svg = kept_units_drawing(torch.tensor(units, dtype=torch.int64), (3, 2, 2)).svg()
    words = [element.text for element in ElementTree.fromstring(svg).iter() if element.tag.endswith("text")]
    assert {"by position (2 x 2)", "by channel (3, most first)", "0", "1"} <= set(words)
    assert not any("." in (word or "") for word in words)  # counts are whole
