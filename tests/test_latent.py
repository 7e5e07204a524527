# SPDX-License-Identifier: MIT
import math
from typing import Any

import pytest
import torch

from egbas.errors import ConfigError
from egbas.latent import LatentSpace


def test_size_is_the_product_of_the_shape() -> None:
    assert LatentSpace(shape=(512, 1, 1)).size == 512
    assert LatentSpace(shape=(4, 3)).size == 12


def test_normal_prior_has_mean_zero_and_unit_deviation() -> None:
    z = LatentSpace(shape=(8,)).sample(20_000, rng=torch.Generator().manual_seed(0))
    # 160,000 draws: the standard errors are 0.0025 and 0.0018; the tolerances are four of them.
    assert abs(z.mean().item()) < 0.01
    assert abs(z.std().item() - 1) < 0.0075


def test_uniform_prior_fills_its_support() -> None:
    latent = LatentSpace(shape=(2,), prior="uniform", bound=3.0)
    z = latent.sample(20_000, rng=torch.Generator().manual_seed(0))
    assert z.abs().max() <= 3.0
    # The chance that none of 40,000 draws falls into the last 0.1 % of the support is e^-20 on either side.
    assert z.min() < -2.994
    assert z.max() > 2.994
    assert z.std().item() == pytest.approx(latent.scale, rel=0.02)


def test_scale_is_the_deviation_of_one_coordinate() -> None:
    assert LatentSpace(shape=(2,)).scale == 1.0
    assert LatentSpace(shape=(2,), prior="uniform", bound=2.0).scale == pytest.approx(2 / math.sqrt(3))


def test_a_box_has_a_largest_half_width_and_a_sphere_none() -> None:
    assert LatentSpace(shape=(2,)).geometry == "flat"  # the paper's
    assert LatentSpace(shape=(2,)).largest_half_width == 4.0
    assert LatentSpace(shape=(2,), geometry="sphere").largest_half_width == math.inf


def test_support_of_the_uniform_prior_is_the_closed_box() -> None:
    z = torch.tensor([[0.0, 0.0], [3.0, -3.0], [0.0, 3.01], [-9.0, 0.0]])
    uniform = LatentSpace(shape=(2,), prior="uniform", bound=3.0)
    assert uniform.contains(z).tolist() == [True, True, False, False]
    assert LatentSpace(shape=(2,)).contains(z).all()


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
    ],
)
@pytest.mark.usefixtures("without_type_checks")
def test_bad_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LatentSpace(**settings)
