# SPDX-License-Identifier: MIT
import numpy as np
import pytest
import torch

from egbas.errors import ShapeError
from egbas.figures import map_plane, plane_drawing, plane_window
from egbas.figures.drawing import CIRCLE, CROSS, PLUS
from egbas.figures.plane import PlaneMap, _outlines
from tests.runs import colour_run, plane_run


def test_window_is_square_and_padded() -> None:
    window = plane_window(torch.tensor([[0.0, 0.0], [2.0, 1.0]]), pad=0.25)
    assert window == pytest.approx((-0.5, 2.5, -1.0, 2.0))


def test_window_of_one_point_has_a_size() -> None:
    left, right, bottom, top = plane_window(torch.zeros(1, 2))
    assert left < right
    assert bottom < top


def test_membership_is_the_regions() -> None:
    run = plane_run()
    plane = map_plane(run.region, run.query, (-1.0, 1.0, -1.0, 1.0), resolution=40)
    xs, ys = np.meshgrid(plane.xs, plane.ys)
    grid = torch.from_numpy(np.stack([xs.ravel(), ys.ravel()], axis=1)).float()
    assert torch.equal(torch.from_numpy(plane.inside.ravel()), run.region.contains(grid))
    assert plane.window == (-1, 1, -1, 1)


def test_drawn_boundaries_cross_the_window_and_are_limited() -> None:
    run = plane_run()
    window = (-3.0, 3.0, -3.0, 3.0)
    everything = map_plane(run.region, run.query, window)
    some = map_plane(run.region, run.query, window, max_units=2)
    assert everything.n_crossing == len(everything.units) > 2
    assert some.units.tolist() == everything.units[:2].tolist()
    assert some.n_crossing == everything.n_crossing
    assert set(everything.units) <= set(run.beropt.units.tolist())
    assert ((everything.values < 0).any((1, 2)) & (everything.values > 0).any((1, 2))).all()


def test_first_boundary_bounds_the_region() -> None:
    run = plane_run()
    plane = map_plane(run.region, run.query, (-3.0, 3.0, -3.0, 3.0), max_units=1)
    sign = run.region.signs[run.region.units == plane.units[0]].item()
    rim = np.zeros_like(plane.inside)
    rim[1:] |= plane.inside[:-1]
    rim[:, 1:] |= plane.inside[:, :-1]
    assert (sign * plane.values[0])[rim & ~plane.inside].min() < 0


def test_large_sets_get_a_coarser_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("egbas.figures.plane.MAX_VALUES", 10)
    run = plane_run()
    assert len(map_plane(run.region, run.query, (-1.0, 1.0, -1.0, 1.0)).xs) == 32


def test_only_planes_are_mapped() -> None:
    run = colour_run()
    with pytest.raises(ShapeError, match="5 coordinates"):
        map_plane(run.region, run.query, (-1.0, 1.0, -1.0, 1.0))


def test_draws_tree_rejections_and_query() -> None:
    run = plane_run()
    plane = map_plane(run.region, run.query, plane_window(run.latents))
    svg = plane_drawing(plane, run.latents, run.parents, run.rejected, run.rejected_reason).svg()
    legend = {"region", "query", "tree (accepted nodes)", "rejected: outside the region"}
    assert all(f">{meaning}</text>" in svg for meaning in legend)
    assert svg.count(CIRCLE) == len(run.latents) - 1 + 1  # all nodes but the query, and one in the legend
    left, right, bottom, top = plane.window
    inside = (run.rejected >= torch.tensor([left, bottom])).all(1) & (run.rejected <= torch.tensor([right, top])).all(1)
    assert svg.count(CROSS) == int((inside & (run.rejected_reason == 1)).sum()) + 1
    assert svg.count(PLUS) == int((inside & (run.rejected_reason == 2)).sum()) + 1


def outlined(margin: np.ndarray) -> list[np.ndarray]:
    n = len(margin)
    values = np.zeros((0, n, n))
    axis = np.arange(float(n))
    units = np.zeros(0, dtype=np.int64)
    return _outlines(PlaneMap(xs=axis, ys=axis, margin=margin, values=values, units=units, n_crossing=0))


def test_a_region_with_a_hole_has_two_outlines_where_the_margin_is_zero() -> None:
    margin = -np.ones((9, 9))
    margin[1:8, 1:8] = 1.0
    margin[4, 4] = -1.0
    outer, hole = sorted(outlined(margin), key=np.ptp, reverse=True)
    assert (outer.min(), outer.max()) == (0.5, 7.5)
    assert (hole.min(), hole.max()) == (3.5, 4.5)


def test_a_window_within_the_region_is_filled() -> None:
    (outline,) = outlined(np.full((5, 5), np.inf))
    assert (outline.min(), outline.max()) == (0, 4)


def test_a_window_without_region_can_be_drawn() -> None:
    run = plane_run()
    plane = map_plane(run.region, run.query, (-51.0, -50.0, -51.0, -50.0), resolution=32)
    assert not _outlines(plane)
    plane_drawing(plane, run.latents, run.parents, run.rejected, run.rejected_reason)
