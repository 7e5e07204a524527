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


def test_a_row_of_fewer_samples_ends_in_blanks() -> None:
    images, deviation = torch.rand(5, 1, 8, 8), torch.rand(8, 8)
    figure = layers_figure(images[0], {"a": (deviation, images[:3]), "b": (deviation, images[:2])})
    whole, short = (figure.axes[index].images[0].get_array() for index in (2, 5))
    assert whole is not None
    assert short is not None
    assert whole.shape == short.shape == (8, 3 * 9 - 1, 3)
    assert (short[:, 18:] == 1).all()
    assert (
        short[:, :17] == layers_figure(images[0], {"b": (deviation, images[:2])}).axes[2].images[0].get_array()
    ).all()


def test_a_row_without_samples_stays_blank() -> None:
    images, deviation = torch.rand(5, 1, 8, 8), torch.rand(8, 8)
    rows = {"a": (deviation, images[:3]), "b": (0 * deviation, images[:0])}
    figure = layers_figure(images[0], rows)
    assert [len(figure.axes[index].images) for index in (2, 5)] == [1, 0]
    assert len(layers_figure(images[0], {"b": rows["b"]}).axes[2].images) == 0


def test_no_rows() -> None:
    with pytest.raises(ShapeError, match="no rows"):
        layers_figure(torch.rand(1, 8, 8), {})
