# SPDX-License-Identifier: MIT
import numpy as np
import pytest
import torch

from egbas.errors import ShapeError
from egbas.figures import map_plane, plane_figure, plane_window
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
    plane = map_plane(run.region, run.query, (-1.0, 1.0, -1.0, 1.0), resolution=40, batch_size=7)
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


@pytest.mark.parametrize("has_inset", [False, True])
def test_draws_tree_rejections_and_query(has_inset: bool) -> None:
    run = plane_run()
    plane = map_plane(run.region, run.query, plane_window(run.latents))
    inset = map_plane(run.region, run.query, plane_window(run.latents[:5])) if has_inset else None
    figure = plane_figure(plane, run.latents, run.parents, run.rejected, run.rejected_reason, inset)
    figure.canvas.draw()
    assert len(figure.axes) == 1 + has_inset
    labels = figure.axes[0].get_legend_handles_labels()[1]
    assert {"region", "query", "tree (accepted nodes)", "rejected: outside the region"} <= set(labels)


def test_a_window_without_region_can_be_drawn() -> None:
    run = plane_run()
    plane = map_plane(run.region, run.query, (50.0, 51.0, 50.0, 51.0), resolution=32)
    plane_figure(plane, run.latents, run.parents, run.rejected, run.rejected_reason).canvas.draw()
