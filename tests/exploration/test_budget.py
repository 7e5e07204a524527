# SPDX-License-Identifier: MIT
import subprocess
import sys

import pytest
from torch import nn

from egbas.exploration.budget import largest_budget
from egbas.network import Network
from egbas.region import Precisions


@pytest.mark.parametrize(
    ("width", "expected"), [(10, 500_000), (10_000, 50_000), pytest.param(50_000, 5_000, marks=pytest.mark.slow)]
)
def test_the_bound_falls_with_the_operations_of_a_latent(width: int, expected: int) -> None:
    side = min(width, 2_000)  # in memory; many layers make up for the rest
    n_layers = max(1, width**2 // side**2)
    hidden = nn.Linear(side, side, bias=False).requires_grad_(False)  # the same one again and again
    nn.init.eye_(hidden.weight)
    network = Network(
        nn.Sequential(nn.Linear(4, side), *[hidden] * n_layers, nn.ReLU(), nn.Linear(side, 2)).eval(), (4,)
    )
    precisions = Precisions.of(network, network.resolve(1))
    assert largest_budget(precisions) == pytest.approx(expected, rel=0.05)


def test_of_a_region_of_ones_own_nothing_is_known() -> None:
    assert largest_budget(None) == 500_000


def test_counting_does_not_import_the_compiler_of_torch() -> None:
    code = (
        "import sys, egbas\n"
        "from egbas.exploration.budget import largest_budget\n"
        "from egbas.network import Network\n"
        "from egbas.region import Precisions\n"
        "model = egbas.load_model('dcgan-mnist-2d')\n"
        "network = Network(model.generator, model.latent.shape)\n"
        "print(largest_budget(Precisions.of(network, network.resolve(1))), 'torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["500000", "False"]
