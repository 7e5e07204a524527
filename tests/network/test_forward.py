# SPDX-License-Identifier: MIT
import torch
from torch import nn

from egbas.network.forward import Forward
from egbas.network.replica import freeze


def test_latents_are_copied_converted_and_reshaped() -> None:
    generator = nn.Flatten()
    forward = Forward(
        generator=generator,
        replica=freeze(generator),
        latent_shape=(2, 1, 1),
        dtype=torch.float64,
        device=torch.device("cpu"),
    )
    z = torch.ones(3, 2, requires_grad=True)
    latents = forward.prepare(z)
    latents.zero_()
    assert (forward.latent_size, latents.shape, latents.dtype) == (2, (3, 2, 1, 1), torch.float64)
    assert z.tolist() == [[1.0, 1.0]] * 3
    assert forward.images(z).tolist() == [[1.0, 1.0]] * 3
