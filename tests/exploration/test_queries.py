# SPDX-License-Identifier: MIT
import pytest
import torch

from egbas.errors import ConfigError, ShapeError
from egbas.exploration.queries import as_query, latent_of, name_of, seed_of, seeds_of
from egbas.latent import LatentSpace
from egbas.network import Network
from tests.problems import BoxNet

SPACE = LatentSpace(shape=(2,))


def network() -> Network:
    return Network(BoxNet().eval(), (2,))


def test_a_query_is_flat_and_a_copy() -> None:
    z0 = torch.ones(1, 2)
    query = as_query(z0, SPACE, network())
    z0.zero_()
    assert query.tolist() == [1, 1]


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize(
    ("z0", "message"),
    [
        (torch.ones(3), r"got a query of shape \(3,\), expected a tensor of 2 values"),
        (torch.tensor([1.0, torch.nan]), "finite floating-point"),
        (torch.ones(2, dtype=torch.int64), "finite floating-point"),
    ],
)
def test_what_is_no_query_is_refused(z0: object, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        as_query(z0, SPACE, network())  # type: ignore[arg-type]


def test_seeds() -> None:
    assert seed_of(7) == 7
    assert seed_of(torch.Generator().manual_seed(3)) == seed_of(torch.Generator().manual_seed(3))
    assert seeds_of([4, 2], 2) == [4, 2]
    assert len(set(seeds_of(torch.Generator().manual_seed(3), 5))) == 5
    for wrong in (-1, 2**63, True):
        with pytest.raises(ConfigError, match="expected a CPU torch\\.Generator, or a seed"):
            seed_of(wrong)
    with pytest.raises(ConfigError, match="one seed for each"):
        seeds_of([1], 2)
    with pytest.raises(ConfigError, match="no queries"):
        seeds_of([], 0)


def test_a_generator_may_carry_its_name_and_its_latent_space() -> None:
    generator = BoxNet().eval()
    assert latent_of(generator, torch.zeros(2)) == SPACE
    assert name_of(generator) == "BoxNet"
    generator.latent, generator.zoo_name = LatentSpace(shape=(2,), prior="uniform"), "box"  # type: ignore[assignment]
    assert latent_of(generator, torch.zeros(2)) is generator.latent
    assert name_of(generator) == "box"
