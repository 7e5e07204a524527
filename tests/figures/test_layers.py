# SPDX-License-Identifier: MIT
import pytest
import torch

from egbas.errors import ShapeError
from egbas.figures.layers import layers_figure


def test_one_row_of_panels_for_each_layer_and_one_scale() -> None:
    query, images, deviation = torch.rand(1, 8, 8), torch.rand(3, 1, 8, 8), torch.rand(8, 8)
    figure = layers_figure(query, {"layer 2": (deviation, images), "layer 4": (0.1 * deviation, images)})
    assert len(figure.axes[-2].child_axes) == 1  # the colour bar, below the last map
    maps = [figure.axes[index].images[0] for index in (1, 4)]
    assert maps[0].get_clim() == maps[1].get_clim()
    assert maps[0].get_clim()[1] == pytest.approx(deviation.max().item(), rel=1e-4)


def test_rows_of_different_lengths() -> None:
    images, deviation = torch.rand(5, 1, 8, 8), torch.rand(8, 8)
    with pytest.raises(ShapeError, match="one number for all rows"):
        layers_figure(images[0], {"a": (deviation, images[:3]), "b": (deviation, images[:2])})
