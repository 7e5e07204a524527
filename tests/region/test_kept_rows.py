# SPDX-License-Identifier: MIT
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from egbas.network import Network
from egbas.region import Precisions
from egbas.region.kept_rows import MANY, Rows, SparseRows, WindowRows, rows_of
from egbas.region.kept_units import KeptUnits, LinearLayer
from egbas.zoo.models import load_model


def kept_of(name: str, layer: int, n: int) -> tuple[LinearLayer, KeptUnits, Tensor]:
    model = load_model(name)
    network = Network(model.generator, model.latent.shape)
    linear = Precisions.of(network, network.resolve(layer)).linear
    assert linear is not None
    n_units = network.resolve(layer).units
    units = torch.arange(n) * n_units // n
    return linear, linear.kept(units), model.latent.sample(5, torch.Generator().manual_seed(1))


def both(kept: KeptUnits, factor: np.ndarray, in_shape: tuple[int, ...]) -> tuple[Rows, Rows]:
    rows = rows_of(kept, factor, in_shape, many=10**9), rows_of(kept, factor, in_shape, many=1)
    assert isinstance(rows[0], SparseRows) and isinstance(rows[1], WindowRows)
    return rows


# Convolutions, transposed ones with phases, and windows that end at the border.
@pytest.mark.parametrize(("name", "layer"), [("dcgan-mnist", 2), ("dcgan-mnist", 4), ("pggan-mnist", 4)])
def test_both_forms_are_the_units(name: str, layer: int) -> None:
    linear, kept, z = kept_of(name, layer, 60)
    factor = np.linspace(-2.0, 3.0, 60)
    x = linear.stem(z)
    flat = torch.from_numpy(x).flatten(1)
    offset = torch.from_numpy(factor * kept.packed.offset).float()[:, None]
    expected = torch.from_numpy(factor * kept.values(x)).float().T
    sparse, shared = both(kept, factor, linear.in_shape)
    for rows in (sparse, shared):
        torch.testing.assert_close(rows.values(flat, offset), expected, rtol=1e-4, atol=1e-4)
    # What goes back is the gradient of the values, zeros among the vectors.
    v = torch.rand(60, 5, generator=torch.Generator().manual_seed(2)) * torch.tensor([1.0, 0.0, 1.0, 1.0, 0.0])
    leaf = flat.double().requires_grad_()
    matrix = sparse.matrix.to_dense().double()  # type: ignore[attr-defined]
    (gradient,) = torch.autograd.grad((matrix @ leaf.T * v).sum(), leaf)
    for rows in (sparse, shared):
        torch.testing.assert_close(rows.turned(v).double(), gradient, rtol=1e-4, atol=1e-4)
    assert not rows.turned(v)[1].any()


def test_a_layer_of_few_weights_is_written_out_in_order() -> None:
    linear, kept, _ = kept_of("dcgan-mnist", 3, 40)
    rows = rows_of(kept, np.ones(40), linear.in_shape)
    assert isinstance(rows, SparseRows)
    dense = rows.matrix.to_dense()
    assert torch.equal(rows.transposed.to_dense(), dense.T)
    for matrix in (rows.matrix, rows.transposed):  # as a coalesced matrix has them
        starts, places = matrix.crow_indices(), matrix.col_indices()
        assert all(bool((places[a:b].diff() > 0).all()) for a, b in pairwise(starts.tolist()))


def test_a_dense_layer_has_the_same_rows_either_way() -> None:
    generator = nn.Sequential(nn.Linear(3, 7), nn.Tanh(), nn.Linear(7, 9), nn.Tanh(), nn.Linear(9, 2)).eval()
    network = Network(generator, (3,))
    linear = Precisions.of(network, network.resolve(2)).linear
    assert linear is not None
    kept = linear.kept(torch.tensor([1, 4, 8]))
    z = torch.randn(6, 3, generator=torch.Generator().manual_seed(3))
    flat, offset = torch.from_numpy(linear.stem(z)).flatten(1), torch.from_numpy(kept.packed.offset).float()[:, None]
    sparse, shared = both(kept, np.ones(3), linear.in_shape)
    torch.testing.assert_close(sparse.values(flat, offset), shared.values(flat, offset))
    v = torch.rand(3, 6, generator=torch.Generator().manual_seed(4))
    torch.testing.assert_close(sparse.turned(v), shared.turned(v))


def test_units_that_share_their_rows_take_no_memory_for_each_weight() -> None:
    generator = nn.Sequential(
        nn.Unflatten(1, (2, 1, 1)), nn.Conv2d(2, 64, 1), nn.ReLU(), nn.Upsample(scale_factor=16),
        nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 1, 1),
    ).eval()  # fmt: skip
    network = Network(generator, (2,))
    linear = Precisions.of(network, network.resolve(2)).linear
    assert linear is not None
    kept = linear.kept(torch.arange(64 * 16 * 16))
    assert int((kept.packed.height * kept.packed.width).sum()) >= MANY
    rows = rows_of(kept, np.ones(64 * 16 * 16), linear.in_shape)
    assert isinstance(rows, WindowRows)
    assert sum(part.nbytes for part in rows.packed) < MANY  # bytes; written out, they would take 16 for each weight
