# SPDX-License-Identifier: MIT
import dataclasses
import json
import math
from typing import Any

import pytest
import torch

from egbas.errors import ConfigError
from egbas.latent import Empirical, LatentSpace, LatentSpaceLike, Normal, Product, Sphere, Uniform
from tests.latent.priors import BANK, MIXED, rng


def test_size_is_the_product_of_the_shape() -> None:
    assert LatentSpace(shape=(512, 1, 1)).size == 512
    assert LatentSpace(shape=(4, 3)).size == 12


def test_scale_is_the_deviation_of_one_coordinate() -> None:
    assert LatentSpace(shape=(2,)).scale == 1.0
    assert LatentSpace(shape=(2,), prior="uniform", bound=2.0).scale == pytest.approx(2 / math.sqrt(3))


def test_a_box_has_a_largest_half_width_and_a_sphere_none() -> None:
    assert LatentSpace(shape=(2,)).geometry == "flat"  # the paper's
    assert LatentSpace(shape=(2,)).largest_half_width == 4.0
    assert LatentSpace(shape=(2,), geometry="sphere").largest_half_width == math.inf


@pytest.mark.parametrize("prior", ["normal", "uniform"])
def test_samples_are_flat_float32_and_follow_the_generator(prior: Any) -> None:
    latent = LatentSpace(shape=(2, 3), prior=prior)
    before = torch.get_rng_state()
    first, again, other = (latent.sample(5, rng=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert first.shape == (5, 6)
    assert first.dtype == torch.float32
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"shape": ()}, "not a list of positive sizes"),
        ({"shape": (0,)}, "not a list of positive sizes"),
        ({"shape": (2,), "prior": "cauchy"}, "'cauchy' is unknown; expected 'normal' or 'uniform'"),
        ({"shape": (2,), "geometry": "round"}, "'round' is unknown; expected 'flat' or 'sphere'"),
        ({"shape": (2,), "prior": "uniform", "bound": 0.0}, "bound 0.0 is not a positive number"),
        ({"shape": (2,), "prior": "uniform", "bound": math.inf}, "bound inf is not a positive number"),
        ({"shape": (2,), "prior": "uniform", "bound": math.nan}, "bound nan is not a positive number"),
        ({"shape": (5,), "prior": MIXED}, "is one of 6 coordinates; got 5"),
        ({"shape": (5,), "prior": Empirical(BANK)}, "is one of 3 coordinates; got 5"),
    ],
)
@pytest.mark.usefixtures("without_type_checks")
def test_bad_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LatentSpace(**settings)


def test_words_are_short_for_priors() -> None:
    assert LatentSpace(shape=(2,)) == LatentSpace(shape=(2,), prior=Normal())
    assert LatentSpace(shape=(2,), prior="uniform", bound=3.0) == LatentSpace(shape=(2,), prior=Uniform(3.0))
    assert (LatentSpace(shape=(2,), prior=Uniform(3.0)).bound, LatentSpace(shape=(2,)).bound) == (3.0, 1.0)


@pytest.mark.parametrize(
    "latent",
    [
        LatentSpace(shape=(512, 1, 1)),
        LatentSpace(shape=(2,), prior="uniform", bound=3.0, geometry="sphere"),
        LatentSpace(shape=(2,), prior=Sphere()),
        LatentSpace(shape=(2,), prior=Sphere(1.5), geometry="flat"),
        LatentSpace(shape=(6,), prior=MIXED),
        LatentSpace(shape=(8,), prior=Product(((6, MIXED), (2, Sphere(1.0))))),
    ],
)
def test_what_is_written_down_is_read_again(latent: LatentSpace) -> None:
    record = json.loads(json.dumps(latent.record()))
    assert list(record)[:4] == ["shape", "prior", "bound", "geometry"]
    assert LatentSpace.from_record(record) == latent


def test_records_of_0_1_0_are_what_they_were() -> None:
    told = {"shape": [2], "prior": "uniform", "bound": 2.0, "geometry": "flat"}
    assert LatentSpace(shape=(2,), prior="uniform", bound=2.0).record() == told
    assert LatentSpace(shape=(2,)).record() == {**told, "prior": "normal", "bound": 1.0}
    assert LatentSpace.from_record(told) == LatentSpace(**told | {"shape": (2,)})  # type: ignore[arg-type]


class Corner:
    """A latent space of a user's own: the corners of a square."""

    shape, size, geometry, scale, largest_half_width = (2, 1), 2, "flat", 1.0, 2.0

    def sample(self, n: int, rng: torch.Generator) -> torch.Tensor:
        return 2.0 * torch.randint(2, (n, 2), generator=rng) - 1

    def contains(self, z: torch.Tensor) -> torch.Tensor:
        return (z.abs() == 1).all(dim=1)


def test_a_space_of_the_users_own_has_to_be_passed() -> None:
    record = json.loads(json.dumps(LatentSpace.of(Corner()).record()))
    with pytest.raises(ConfigError, match="'Corner' cannot be told from its record; pass the latent space as latent="):
        LatentSpace.from_record(record)


def test_a_latent_space_of_the_users_own() -> None:
    own = Corner()
    assert isinstance(own, LatentSpaceLike)
    assert not isinstance(Normal(), LatentSpaceLike)
    space = LatentSpace.of(own)
    assert (space.shape, space.size, space.geometry) == ((2, 1), 2, "flat")
    assert (space.scale, space.largest_half_width, space.description) == (1.0, 2.0, "Corner")
    assert space.contains(space.sample(9, rng())).all()
    assert torch.equal(space.sample(9, rng()), own.sample(9, rng()))
    assert space.log_density(torch.zeros(1, 2)) is None
    assert LatentSpace.of(space) is space
    assert dataclasses.replace(space, geometry="sphere").geometry == "sphere"
