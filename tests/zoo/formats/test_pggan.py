# SPDX-License-Identifier: MIT
import pytest
import torch

from egbas.errors import CheckpointError
from egbas.zoo.formats.pggan import CriticLayers, Deviation, pggan_critic, pggan_generator
from tests.zoo.formats.reference import Draw

DEVIATION = Deviation(groups="strided", group_size=4)


def conv(n_out: int, n_in: int, k: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    return Draw(n_out)(n_out, n_in, k, k), Draw(n_in)(n_out)


def linear(n_out: int, n_in: int) -> tuple[torch.Tensor, torch.Tensor]:
    return Draw(n_out)(n_out, n_in), Draw(n_in)(n_out)


def layers(final_in: int = 4, scores: int = 1, final_out: int = 3) -> CriticLayers:
    return CriticLayers(
        rgb=conv(2, 3, 1),
        blocks=[(conv(2, 2), conv(3, 2))],
        final=conv(final_out, final_in),
        feature=linear(5, 16 * final_out),
        score=linear(scores, 5),
    )


def test_every_image_of_a_critic_gets_the_deviation_of_one_alone() -> None:
    critic, images = pggan_critic(layers(), DEVIATION).build(), Draw(9)(4, 3, 8, 8)
    assert float(critic.get_buffer("deviation.reference")) == pytest.approx(1e-4)
    torch.testing.assert_close(critic(images), torch.cat([critic(image[None]) for image in images]))


def test_a_critic_without_deviation_has_no_channel_for_it() -> None:
    assert pggan_critic(layers(final_in=3), DEVIATION).config.groups == "none"


@pytest.mark.parametrize(
    ("odd", "message"),
    [
        (layers(final_in=6), r"maps 6 to 3 channels; expected 3 \(or 4"),
        (layers(final_out=2), "maps 4 to 2 channels"),
        (layers(scores=3), "3 numbers, so the network is conditional"),
    ],
)
def test_critics_that_do_not_fit_together_are_refused(odd: CriticLayers, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        pggan_critic(odd, DEVIATION)


def test_layers_of_different_widths_are_refused() -> None:
    with pytest.raises(CheckpointError, match="different numbers of channels"):
        pggan_generator([conv(3, 4, 4), conv(2, 3)], conv(3, 2, 1))
