# SPDX-License-Identifier: MIT
import torch
from torch import Tensor

from egbas.region import certify
from tests.problems import BoxNet
from tests.region.test_supporting import region_of


def test_a_network_without_float64_gets_a_certificate_in_its_own_precision() -> None:
    class Converting(BoxNet):
        def forward(self, z: Tensor) -> Tensor:
            return super().forward(z.float())

    region = region_of(Converting(), [0.0, 0.0])
    assert region.exact is region.split
    assert certify(region, torch.zeros(1, 2)).dtype == "float32"


def test_the_certificate_counts() -> None:
    region = region_of(BoxNet(), [0.0, 0.0])
    certificate = certify(region, torch.tensor([[0.0, 0.0], [0.5, 0.0], [1.5, 0.0]]))
    assert (certificate.n_samples, certificate.n_inside, certificate.is_valid) == (3, 2, False)
    assert certificate.dtype == "float64"
    assert certificate.smallest_margin == -0.5
