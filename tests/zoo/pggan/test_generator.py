# SPDX-License-Identifier: MIT
import itertools
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from egbas.network import Network, list_layers
from egbas.zoo.pggan import PgganConfig, PgganGenerator

BASE = PgganConfig(latent_size=6, channels=(8, 5, 4))
FLAGS = [
    replace(BASE, latent_norm=latent, first_norm=first, norm_place=place, positional_bias=positional, output=output)
    for latent, first, place, positional, output in itertools.product(
        (True, False), (True, False), ("after", "before"), (True, False), ("none", "tanh", "hardtanh")
    )
]


def draw(config: PgganConfig) -> PgganGenerator:
    """A generator with N(0, 1) weights, scaled by the inputs."""
    rng = torch.Generator().manual_seed(3)
    generator = PgganGenerator(config).eval().requires_grad_(False)
    for weight in generator.parameters():
        fan_in = weight[0].numel() if weight.ndim == 4 else 4
        weight.copy_(torch.randn(weight.shape, generator=rng) * (2 / fan_in) ** 0.5)
    return generator


def latents(n: int = 4) -> Tensor:
    return torch.randn(n, 6, generator=torch.Generator().manual_seed(1))


def by_hand(config: PgganConfig, weights: dict[str, Tensor], z: Tensor) -> Tensor:
    """The forward pass from the table of the formats, written without the modules."""

    def norm(x: Tensor) -> Tensor:
        return x / (x.pow(2).sum(1, keepdim=True) / x.shape[1] + 1e-8) ** 0.5

    x = (norm(z) if config.latent_norm else z)[:, :, None, None]
    for number in range(1, 2 * len(config.channels) + 1):
        if number > 1 and number % 2 == 1:
            x = x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        x = F.conv2d(x, weights[f"conv{number}.weight"], padding=3 if number == 1 else 1)
        positional = number == 1 and config.positional_bias
        x = x + (weights["offset1.bias"] if positional else weights[f"conv{number}.bias"][:, None, None])
        normed = number > 1 or config.first_norm
        if normed and config.norm_place == "before":
            x = norm(x)
        x = torch.where(x > 0, x, 0.2 * x)
        if normed and config.norm_place == "after":
            x = norm(x)
    x = torch.einsum("oi,nihw->nohw", weights["rgb.weight"][:, :, 0, 0], x) + weights["rgb.bias"][:, None, None]
    return {"none": x, "tanh": x.tanh(), "hardtanh": x.clamp(-1, 1)}[config.output]


@pytest.mark.parametrize("config", FLAGS)
def test_forward_agrees_with_one_written_by_hand(config: PgganConfig) -> None:
    # In float64, as pixels whose channels all lie near zero magnify what float32 rounds off.
    generator = draw(config).double()
    images = generator(latents().double())
    assert images.shape == (4, 3, 16, 16)
    expected = by_hand(config, generator.state_dict(), latents().double())
    torch.testing.assert_close(images, expected, atol=1e-5, rtol=1e-5)


def test_flags_change_the_images() -> None:
    # Else the test above could not tell them apart. A clamp needs values beyond 1 to show.
    images = [draw(config)(3 * latents()) for config in FLAGS if not config.positional_bias]
    for one, other in itertools.combinations(images, 2):
        assert (one - other).abs().max() > 1e-3


@pytest.mark.parametrize("config", [config for config in FLAGS if config.latent_norm])
def test_length_of_the_latent_does_not_matter_with_latent_norm(config: PgganConfig) -> None:
    generator = draw(config)
    torch.testing.assert_close(generator(3 * latents()), generator(latents()), atol=1e-5, rtol=1e-5)


def test_length_of_the_latent_matters_without_latent_norm() -> None:
    generator = draw(replace(BASE, latent_norm=False))
    assert (generator(3 * latents()) - generator(latents())).abs().max() > 0.1


def test_256_pixels_have_14_hidden_layers_numbered_as_in_the_paper() -> None:
    generator = draw(PgganConfig(latent_size=6, channels=(12, 12, 12, 12, 8, 8, 8)))
    layers = list_layers(generator, (6,))
    assert [(layer.number, layer.path) for layer in layers] == [(i, f"act{i}") for i in range(1, 15)]
    assert [layer.shape for layer in layers[::2]] == [
        (12, 4, 4),
        (12, 8, 8),
        (12, 16, 16),
        (12, 32, 32),
        (8, 64, 64),
        (8, 128, 128),
        (8, 256, 256),
    ]
    assert [layer.shape for layer in layers[::2]] == [layer.shape for layer in layers[1::2]]


@pytest.mark.parametrize("output", ["tanh", "hardtanh"])
def test_output_is_the_last_layer(output) -> None:
    generator = draw(replace(BASE, output=output))
    assert [layer.path for layer in list_layers(generator, (6,))][-2:] == ["act6", "output"]


@pytest.mark.parametrize("config", FLAGS)
def test_boundaries_are_the_zero_sets_of_the_convolutions(config: PgganConfig) -> None:
    generator = draw(config)
    network = Network(generator, (6,))
    for number in range(1, 7):
        h = network.split(number).head(latents())
        last = generator.get_submodule("offset1" if number == 1 and config.positional_bias else f"conv{number}")
        seen: list[Tensor] = []
        hook = last.register_forward_hook(lambda *call, seen=seen: seen.append(call[-1].flatten(1)))
        generator(latents())
        hook.remove()
        assert torch.equal(h > 0, seen[0] > 0)


@pytest.mark.parametrize("config", FLAGS[::12])
@pytest.mark.parametrize("number", [1, 2, 5])
@pytest.mark.usefixtures("without_type_checks")  # they refuse torch.fx's stand-ins for tensors
def test_network_runs_from_any_layer_on(config: PgganConfig, number: int) -> None:
    generator = draw(config)
    tail = Network(generator, (6,)).split(number).at(latents()[0])
    assert tail.route == "graph"  # the graph of torch.fx, not hooks
    torch.testing.assert_close(tail(tail.a[None]), generator(latents()[:1]), atol=1e-4, rtol=1e-4)


def test_non_linearities_are_modules_of_their_own_and_not_in_place() -> None:
    parts = [part for name, part in draw(BASE).named_children() if name.startswith("act")]
    assert len({id(part) for part in parts}) == len(parts) == 6
    assert not any(part.inplace for part in parts)


def test_blocks_in_a_row_are_the_generator() -> None:
    generator = draw(replace(BASE, output="tanh", positional_bias=True))
    x = latents()
    for index, side in enumerate((4, 8, 16)):
        x = generator.block(index)(x)
        assert x.shape == (4, BASE.channels[index], side, side)
    assert torch.equal(torch.tanh(generator.get_submodule("rgb")(x)), generator(latents()))
