# SPDX-License-Identifier: MIT
import pytest
import torch

from egbas.geometry import Flat, Geometry, Sphere, geometry_around
from egbas.latent import LatentSpace


@pytest.mark.parametrize(("name", "kind"), [("flat", Flat), ("sphere", Sphere)])
def test_a_latent_space_has_its_geometry_around_a_query(name: str, kind: type) -> None:
    query = torch.tensor([3.0, 4.0])
    space = geometry_around(LatentSpace(shape=(2,), geometry=name), query)  # type: ignore[arg-type]
    assert isinstance(space, kind)
    assert isinstance(space, Geometry)
    assert torch.equal(space.around(torch.zeros(1, 2))[0], query)


@pytest.mark.parametrize("kind", [Flat, Sphere])
@pytest.mark.parametrize("d", [2, 3, 40])
def test_what_every_geometry_promises(kind: type[Flat] | type[Sphere], d: int) -> None:
    rng = torch.Generator().manual_seed(d)
    space = kind(torch.randn(d, generator=rng, dtype=torch.float64))
    directions = space.directions(torch.randn(30, d, generator=rng, dtype=torch.float64))
    lengths = torch.linspace(0.01, 1.0, 30, dtype=torch.float64)
    there = space.around(lengths[:, None] * directions)
    torch.testing.assert_close(space.distances(there, space.query[None]), lengths)
    for point, length in zip(there, lengths.tolist(), strict=True):
        assert (point - space.query).norm().item() == pytest.approx(space.chord(length))
    # A step towards a place goes the way that the direction of that place begins with.
    origins = space.query.expand(30, d)
    stepped = space.step(origins, there, (there - origins).norm(dim=1), 0.1)
    torch.testing.assert_close(stepped, space.around(0.1 * directions))
    coordinates = torch.randn(30, space.dimensions, generator=rng, dtype=torch.float64)
    torch.testing.assert_close(space.embed(coordinates).norm(dim=1), coordinates.norm(dim=1))
    targets = space.targets(500, 0.7, rng=rng)
    assert space.distances(targets, space.query[None]).max() <= 0.7 * d**0.5
