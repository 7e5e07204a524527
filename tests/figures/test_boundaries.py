# SPDX-License-Identifier: MIT
import numpy as np
import pytest
import torch
from torch import nn

from egbas.errors import ShapeError
from egbas.figures.boundaries import Boundaries, boundaries_figure, trace_boundaries
from egbas.region import SupportingRegion
from tests.runs import colour_run, plane_run

WINDOW, NEAR = (-1.5, 1.0, -1.0, 1.5), (-0.2, 0.6, -0.6, 0.2)


def values_on_grid(region: SupportingRegion, part: Boundaries) -> torch.Tensor:
    """Pre-activations (units, r, r), in one forward pass."""
    xs, ys = np.meshgrid(part.xs, part.ys)
    grid = torch.from_numpy(np.stack([xs.ravel(), ys.ravel()], axis=1)).float()
    return region.split.head(grid).T.reshape(-1, *xs.shape)


def test_lines_are_of_exactly_the_units_that_change_sign_on_the_grid() -> None:
    region = plane_run().region
    part = trace_boundaries(region, NEAR, resolution=24)
    values = values_on_grid(region, part).flatten(1)
    expected = ((values.amin(1) < 0) & (values.amax(1) > 0)).nonzero()[:, 0].tolist()
    assert sorted(part.lines) == expected
    assert 0 < len(expected) < region.layer.units  # some cross the window and some do not
    assert all(part.lines.values())
    assert set(part.crossing_kept) == set(expected) & set(region.units.tolist())


def test_lines_of_the_first_layer_lie_on_the_zero_sets() -> None:
    run = plane_run()
    part = trace_boundaries(run.region, WINDOW, resolution=24)
    first = run.generator[0]  # pyright: ignore[reportIndexIssue]
    assert isinstance(first, nn.Linear)
    for unit, lines in part.lines.items():
        w, b = first.weight[unit].double().numpy(), first.bias[unit].double().numpy()
        distances = np.abs(np.concatenate(lines) @ w + b) / np.linalg.norm(w)
        assert distances.max() < 1e-5


def test_a_line_of_the_first_layer_reaches_from_rim_to_rim() -> None:
    part = trace_boundaries(plane_run().region, WINDOW, resolution=24, max_values=24 * 24 * 5)
    for lines in part.lines.values():
        points = np.concatenate(lines)
        on_rim = [np.isclose(points[:, 0], edge) for edge in WINDOW[:2]]
        on_rim += [np.isclose(points[:, 1], edge) for edge in WINDOW[2:]]
        assert np.any(on_rim, axis=0).sum() >= 2


def test_strips_change_nothing() -> None:
    region = plane_run().region
    whole = trace_boundaries(region, WINDOW, resolution=24)
    strips = trace_boundaries(region, WINDOW, resolution=24, max_values=1)  # a row at a time
    assert sorted(strips.lines) == sorted(whole.lines)
    np.testing.assert_allclose(strips.margin, whole.margin, atol=1e-6)
    for unit, lines in whole.lines.items():
        assert length(strips.lines[unit]) == pytest.approx(length(lines), rel=1e-4)


def length(lines: list[np.ndarray]) -> float:
    return sum(float(np.hypot(*np.diff(line, axis=0).T).sum()) for line in lines)


def test_the_margin_is_the_regions() -> None:
    run = plane_run()
    part = trace_boundaries(run.region, WINDOW, resolution=32)
    xs, ys = np.meshgrid(part.xs, part.ys)
    grid = torch.from_numpy(np.stack([xs.ravel(), ys.ravel()], axis=1)).float()
    inside = run.region.contains(grid)
    assert torch.equal(torch.from_numpy((part.margin >= 0).ravel()), inside)
    assert 0 < int(inside.sum()) < len(inside)


def test_a_window_without_boundaries() -> None:
    region = plane_run().region
    x, y = plane_run().query.tolist()
    part = trace_boundaries(region, (x, x + 1e-6, y, y + 1e-6), resolution=4)
    assert part.lines == {}
    assert (part.margin >= 0).all()


def test_only_planes_are_traced() -> None:
    with pytest.raises(ShapeError, match="expected"):
        trace_boundaries(colour_run().region, WINDOW, resolution=4)


def test_draws_all_lines_then_the_kept_ones() -> None:
    run = plane_run()
    wide = trace_boundaries(run.region, WINDOW, resolution=24)
    near = trace_boundaries(run.region, NEAR, resolution=24)
    figure = boundaries_figure(wide, near, run.query, run.query_image, run.masked_image)
    figure.canvas.draw()
    every, kept = (
        sum(map(len, wide.lines.values())),
        sum(len(wide.lines[unit]) for unit in wide.crossing_kept),
    )
    drawn = [[len(c.get_paths()) for c in axes.collections if c.get_rasterized()] for axes in figure.axes[:2]]
    assert drawn == [[every], [every, kept]]
    assert figure.axes[0].get_xlim() == pytest.approx(WINDOW[:2])
    assert f"{len(wide.lines)} units" in figure.axes[0].get_title()
