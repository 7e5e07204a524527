# SPDX-License-Identifier: MIT
import numpy as np
import pytest
import torch
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from egbas.evaluation.baselines import e_gbas, l2_ball
from egbas.evaluation.comparison import images_of
from egbas.figures.plane import PlaneMap, map_plane
from egbas.figures.regions import (
    Drawn,
    balls_figure,
    draw_region,
    methods_figure,
    region_and_ball_figure,
    trajectory,
    tree_figure,
)
from tests.runs import plane_run


def plane(resolution: int = 40) -> PlaneMap:
    run = plane_run()
    return map_plane(run.region, run.query, (-3.0, 3.0, -3.0, 3.0), resolution=resolution, max_units=0)


def drawn(latents: torch.Tensor, share: float = 1.0) -> Drawn:
    chosen = list(range(4))
    return Drawn(latents=latents, pictured=chosen, images=images_of(plane_run(), latents[chosen]), share=share)


def radii(figure: Figure) -> list[float]:
    return [patch.radius for axes in figure.axes for patch in axes.patches if isinstance(patch, Circle)]


def test_the_filled_area_is_the_regions() -> None:
    run = plane_run()
    axes = Figure().subplots()
    draw_region(axes, plane(resolution=80))
    filled = axes.collections[0].get_paths()[0]
    z = 6 * torch.rand(2000, 2, generator=torch.Generator().manual_seed(0)) - 3
    inside = run.region.contains(z).numpy()
    assert 0 < inside.sum() < len(inside)
    # The grid rounds corners off: points within a cell of the rim may differ.
    assert (filled.contains_points(z.numpy()) == inside).mean() > 0.985


def test_the_ball_of_figure_1_has_its_radius_and_centre() -> None:
    run = plane_run()
    ball = l2_ball(run, rng=torch.Generator().manual_seed(0))
    assert ball.epsilon is not None
    figure = region_and_ball_figure(
        plane(), run.query, ball.epsilon, drawn(e_gbas(run).latents), drawn(ball.latents, 0.5)
    )
    figure.canvas.draw()
    (circle,) = [patch for patch in figure.axes[0].patches if isinstance(patch, Circle)]
    assert circle.radius == pytest.approx(ball.epsilon)
    assert circle.center == pytest.approx(run.query.tolist())
    numbers = [text.get_text() for text in figure.axes[1].texts]
    assert numbers == ["1", "2", "3", "4"]


def test_every_edge_of_the_tree_is_drawn_and_the_chosen_paths_over_it() -> None:
    run = plane_run()
    chosen = [len(run.latents) - 1, 2]
    figure = tree_figure(plane(), run.latents, run.parents, chosen, images_of(run, run.latents[chosen]))
    figure.canvas.draw()
    edges, paths = [c for c in figure.axes[0].collections if isinstance(c, LineCollection)]
    assert len(edges.get_segments()) == len(run.latents) - 1
    for node, path in zip(chosen, paths.get_segments(), strict=True):
        np.testing.assert_allclose(path[0], run.latents[node])
        np.testing.assert_allclose(path[-1], run.query)
        np.testing.assert_allclose(np.hypot(*np.diff(path, axis=0).T), run.tree.step_size, rtol=1e-3)


def test_a_trajectory_ends_at_the_root() -> None:
    assert trajectory([-1, 0, 1, 0, 2], 4) == [4, 2, 1, 0]
    assert trajectory([-1, 0], 0) == [0]


def test_three_balls_around_the_mean() -> None:
    run = plane_run()
    figure = balls_figure(plane(), run.latents, run.rejected, run.rejected_reason, (0.5, 1.0, 1.5))
    figure.canvas.draw()
    assert radii(figure) == [0.5, 1.0, 1.5]
    mean = run.latents.double().mean(0).tolist()
    assert all(patch.center == pytest.approx(mean) for patch in figure.axes[1].patches if isinstance(patch, Circle))
    (legend,) = figure.legends
    labels = [text.get_text() for text in legend.get_texts()]
    assert "accepted" in labels
    assert "mean of the two: eps-L2 (1.000)" in labels
    assert len(labels) == len(set(labels))


def test_every_method_has_its_panel_and_share() -> None:
    run = plane_run()
    latents = e_gbas(run).latents
    figure = methods_figure(plane(), run.query, {"one": drawn(latents), "two": drawn(latents[:6], 0.25)})
    figure.canvas.draw()
    titles = [axes.get_title() for axes in figure.axes[:2]]
    assert titles == ["(a) one:\n100% in the region", "(b) two:\n25% in the region"]
    assert [len(axes.lines[0].get_xydata()) for axes in figure.axes[:2]] == [len(latents), 6]


def test_a_window_without_region_can_be_drawn() -> None:
    run = plane_run()
    far = map_plane(run.region, run.query, (-51.0, -50.0, -51.0, -50.0), resolution=32, max_units=0)
    assert not far.inside.any()
    methods_figure(far, run.query, {"one": drawn(e_gbas(run).latents)}).canvas.draw()
