# SPDX-License-Identifier: MIT
import pytest

from egbas.errors import ShapeError
from egbas.figures.sensitivity import sensitivity_figure


def row(setting: str, value: float, mean: float, method: str = "eps-L2", layer: int = 1) -> dict[str, object]:
    interval = {"low": mean - 0.1, "high": mean + 0.1}
    return {
        "model": "m",
        "layer": layer,
        "setting": setting,
        "value": value,
        "method": method,
        "mean": mean,
        **interval,
    }


def test_a_panel_for_each_setting_and_a_line_for_each_layer() -> None:
    rows = [row("sparsity", 3.0, 0.9), row("sparsity", 1.0, 0.8), row("sparsity", 1.0, 0.7, layer=2)]
    rows += [row("iterations", 500.0, 0.6), row("sparsity", 1.0, 0.1, method="eps-Linf")]
    figure = sensitivity_figure(rows)
    figure.canvas.draw()
    sparsity, iterations = figure.axes
    assert [axes.get_xlabel() for axes in figure.axes] == ["sparsity", "iterations"]
    lines = {line.get_label(): line.get_xydata().tolist() for line in sparsity.lines}
    assert lines["l = 1"] == [[1.0, 0.8], [3.0, 0.9]]  # by value, whatever the order of the rows
    assert lines["l = 2"] == [[1.0, 0.7]]
    assert iterations.lines[0].get_ydata().tolist() == [0.6]
    assert [tick.get_text() for tick in sparsity.get_xticklabels()] == ["1", "3"]


def test_no_rows() -> None:
    with pytest.raises(ShapeError, match="no rows"):
        sensitivity_figure([row("sparsity", 1.0, 0.5, method="eps-Linf")])
