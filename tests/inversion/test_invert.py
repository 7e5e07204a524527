# SPDX-License-Identifier: MIT
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import egbas
from egbas.errors import ConfigError, NetworkError, ShapeError
from egbas.inversion import InversionConfig, invert
from egbas.latent import LatentSpace
from tests.problems import linear

QUICK = InversionConfig(draws=64, starts=4, adam_steps=60, polished=2, lbfgs_steps=60)
SPACE = LatentSpace(shape=(2,))
BOX = LatentSpace(shape=(2,), prior="uniform", bound=1.0)


class NoBias(nn.Module):
    """G(z) = (relu(z1), relu(-z1), relu(z2), relu(-z2)): at the origin no gradient leads anywhere."""

    def forward(self, z: Tensor) -> Tensor:
        return torch.stack([z[:, 0].relu(), (-z[:, 0]).relu(), z[:, 1].relu(), (-z[:, 1]).relu()], dim=1)


class Overwrites(nn.Module):
    """Overwrites what its backward pass needs."""

    def forward(self, z: Tensor) -> Tensor:
        y = z.exp()
        y += 1
        return y


class Detached(nn.Module):
    def forward(self, z: Tensor) -> Tensor:
        return torch.cat([z.detach(), z.detach() + 1], dim=1)


def test_a_linear_generator_has_its_least_squares_latent() -> None:
    generator = linear([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]])
    found = invert(generator, torch.tensor([0.5, -1.0, 0.5]), SPACE, config=QUICK)
    torch.testing.assert_close(found.latent, torch.tensor([0.5, -0.5]), atol=2e-3, rtol=0)
    assert found.error == pytest.approx(0.5 / (0.25 + 1 + 0.25) ** 0.5, rel=1e-3)
    assert found.error <= found.start_error
    torch.testing.assert_close(found.image, generator(found.latent))


def test_an_inversion_stays_in_the_support() -> None:
    found = invert(linear([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([3.0, 0.25]), BOX, config=QUICK)
    assert bool(BOX.contains(found.latent[None]))
    torch.testing.assert_close(found.latent, torch.tensor([1.0, 0.25]), atol=2e-3, rtol=0)


def test_the_origin_is_no_start() -> None:
    bank = torch.tensor([[0.0, 0.0], [1.0, -2.0]])
    found = invert(NoBias(), torch.tensor([0.5, 0.0, 0.0, 1.5]), SPACE, bank=bank, config=QUICK)
    assert found.error < 0.01
    with pytest.raises(ShapeError, match="no latent of the bank"):
        invert(NoBias(), torch.ones(4), SPACE, bank=bank[:1], config=QUICK)


def test_from_the_origin_a_gradient_never_moves() -> None:
    z = torch.zeros(1, 2, requires_grad=True)
    (gradient,) = torch.autograd.grad((NoBias()(z) - torch.ones(4)).square().sum(), z)
    assert not bool(gradient.any())  # which is why the test above matters


def test_networks_that_overwrite_are_inverted() -> None:
    target = torch.tensor([0.5, -0.5]).exp() + 1
    assert invert(Overwrites(), target, SPACE, config=QUICK).error <= QUICK.enough


class Shifted(nn.Module):
    def forward(self, z: Tensor, by: float) -> Tensor:
        return 2 * z + by


def test_inputs_beside_the_latent_are_given() -> None:
    found = invert(Shifted(), torch.tensor([4.0, 5.0]), SPACE, inputs={"by": 4.0}, config=QUICK)
    torch.testing.assert_close(found.latent, torch.tensor([0.0, 0.5]), atol=0.1, rtol=0)


def test_a_prior_of_the_users_own_is_not_left() -> None:
    class Half:
        def sample(self, n: int, size: int, rng: torch.Generator) -> Tensor:
            return torch.rand(n, size, generator=rng)

        def contains(self, z: Tensor) -> Tensor:
            return (z >= 0).all(dim=1)

        def scale(self, size: int) -> float:
            return 0.3

        def largest_half_width(self, size: int) -> float:
            return 1.0

        def record(self) -> dict[str, str]:
            return {"prior": "half"}

    space = LatentSpace(shape=(2,), prior=Half())
    found = invert(linear([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([-2.0, 0.5]), space, config=QUICK)
    assert bool((found.latent >= 0).all())


def test_own_images_of_the_embedded_generators_are_found() -> None:
    model = egbas.load_model("dcgan-mnist-2d")
    z = model.latent.sample(2, rng=torch.Generator().manual_seed(1))
    for image in model.generator(z):
        found = egbas.invert(model.generator, image, rng=0)  # its latent space is the generator's attribute
        assert found.error < 0.05
        assert bool(model.latent.contains(found.latent[None]))


def test_the_same_seed_finds_the_same_latent_and_says_how_far_it_is() -> None:
    told: list[tuple[str, int, int, str]] = []
    generator, image = linear([[1.0, 1.0], [1.0, -1.0]]), torch.tensor([0.3, 0.4])
    one = invert(generator, image, SPACE, rng=3, config=QUICK, progress=lambda *words: told.append(words))
    other = invert(generator, image, SPACE, rng=torch.Generator().manual_seed(3), config=QUICK)
    assert torch.equal(one.latent, other.latent)
    assert told[0][0] == "inversion: adam"
    assert all(0 < done <= total for _, done, total, _ in told)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: invert(NoBias(), torch.ones(3), SPACE), ShapeError, r"shape \(3,\); expected .*\(4,\)"),
        (lambda: invert(NoBias(), torch.full((4,), torch.nan), SPACE), ShapeError, "NaN or infinite"),
        (lambda: invert(NoBias(), torch.zeros(4), SPACE), ConfigError, "zero everywhere"),
        (lambda: invert(NoBias(), torch.ones(4)), ConfigError, "pass latent="),
        (lambda: invert(NoBias(), torch.ones(4), SPACE, bank=torch.ones(3, 3)), ShapeError, r"latents \(m, 2\)"),
        (lambda: invert(Detached(), torch.ones(4), SPACE), NetworkError, "no gradient gets"),
        (lambda: InversionConfig(starts=0), ConfigError, "starts of an inversion is 0"),
        (lambda: InversionConfig(enough=float("nan")), ConfigError, "enough of an inversion is nan"),
    ],
)
def test_what_cannot_be_inverted_is_told(call: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
