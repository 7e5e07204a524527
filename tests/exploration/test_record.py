# SPDX-License-Identifier: MIT
import json

import pytest
import torch
from torch import nn

from egbas.exploration.record import box_of, state_sha256
from tests.runs import exact_run, focused_run, plane_run


def test_images_come_in_the_order_of_the_samples() -> None:
    run = plane_run()
    assert torch.equal(run.images(), torch.cat(list(run.network.image_batches(run.latents))))
    torch.testing.assert_close(run.images(batch_size=7), run.images())


def test_the_checksum_is_of_names_and_values() -> None:
    one, same, other = nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2)
    same.load_state_dict(one.state_dict())
    assert state_sha256(one) == state_sha256(same) != state_sha256(other)


@pytest.mark.parametrize(
    ("pixels", "box"),
    [([(0, 0)], [0, 0, 1, 1]), ([(1, 2), (1, 3)], [2, 1, 4, 2]), ([(0, 3), (2, 1)], [1, 0, 4, 3])],  # row, column
)
def test_the_box_around_a_focus(pixels: list[tuple[int, int]], box: list[int]) -> None:
    focus = torch.zeros(3, 4, dtype=torch.bool)
    for row, column in pixels:
        focus[row, column] = True
    assert box_of(focus) == box


def test_what_repeats_a_run_has_its_level_focus_and_exact_samplers() -> None:
    config = focused_run().config()
    assert (config["level"], config["focus"]) == (5, [0, 0, 2, 2])
    assert config["exact"]["samples"] == 20
    assert config["exact"]["max_evaluations"] == 3000
    other = plane_run().config()
    assert (other["level"], other["focus"], other["exact"]) == (None, None, None)
    assert exact_run().config()["exact"]["samples"] == 50


def test_numbers_of_a_region_say_what_is_held() -> None:
    region = json.loads(json.dumps(focused_run().metrics()["region"], allow_nan=False))
    assert region.keys() >= {"words", "judges", "focus", "feature_distance"}
    assert region["judges"]["corner"].keys() == {
        *("query", "region_mean", "region_deviation", "prior_mean", "prior_deviation", "freedom"),
    }
    without = exact_run().metrics()["region"]
    assert (without["focus"], without["feature_distance"]) == (None, None)
    assert without["judges"].keys() == {"brightness", "contrast"}
