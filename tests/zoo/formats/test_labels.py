# SPDX-License-Identifier: MIT
"""What is taken for a table of labels; networks with labels are in the tests of their formats."""

from pathlib import Path

import pytest
import torch

from egbas.zoo.containers.content import open_content
from egbas.zoo.formats.labels import holds_ten_labels, table_of


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        ({"label_emb.weight": (10, 4), "main.0.weight": (9, 8, 4, 4)}, "label_emb.weight"),
        ({"embed.weight": (10, 4), "class_emb.weight": (10, 4)}, None),  # which of the two is not told
        ({"main.0.weight": (9, 8), "main.2.weight": (9, 9)}, None),
        ({"label_emb.bias": (10, 4)}, None),
    ],
)
def test_the_only_table_of_labels_is_found(
    shapes: dict[str, tuple[int, ...]], expected: str | None, tmp_path: Path
) -> None:
    torch.save({name: torch.zeros(shape) for name, shape in shapes.items()}, tmp_path / "g.pth")
    with open_content(tmp_path / "g.pth") as content:
        assert table_of(content.generator) == expected


@pytest.mark.parametrize(("size", "holds"), [(110, True), (60, True), (100, False), (64, False), (111, False)])
def test_ten_more_than_a_usual_latent_may_be_labels(size: int, holds: bool) -> None:
    assert holds_ten_labels(size) == holds
