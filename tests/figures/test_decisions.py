# SPDX-License-Identifier: MIT
import numpy as np
import pytest
import torch
from torch import nn

from egbas.errors import ShapeError
from egbas.figures.decisions import decisions_figure, map_decisions
from egbas.latent import LatentSpace
from egbas.region import DecisionRegion
from tests.exploration.test_exits import QUERY, THIRDS, exits_of_a_third, run_in_a_third
from tests.problems import linear

WINDOW = (-2.0, 2.0, -2.0, 2.0)


def test_the_map_tells_the_class_of_every_point() -> None:
    decision = run_in_a_third().decision
    assert decision is not None
    plane = map_decisions(decision, WINDOW, resolution=21)
    grid = np.stack(np.meshgrid(plane.xs, plane.ys), axis=-1)
    leads = np.sort(grid @ np.array(THIRDS).T, axis=-1)
    is_clear = leads[..., -1] - leads[..., -2] > 1e-5
    assert np.array_equal(plane.classes[is_clear], (grid @ np.array(THIRDS).T).argmax(axis=-1)[is_clear])
    assert plane.window == WINDOW and plane.n_classes == 3


def test_regions_tree_and_exits_in_one_figure() -> None:
    run, found = run_in_a_third(), exits_of_a_third()
    assert run.decision is not None and run.latents is not None and run.parents is not None
    plane = map_decisions(run.decision, WINDOW, resolution=21)
    edges = torch.stack([run.latents[1:], run.latents[run.parents[1:]]], dim=1)
    figure = decisions_figure(plane, plane, QUERY, edges, [*found.routes.values()])
    left, right = figure.axes
    assert {text.get_text() for text in left.texts} == {"0", "1", "2"}
    (shown,) = [line for line in right.lines if line.get_label() == "nearest exits"]
    points = np.stack(shown.get_data(), axis=1)
    assert np.allclose(points, torch.stack([one.latent for one in found.routes.values()]).numpy())
    tree = next(each for each in left.collections if each.get_label() == "tree")
    assert len(tree.get_segments()) == len(edges)  # type: ignore[attr-defined]
    bare = decisions_figure(plane, plane, QUERY, edges[:0], [found.nearest])
    assert all(each.get_label() != "tree" for each in bare.axes[0].collections)


def test_more_than_two_coordinates_are_no_plane() -> None:
    region = DecisionRegion(
        nn.Sequential(linear([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])), 0, latent=LatentSpace(shape=(3,))
    )
    with pytest.raises(ShapeError, match="3 coordinates; only a 2-D"):
        map_decisions(region, WINDOW)
