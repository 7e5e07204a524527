# SPDX-License-Identifier: MIT
import numpy as np
import pytest
import torch

from egbas.errors import ShapeError
from egbas.figures.rows import rows_figure


def test_images_stand_in_their_rows_and_columns() -> None:
    queries = torch.tensor([0.0, 0.25])[:, None, None, None].expand(2, 1, 4, 4)
    first = [torch.full((2, 1, 4, 4), 0.5), None]
    second = [torch.full((1, 1, 4, 4), 0.75), torch.full((1, 1, 4, 4), 0.125)]
    figure = rows_figure(queries, {"first": first, "second": second}, ["a", "b"])
    figure.canvas.draw()
    (axes,) = figure.axes
    picture = np.asarray(axes.images[0].get_array())[:, :, 0]
    # Images of 4 pixels, gaps of 1, blocks 4 apart: columns 0, 8, 13 and 21; a method without samples stays white.
    assert picture[0, [0, 8, 13, 21]].tolist() == [0.0, 0.5, 0.5, 0.75]
    assert picture[5, [0, 8, 13, 21]].tolist() == [0.25, 1.0, 1.0, 0.125]
    assert [text.get_text() for text in axes.texts] == ["query", "first", "second"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]


def test_unequal_numbers_of_rows_are_refused() -> None:
    queries = torch.zeros(2, 1, 4, 4)
    with pytest.raises(ShapeError, match="equal numbers"):
        rows_figure(queries, {"first": [queries]}, ["a", "b"])


def test_a_method_without_any_samples_is_refused() -> None:
    with pytest.raises(ShapeError, match="not empty"):
        rows_figure(torch.zeros(1, 1, 4, 4), {"first": [None]}, ["a"])
