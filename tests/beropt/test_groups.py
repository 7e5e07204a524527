# SPDX-License-Identifier: MIT
"""Groups of units: which unit is in which, and what they are called."""

import pytest
import torch

from egbas.beropt.groups import groups_of, told_groups
from egbas.errors import ConfigError
from egbas.network import Layer


def layer(*shape: int, last: bool = False) -> Layer:
    units = int(torch.tensor(shape).prod())
    return Layer(number=1, path="act", kind="ReLU", shape=shape, units=units, channels_last=last)


def test_channels_hold_all_positions() -> None:
    found = groups_of(layer(3, 2, 2), "channel")
    assert found is not None
    assert found.tolist() == [0] * 4 + [1] * 4 + [2] * 4


def test_patches_hold_all_channels_and_are_cut_off_at_the_edge() -> None:
    found = groups_of(layer(2, 3, 5), "patch:2")
    assert found is not None
    rows = found.view(2, 3, 5)
    assert rows[0].tolist() == [[0, 0, 1, 1, 2], [0, 0, 1, 1, 2], [3, 3, 4, 4, 5]]
    assert torch.equal(rows[0], rows[1])


def test_features_behind_tokens_are_channels() -> None:
    found, patches = groups_of(layer(4, 3, last=True), "channel"), groups_of(layer(4, 3, last=True), "patch:2")
    assert found is not None and patches is not None
    assert found.tolist() == [0, 1, 2] * 4
    assert patches.tolist() == [0] * 6 + [1] * 6
    assert told_groups(layer(4, 3, last=True), "channel", torch.tensor([0, 3])) == (1, 3, "channels")
    assert told_groups(layer(2, 4, 3, last=True), "patch:1", torch.tensor([0])) == (1, 8, "patches of 1 x 1 positions")


def test_patches_have_as_many_axes_as_positions() -> None:
    signals, volumes = groups_of(layer(2, 4), "patch:3"), groups_of(layer(1, 2, 2, 2), "patch:2")
    assert signals is not None and volumes is not None
    assert signals.tolist() == [0, 0, 0, 1] * 2
    assert volumes.tolist() == [0] * 8


def test_single_units_are_in_no_group() -> None:
    assert groups_of(layer(3, 2, 2), "unit") is None
    assert told_groups(layer(3, 2, 2), "unit", torch.tensor([0])) is None


def test_a_layer_without_positions_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"units='channel' at layer 'act', whose shape \(7,\) has no channels"):
        groups_of(layer(7), "channel")


def test_groups_that_hold_kept_units_are_counted() -> None:
    kept = torch.tensor([0, 1, 9])
    assert told_groups(layer(3, 2, 2), "channel", kept) == (2, 3, "channels")
    assert told_groups(layer(3, 2, 2), "patch:1", kept) == (2, 4, "patches of 1 x 1 positions")
