# SPDX-License-Identifier: MIT
import pytest
import torch
from torch import nn

from egbas.network import Network
from egbas.region import Precisions, SupportingRegion
from egbas.region.constraints import AffineConstraints, Constraints, FunctionConstraints
from egbas.region.stem_constraints import StemConstraints, constraints_of
from egbas.zoo.models import load_model


def built(generator: nn.Module, d: int, layer: int) -> tuple[SupportingRegion, Constraints]:
    network = Network(generator.eval(), (d,))
    precisions = Precisions.of(network, network.resolve(layer))
    z0 = 0.5 * torch.randn(d, generator=torch.Generator().manual_seed(1))
    h = precisions.split.head(z0[None])[0]
    units = h.abs().topk(min(30, len(h))).indices.sort().values
    region = SupportingRegion.of(precisions, z0, units, h[units].sign().to(torch.int8), reach=3.0)
    return region, constraints_of(region, torch.randn(64, d, generator=torch.Generator().manual_seed(2)))


CASES = [
    ("dcgan-mnist", 1, AffineConstraints),
    ("dcgan-mnist", 3, StemConstraints),
    ("pggan-mnist", 4, StemConstraints),
]


@pytest.mark.parametrize(("name", "layer", "kind"), CASES)
def test_margins_and_gradients_are_those_of_the_head(name: str, layer: int, kind: type) -> None:
    model = load_model(name)
    region, constraints = built(model.generator, model.latent.size, layer)
    assert isinstance(constraints, kind)
    rng = torch.Generator().manual_seed(3)
    z = model.latent.sample(70, rng)
    probes = torch.randn(64, model.latent.size, generator=torch.Generator().manual_seed(2))
    scale = region.exact.head(probes)[:, region.units].std(dim=0)
    leaf = z.double().requires_grad_()
    expected = region.exact.differentiable(leaf)[:, region.units] * region.signs / scale
    v = torch.rand(expected.shape, generator=rng).double()
    (gradients,) = torch.autograd.grad(expected, leaf, v)
    margins, pull = constraints.vjp(z)
    torch.testing.assert_close(margins.double(), expected.detach(), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(constraints.margins(z), margins)
    found = pull(v.to(margins))
    assert float((found - gradients).norm() / gradients.norm()) < 1e-2  # a unit of the stem may be at its kink


def test_a_layer_without_a_stem_is_computed_by_the_head() -> None:
    generator = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 5), nn.Softplus(), nn.Linear(5, 2)).double()
    region, constraints = built(generator, 3, 2)
    assert isinstance(constraints, FunctionConstraints)
    z = torch.randn(5, 3, dtype=torch.float64)
    torch.testing.assert_close(constraints.margins(z), constraints.vjp(z)[0])
    assert torch.equal((constraints.margins(z) >= 0).all(dim=1), region.contains(z))


def test_shifted_constraints_are_looser() -> None:
    model = load_model("dcgan-mnist")
    constraints = built(model.generator, 64, 2)[1]
    assert isinstance(constraints, StemConstraints)
    z = torch.randn(3, 64)
    torch.testing.assert_close(constraints.shifted(-1.5).margins(z), constraints.margins(z) + 1.5)
