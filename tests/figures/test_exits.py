# SPDX-License-Identifier: MIT
import torch

from egbas.figures.exits import exits_figure
from tests.exploration.test_exits import exits_of_a_third, run_in_a_third


def test_a_row_for_each_way_out() -> None:
    found, run = exits_of_a_third(), run_in_a_third()
    assert found.back is not None
    rows = {**found.routes, "the way back": found.back}
    figure = exits_figure(rows, run.network.generate, [0, 0, 0, 1])
    titles = [axes.get_title() for axes in figure.axes]
    assert len(figure.axes) == 5 * len(rows) == 20
    assert titles[:4] == ["class 0", "half way", "a tenth before", "class 1"] and titles[4].startswith("change, +-")
    assert titles[15] == "class 1" and titles[18] == "class 0"
    assert "the way back" in figure.axes[15].get_ylabel()


def test_without_classes_it_is_inside_and_outside() -> None:
    found, run = exits_of_a_third(), run_in_a_third()
    one = type(found.nearest)(**{**vars(found.nearest), "next_class": None})
    figure = exits_figure({"one": one}, run.network.generate, [None])
    assert [figure.axes[place].get_title() for place in (0, 3)] == ["inside", "outside"]
    assert torch.equal(one.at(1.0), one.latent)
