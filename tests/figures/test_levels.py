# SPDX-License-Identifier: MIT
import numpy as np
import torch

from egbas.figures.levels import Cell, levels_figure


def cell(value: float, freedom: torch.Tensor | None = None, n: int = 8) -> Cell:
    return Cell(images=torch.full((n, 1, 6, 5), value), freedom=freedom, caption=f"{value:g}")


def test_a_cell_for_each_layer_and_level() -> None:
    rows = [("layer 1", [cell(-1.0), cell(1.0)]), ("layer 2", [cell(0.0), cell(0.5)])]
    figure = levels_figure(torch.zeros(1, 6, 5), (-1.0, 1.0), rows, ["level 1", "level 2"])
    _, grid = figure.subfigs
    axes = grid.axes
    assert [one.get_xlabel() for one in axes] == ["-1", "1", "0", "0.5"]
    assert [one.get_title() for one in axes] == ["level 1", "level 2", "", ""]
    assert [one.get_ylabel() for one in axes] == ["layer 1", "", "layer 2", ""]
    black, white = (np.asarray(one.images[0].get_array()) for one in axes[:2])
    assert black[:6, :5].max() == 0 and white[:6, :5].min() == 1


def test_freedom_takes_four_places_and_samples_the_others() -> None:
    freedom = torch.full((1, 6, 5), float("nan"))
    figure = levels_figure(torch.zeros(1, 6, 5), (0.0, 1.0), [("1", [cell(0.0, freedom)])], ["1"])
    drawn = np.asarray(figure.subfigs[1].axes[0].images[0].get_array())
    corner = drawn[:13, :11]  # two by two images with a gap of one pixel
    assert np.ptp(corner.reshape(-1, 3), axis=0).max() < 1e-6 and 0.4 < corner[0, 0, 0] < 0.7  # grey
    assert drawn[:6, 12:17].max() == 0 and drawn[14:20, :5].max() == 0


def test_images_of_three_channels_and_few_samples() -> None:
    one = Cell(images=torch.zeros(2, 3, 4, 4), freedom=torch.rand(3, 4, 4), caption="")
    levels_figure(torch.zeros(3, 4, 4), (-1.0, 1.0), [("1", [one])], ["1"]).canvas.draw()
