# SPDX-License-Identifier: MIT
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from egbas.errors import NetworkError
from egbas.geometry import choose_geometry
from egbas.latent import LatentSpace
from egbas.network import Network
from egbas.zoo.inspection import inspect
from egbas.zoo.models import Model, load_model
from egbas.zoo.pggan import PgganCritic
from tests.zoo.formats import test_akanimax_v2, test_gan_zoo


class Images(nn.Module):
    """Images (n, 1, 4, 4) of latents (n, 16), through a function."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function, self.act = function, nn.Tanh()

    def forward(self, z: Tensor) -> Tensor:
        return self.function(self.act(z)).view(-1, 1, 4, 4)


def model(function: Any, critic: nn.Module | None = None) -> Model:
    return Model(name="x", generator=Images(function).eval(), discriminator=critic, latent=LatentSpace(shape=(16,)))


class Score(nn.Module):
    """Gives every image the same score."""

    def __init__(self, score: float) -> None:
        super().__init__()
        self.score = nn.Parameter(torch.tensor(score))

    def forward(self, images: Tensor) -> Tensor:
        return self.score.expand(len(images), 1)


def test_a_checkpoint_is_described(tmp_path: Path) -> None:
    torch.save({"avgG": test_gan_zoo.generator_layout(""), "netD": test_gan_zoo.critic_layout("")}, tmp_path / "m.pt")
    found = inspect(load_model(tmp_path / "m.pt"))
    assert found["facts"]["format"] == "pytorch_GAN_zoo-pgan"
    assert found["facts"]["minibatch_deviation"].startswith("0 for every image")
    assert (found["image"], found["channels"], found["latent"]["shape"]) == ([3, 16, 16], [6, 5, 4], [7])
    assert [layer["units"] for layer in found["layers"]] == [96, 96, 320, 320, 1024, 1024]
    assert found["check"]["scale_invariant"] is True
    assert len(found["check"]["scores"]) == 4
    json.dumps(found, allow_nan=False)


def test_a_latent_that_is_not_normalised_is_told(tmp_path: Path) -> None:
    torch.save(test_akanimax_v2.generator_layout(), tmp_path / "g.pth")
    check = inspect(load_model(tmp_path / "g.pth"))["check"]
    assert check["scale_invariant"] is False
    assert "scores" not in check


class NearlyNormalised(nn.Module):
    """z / (|z| + 1e-3): nearly, but not to rounding, the same for z and 3 z."""

    def __init__(self) -> None:
        super().__init__()
        self.act = nn.Tanh()

    def forward(self, z: Tensor) -> Tensor:
        return self.act(z / (z.norm(dim=1, keepdim=True) + 1e-3)).view(-1, 1, 4, 4)


@pytest.mark.parametrize("generator", [NearlyNormalised(), Images(lambda x: x), Images(lambda x: 0 * x)])
def test_what_is_told_of_the_scale_is_what_an_exploration_goes_by(generator: nn.Module) -> None:
    made = Model(name="x", generator=generator.eval(), discriminator=None, latent=LatentSpace(shape=(16,)))
    told = inspect(made)["check"]["scale_invariant"]
    space = choose_geometry(made.latent, Network(made.generator, (16,)))
    assert told == (space.geometry == "sphere")
    assert told == isinstance(generator, NearlyNormalised)


def test_the_embedded_models_have_no_problems() -> None:
    found = inspect(load_model("dcgan-mnist-2d"))
    assert found["check"]["problems"] == []
    assert found["channels"] == [128, 64, 32, 16]
    assert -1 <= found["check"]["smallest"] < found["check"]["largest"] <= 1
    assert found["check"]["outside_range"] == 0


def test_the_minibatch_deviation_of_an_embedded_model_is_told() -> None:
    model = load_model("pggan-mnist")
    assert isinstance(model.discriminator, PgganCritic)
    reference = float(model.discriminator.deviation.reference)  # pyright: ignore[reportArgumentType, reportAttributeAccessIssue]
    assert reference > 0
    assert inspect(model)["facts"] == {
        "minibatch_deviation": f"{reference:g} for every image, whatever else is in its batch; "
        "consecutive groups of 4 in training"
    }
    assert load_model("dcgan-mnist-2d").facts == {}


@pytest.mark.parametrize(
    ("function", "critic", "message"),
    [
        (lambda x: x * 1e-5, None, "all images are alike"),
        (lambda x: x * 50, None, "pixels reach"),
        (lambda x: x, Score(float("nan")), "implausible"),
        (lambda x: x, Score(1e9), "implausible"),
    ],
)
def test_implausible_output_is_told(function: Any, critic: nn.Module | None, message: str) -> None:
    found = inspect(model(function, critic))
    (problem,) = found["check"]["problems"]
    assert message in problem
    json.dumps(found, allow_nan=False)


def test_numbers_are_those_of_the_images() -> None:
    made = model(lambda x: 3 * x)
    z = made.latent.sample(4, rng=torch.Generator().manual_seed(5))
    images, check = made.generator(z), inspect(made, seed=5)["check"]
    assert check["largest"] == pytest.approx(float(images.max()))
    assert check["outside_range"] == pytest.approx(float((images.abs() > 1).float().mean()))
    assert check["spread"] == pytest.approx(float(images.std(0).mean()))


def test_a_discriminator_of_other_images_is_refused() -> None:
    with pytest.raises(NetworkError, match="do not belong together"):
        inspect(model(lambda x: x, nn.Conv2d(3, 1, 3).eval()))
