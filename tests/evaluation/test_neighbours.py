# SPDX-License-Identifier: MIT
import pytest
import torch

from egbas.errors import ConfigError, ShapeError
from egbas.evaluation.neighbours import neighbours_of
from tests.runs import plane_run


def test_the_latents_that_share_most_boundaries_come_first() -> None:
    run = plane_run()
    region = run.support.region
    bank = torch.randn(300, 2, generator=torch.Generator().manual_seed(0))
    near = neighbours_of(region, bank, 20)
    h = region.split.head(bank)[:, region.units]
    by_hand = torch.tensor([float(sum(row[i] * region.signs[i] >= 0 for i in range(len(row)))) / len(row) for row in h])
    torch.testing.assert_close(near.shared, by_hand.sort(descending=True).values[:20].double())
    assert torch.equal(near.latents, bank[near.index])
    assert near.bank == 300 and near.mean == pytest.approx(float(by_hand.mean()))
    assert near.inside == int(region.contains(bank).sum())


def test_the_query_shares_all() -> None:
    run = plane_run()
    near = neighbours_of(run.support.region, torch.stack([-run.query, run.query]), 5)
    assert near.shared[near.index.tolist().index(1)] == 1 and len(near.latents) == 2


def test_progress_ends_at_the_whole_bank() -> None:
    told: list[tuple[int, int]] = []
    neighbours_of(plane_run().support.region, torch.zeros(600, 2), 1, progress=lambda *update: told.append(update))
    assert told == [(256, 600), (512, 600), (600, 600)]


@pytest.mark.parametrize("bank", [torch.zeros(3, 3), torch.zeros(0, 2), torch.full((2, 2), float("nan"))])
def test_a_bank_of_another_form_is_refused(bank: torch.Tensor) -> None:
    with pytest.raises(ShapeError, match="expected"):
        neighbours_of(plane_run().support.region, bank)


def test_at_least_one_neighbour_is_asked_for() -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        neighbours_of(plane_run().support.region, torch.zeros(3, 2), 0)
