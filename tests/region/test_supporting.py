# SPDX-License-Identifier: MIT
"""Regions with answers known by hand: a polygon, a box, signs on both sides, and the float64 predicate."""

import dataclasses
import threading

import pytest
import torch
from torch import Tensor, nn

from egbas.errors import NetworkError, ShapeError, StartOutsideRegionError
from egbas.network import Network
from egbas.region import MICRO_BATCH, Precisions, SupportingRegion, certify, contains_many
from egbas.zoo.models import load_model
from tests.problems import BoxNet, linear
from tests.regions import Ball

ALL = torch.arange(4)


def region_of(generator: nn.Module, z0: list[float], units: Tensor | None = None, layer: int = 1) -> SupportingRegion:
    network = Network(generator, (len(z0),))
    query = torch.tensor(z0, dtype=network.dtype)
    split = network.split(layer)
    h = split.head(query[None])[0]
    units = torch.arange(len(h)) if units is None else units
    return SupportingRegion.around(network, split.layer, query, units, h[units].sign().to(torch.int8), reach=3.0)


def test_the_region_of_all_units_is_the_box() -> None:
    # BoxNet's units are 1 - z1, 1 + z1, 1 - z2, 1 + z2: all positive in the square |z| < 1.
    region = region_of(BoxNet(), [0.2, -0.3])
    z = torch.tensor([[0.0, 0.0], [0.99, -0.99], [1.01, 0.0], [0.0, -1.01], [5.0, 5.0]])
    assert region.contains(z).tolist() == [True, True, False, False, False]
    torch.testing.assert_close(region.margin(z), torch.tensor([1.0, 0.01, -0.01, -0.01, -4.0]).double())


def test_a_boundary_belongs_to_the_region() -> None:
    region = region_of(BoxNet(), [0.0, 0.0])
    assert region.contains(torch.tensor([[1.0, 0.0], [1.0, -1.0]])).tolist() == [True, True]


def test_dropping_units_opens_the_region() -> None:
    region = region_of(BoxNet(), [0.0, 0.0], units=torch.tensor([0, 2]))  # z1 <= 1 and z2 <= 1 (Definition 5)
    assert region.contains(torch.tensor([[-9.0, -9.0], [1.5, 0.0], [0.0, 1.5]])).tolist() == [
        True,
        False,
        False,
    ]


def test_signs_take_the_query_s_side() -> None:
    region = region_of(BoxNet(), [3.0, 0.0])  # 1 - z1 is negative there
    assert region.signs.tolist() == [-1, 1, 1, 1]
    assert region.contains(torch.tensor([[2.0, 0.0], [0.5, 0.0]])).tolist() == [True, False]


def test_a_polygon_by_hand() -> None:
    # The triangle z1 >= 0, z2 >= 0, z1 + z2 <= 1.
    net = nn.Sequential(linear([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]], [0.0, 0.0, 1.0]), nn.ReLU(), nn.Linear(3, 2))
    region = region_of(net.eval(), [0.25, 0.25])
    grid = torch.cartesian_prod(torch.linspace(-0.5, 1.5, 41), torch.linspace(-0.5, 1.5, 41)) + 0.0123
    expected = (grid[:, 0] >= 0) & (grid[:, 1] >= 0) & (grid.sum(1) <= 1)
    assert torch.equal(region.contains(grid), expected)


def test_membership_does_not_depend_on_the_batch() -> None:
    net = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 4)).eval()
    region = region_of(net, [0.1] * 8, layer=2)
    z = 0.3 * torch.randn(3 * MICRO_BATCH + 5, 8, generator=torch.Generator().manual_seed(0))
    one_by_one = torch.cat([region.contains(row[None]) for row in z])
    assert torch.equal(region.contains(z), one_by_one)
    assert len(region.contains(z[:0])) == 0


def test_close_to_a_boundary_float64_decides() -> None:
    # z1 + big - big is rounded away in float32: the unit is z1 by definition, 0 or a rounding step in float32.
    class Cancelling(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.big = nn.Parameter(torch.tensor(1e4))

        def forward(self, z: Tensor) -> Tensor:
            return torch.relu(torch.stack([(z[:, 0] + self.big) - self.big, z[:, 1] + 5], dim=1))

    region = region_of(Cancelling().eval(), [1.0, 0.0])
    assert region.rounding > 0
    z = torch.tensor([[1e-4, 0.0], [-1e-4, 0.0]])
    in_float32 = region.split.head(z)[:, 0]
    assert in_float32.tolist() == [0.0, 0.0]  # float32 alone would call both of them inside
    assert region.contains(z).tolist() == [True, False]
    assert certify(region, z[:1]).is_valid


def test_a_float64_network_needs_no_second_look() -> None:
    region = region_of(BoxNet().double(), [0.0, 0.0])
    assert region.rounding == 0
    assert region.exact is region.split


def test_a_query_outside_is_refused() -> None:
    network = Network(BoxNet(), (2,))
    signs = torch.tensor([1, 1, 1, 1], dtype=torch.int8)
    with pytest.raises(StartOutsideRegionError, match="smallest margin -1"):
        SupportingRegion.around(network, network.resolve(1), torch.tensor([2.0, 0.0]), ALL, signs, reach=1.0)


def test_latents_of_another_shape_are_refused() -> None:
    region = region_of(BoxNet(), [0.0, 0.0])
    with pytest.raises(ShapeError, match=r"\(n, d\)"):
        region.contains(torch.zeros(2))


def test_values_that_are_not_finite_are_refused() -> None:
    class Exploding(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = nn.Parameter(torch.tensor(1.0))

        def forward(self, z: Tensor) -> Tensor:
            return torch.relu(torch.where(z.abs() > 20, z / 0, z) + self.one)

    region = region_of(Exploding().eval(), [0.5, 0.5])
    with pytest.raises(NetworkError, match="half-width"):
        region.contains(torch.tensor([[30.0, 0.0]]))


def test_a_set_of_no_units_is_refused() -> None:
    with pytest.raises(ShapeError, match="no units"):
        region_of(BoxNet(), [0.0, 0.0], units=torch.zeros(0, dtype=torch.int64))


@pytest.mark.parametrize("layer", [1, 3])
def test_values_are_those_of_the_head_at_the_kept_units(layer: int) -> None:
    model = load_model("dcgan-mnist-2d")
    query = torch.tensor([0.3, -0.4])
    units = torch.tensor([5, 70, 900])
    region = region_of(model.generator, query.tolist(), units=units, layer=layer)
    assert region.halfspaces is not None
    z = torch.randn(MICRO_BATCH + 3, 2, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(region.values(z), region.split.head(z)[:, units], rtol=1e-4, atol=1e-4)
    whole = dataclasses.replace(region, halfspaces=None)
    torch.testing.assert_close(whole.values(z), region.split.head(z)[:, units], rtol=1e-5, atol=1e-5)
    assert region.values(z[:0]).shape == whole.values(z[:0]).shape == (0, 3)


@pytest.mark.parametrize("layer", [1, 2, 4])
def test_kept_units_alone_say_what_the_whole_layer_says(layer: int) -> None:
    model = load_model("dcgan-mnist")
    z0 = model.latent.sample(1, rng=torch.Generator().manual_seed(0))
    region = region_of(model.generator, z0[0].tolist(), units=torch.arange(5, 1500, 40), layer=layer)
    assert region.halfspaces is not None
    z = z0 + 0.1 * torch.randn(3 * MICRO_BATCH + 5, 64, generator=torch.Generator().manual_seed(1))
    answers = region.contains(z)
    assert 10 < answers.sum() < len(z) - 10
    assert torch.equal(answers, dataclasses.replace(region, halfspaces=None).contains(z))
    assert torch.equal(answers, region.margin(z) >= 0)
    assert torch.equal(answers, torch.cat([region.contains(part) for part in z.split(7)]))


@pytest.mark.parametrize("n", [1, 2, 40, 3 * MICRO_BATCH + 5])
def test_threads_answer_as_one_does(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_model("dcgan-mnist")
    z0 = model.latent.sample(1, rng=torch.Generator().manual_seed(0))
    region = region_of(model.generator, z0[0].tolist(), units=torch.arange(5, 1500, 40), layer=3)
    z = z0 + 0.1 * torch.randn(n, 64, generator=torch.Generator().manual_seed(1))
    monkeypatch.setattr("egbas.machine.threads.idle_cores", lambda: 1)
    alone = region.contains(z)
    assert region.halfspaces is not None
    units = dataclasses.replace(region.halfspaces.units, seconds=1.0)
    slow = dataclasses.replace(region, halfspaces=dataclasses.replace(region.halfspaces, units=units))
    monkeypatch.setattr("egbas.machine.threads.idle_cores", lambda: 3)
    threads, contains = set(), SupportingRegion._contains

    def noted(self: SupportingRegion, z: Tensor) -> Tensor:
        threads.add(threading.get_ident())
        return contains(self, z)

    monkeypatch.setattr(SupportingRegion, "_contains", noted)
    assert torch.equal(slow.contains(z), alone)
    assert (len(threads) > 1) == (n > 1)
    assert torch.equal(contains_many([slow], [z])[0], alone)
    bad = torch.full((n, 64), torch.inf)
    with pytest.raises(NetworkError, match="not finite"):
        slow.contains(torch.cat([z, bad]))


@pytest.mark.parametrize("layer", [1, 3])
@pytest.mark.parametrize("is_dense", [False, True])
def test_many_regions_answer_together_as_alone(layer: int, is_dense: bool) -> None:
    model = load_model("dcgan-mnist")
    network = Network(model.generator, model.latent.shape)
    precisions, rng = Precisions.of(network, network.resolve(layer)), torch.Generator().manual_seed(0)
    regions, latents = [], []
    for number, z0 in enumerate(model.latent.sample(4, rng=rng)):
        units = torch.randperm(1500, generator=rng)[:30]
        signs = precisions.split.head(z0[None])[0, units].sign().to(torch.int8)
        region = SupportingRegion.of(precisions, z0, units, signs, reach=4.0)
        regions.append(dataclasses.replace(region, halfspaces=None) if is_dense else region)
        latents.append(z0 + 0.1 * torch.randn((100, 0, 17, 3)[number], 64, generator=rng))
    together = contains_many(regions, latents)
    mixed = contains_many([*regions, Ball()], [*latents, latents[0] / 20])  # the ball is asked by itself
    for region, z, *answers in zip(regions, latents, together, mixed[:-1], strict=True):
        assert all(torch.equal(answer, region.contains(z)) for answer in answers)
    assert torch.equal(mixed[-1], Ball().contains(latents[0] / 20))


def test_a_query_of_zero_and_its_surroundings() -> None:
    # The error of an affine unit does not vanish with the latent: its offset is rounded, too.
    net = nn.Sequential(linear([[1.0, 0.0], [0.0, 1.0]], [1 / 3, 1e6]), nn.ReLU(), nn.Linear(2, 2)).eval()
    region = region_of(net, [0.0, 0.0])
    z = torch.tensor([[0.0, 0.0], [-1 / 3, 0.0], [-0.3334, 0.0], [-0.3333, 0.0]])
    assert region.contains(z).tolist() == (region.margin(z) >= 0).tolist()


def test_large_layers_are_computed_in_float64_a_few_latents_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    layers = nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 2**18), nn.ReLU(), nn.Linear(2**18, 1)
    network = Network(nn.Sequential(*layers).eval(), (2,))
    precisions = Precisions.of(network, network.resolve(2))
    z0 = torch.tensor([0.3, -0.2])
    h = precisions.split.head(z0[None])[0]
    units = h.abs().topk(50).indices
    sizes: list[int] = []
    head = precisions.exact.head

    def noted(z: Tensor) -> Tensor:
        sizes.append(len(z))
        return head(z)

    monkeypatch.setattr(precisions.exact, "head", noted)
    region = SupportingRegion.of(precisions, z0, units, h[units].sign().to(torch.int8), reach=0.01)
    z = z0 + 0.01 * torch.randn(30, 2, generator=torch.Generator().manual_seed(0))
    margins = region.margin(z)
    assert max(sizes) <= 4 and sum(sizes) >= 30 + 33  # 2**20 pre-activations at once
    torch.testing.assert_close(margins, (head(z)[:, units] * region.signs).amin(dim=1))
    assert len(region.margin(z[:0])) == 0
