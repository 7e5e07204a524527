# SPDX-License-Identifier: MIT
import pytest
import torch

from egbas.samplers.chains import History


@pytest.mark.parametrize("piece", [1, 3, 16, 100])
def test_a_history_keeps_evenly_spaced_draws(piece: int) -> None:
    history, time = History(20), torch.arange(100.0).repeat(2, 1)[..., None]
    for draws in time.split(piece, dim=1):
        history.add(draws)
    assert (history.seen, history.stride) == (100, 8)
    # 0, 8, .., 96 are kept, of which the first quarter is left out.
    assert history.recent()[0, :, 0].tolist() == list(range(24, 100, 8))
    assert torch.equal(history.recent()[0], history.recent()[1])


def test_a_short_history_is_kept_whole() -> None:
    history = History(8)
    history.add(torch.arange(8.0).reshape(1, 8, 1))
    assert history.stride == 1 and history.recent()[0, :, 0].tolist() == [2, 3, 4, 5, 6, 7]


def test_what_is_kept_holds_on_to_nothing_else() -> None:
    history = History(4)
    for _ in range(10):
        history.add(torch.zeros(1, 16, 1))
    assert sum(state.untyped_storage().nbytes() for state in history._kept) == 4 * len(history._kept)
