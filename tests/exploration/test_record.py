# SPDX-License-Identifier: MIT
import torch
from torch import nn

from egbas.exploration.record import state_sha256
from tests.runs import plane_run


def test_images_come_in_the_order_of_the_samples() -> None:
    run = plane_run()
    assert torch.equal(run.images(), torch.cat(list(run.network.image_batches(run.latents))))
    torch.testing.assert_close(run.images(batch_size=7), run.images())


def test_the_checksum_is_of_names_and_values() -> None:
    one, same, other = nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2)
    same.load_state_dict(one.state_dict())
    assert state_sha256(one) == state_sha256(same) != state_sha256(other)
