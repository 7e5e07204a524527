# SPDX-License-Identifier: MIT
import pytest
import torch

from egbas.zoo.mnist_dcgan import DcganCritic, DcganGenerator


def outputs(network: torch.nn.Sequential, x: torch.Tensor) -> dict[str, tuple[int, ...]]:
    shapes = {}
    for name, layer in network.named_children():
        x = layer(x)
        shapes[name] = tuple(x.shape[1:])
    return shapes


@pytest.mark.parametrize("size", [2, 64])
def test_generator_has_four_hidden_layers_of_the_stated_shapes(size: int) -> None:
    shapes = outputs(DcganGenerator(size).eval(), torch.zeros(3, size))
    assert [shapes[f"relu{layer}"] for layer in (1, 2, 3, 4)] == [
        (128, 4, 4),
        (64, 7, 7),
        (32, 14, 14),
        (16, 28, 28),
    ]
    assert shapes["tanh"] == (1, 28, 28)


def test_boundaries_of_a_layer_are_the_zero_sets_of_its_norm() -> None:
    names = [name for name, _ in DcganGenerator(2).named_children()]
    for layer in (1, 2, 3, 4):
        assert names[names.index(f"relu{layer}") - 1] == f"norm{layer}"


def test_images_lie_between_minus_one_and_one() -> None:
    generator = DcganGenerator(5, (8, 8, 4, 4)).eval()
    images = generator(100 * torch.randn(20, 5, generator=torch.Generator().manual_seed(0)))
    assert images.abs().max() <= 1


def test_critic_scores_each_image_by_itself() -> None:
    critic = DcganCritic((4, 4, 4, 4))
    images = torch.randn(6, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    scores = critic(images)
    assert scores.shape == (6, 1)
    torch.testing.assert_close(critic(images[2:3]), scores[2:3])
    shapes = outputs(critic, images)
    assert [shapes[f"act{layer}"][1] for layer in (1, 2, 3, 4)] == [14, 7, 4, 4]
