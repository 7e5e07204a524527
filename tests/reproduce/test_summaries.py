# SPDX-License-Identifier: MIT
import dataclasses

import torch

from egbas.evaluation.baselines import E_GBAS, L2
from egbas.evaluation.comparison import images_of
from egbas.evaluation.metrics.spread import changed_share
from egbas.exploration.result import Exploration
from egbas.reproduce import summaries
from tests.runs import colour_run, plane_run, sphere_run


def without_nodes(run: Exploration) -> Exploration:
    tree = dataclasses.replace(run.tree, latents=run.latents[:1], parents=run.parents[:1])
    return dataclasses.replace(run, samples={"tree": tree})


def at_seed(run: Exploration, seed: int) -> Exploration:
    return dataclasses.replace(run, seed=seed)


def test_freedom_of_the_query_to_show_and_of_others() -> None:
    run = at_seed(colour_run(), summaries.SHOWN_QUERY)
    found = summaries.freedom_of(run)
    assert found.changed_share == changed_share(run.images()[1:], run.query_image)
    assert found.shown is not None
    deviation, shown = found.shown
    assert deviation.shape == (8, 8)
    assert shown.shape == (8, 3, 8, 8)
    assert summaries.freedom_of(at_seed(run, 5)).shown is None


def test_a_tree_of_the_query_alone_is_no_failure() -> None:
    run = without_nodes(at_seed(colour_run(), summaries.SHOWN_QUERY))
    found = summaries.freedom_of(run)
    assert found.changed_share is None
    assert found.shown is not None
    assert found.shown[0].abs().sum() == 0
    assert found.shown[1].shape == (0, 3, 8, 8)
    assert summaries.row_of(run).images == {}


def test_a_row_has_some_images_of_two_methods() -> None:
    run = plane_run()
    row = summaries.row_of(run)
    assert list(row.images) == [E_GBAS, L2]
    assert {len(images) for images in row.images.values()} == {8}
    chosen = summaries.chosen_of(len(run.latents) - 1, count=8)
    assert torch.equal(row.images[E_GBAS], images_of(run, run.latents[1:][list(chosen)]))
    assert torch.equal(row.query_image, run.query_image)


def test_facts_tell_the_geometry() -> None:
    assert summaries.facts_of(sphere_run())["geometry"] == {"used": "sphere", "asked": "auto"}
    assert summaries.facts_of(plane_run())["geometry"] == {"used": "flat", "asked": "auto"}
