# SPDX-License-Identifier: MIT
"""What a model is, and whether what comes out of it is plausible: ``egbas inspect``."""

import math
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from egbas.errors import NetworkError
from egbas.geometry.invariance import is_scale_invariant
from egbas.network import Network
from egbas.zoo.labelled import LabelledGenerator
from egbas.zoo.models import Model

N_LATENTS = 4
_N_MEASURED = 3  # of them, that tell what flows past a layer
FLAT = 1e-3  # spread over latents, in units of the images' range [-1, 1], below which they are all alike
LARGE = 4.0  # pixel value beyond which the weights do not fit the network
TOO_HIGH = 1e6  # score beyond which the discriminator does not fit


def inspect(model: Model, seed: int = 0) -> dict[str, Any]:
    """Describe a model and check its output on a few latents.

    Args:
        model: from a checkpoint or the zoo.
        seed: of the latents.

    Returns:
        What it is (``format``, ``resolution``, ``channels``, ``latent``, ``layers``, ``facts``), and under
        ``check`` what its images are like, with ``problems`` as sentences; all of it fit for JSON.

    Raises:
        NetworkError: the network does not run.
    """
    beside = {"label": 0} if isinstance(model.generator, LabelledGenerator) else None
    network = Network(model.generator, model.latent.shape, inputs=beside)
    z = model.latent.sample(N_LATENTS, rng=torch.Generator().manual_seed(seed))
    images = _one_by_one(network, z)
    return {
        "name": model.name,
        "sha256": model.sha256,
        "image": list(images.shape[1:]),
        "channels": _channels(network),
        "latent": model.latent.record(),
        "parameters": sum(value.numel() for value in model.generator.parameters()),
        "discriminator_parameters": _count(model),
        "facts": model.facts,
        "layers": [asdict(layer) for layer in network.measured(z[:_N_MEASURED])],
        "check": check(model, network, z, images),
    }


def check(model: Model, network: Network, z: Tensor, images: Tensor) -> dict[str, Any]:
    """Say what the images are like and what is wrong with them.

    Args:
        model: that they come from.
        network: its generator.
        z: latents (n, d).
        images: of the latents.
    """
    problems = []
    spread = float(images.std(dim=0).mean())
    facts: dict[str, Any] = {
        "latents": len(z),
        "smallest": float(images.min()),
        "largest": float(images.max()),
        "outside_range": float((images.abs() > 1).float().mean()),
        "spread": spread,
        "scale_invariant": is_scale_invariant(network, model.latent),
    }
    if images.abs().max() > LARGE:
        problems.append(f"pixels reach {float(images.abs().max()):.3g}; images lie about -1 to 1")
    if spread < FLAT:
        problems.append(f"all images are alike (spread {spread:.2g} over {len(z)} latents)")
    scores = _scores(model, images)
    if scores is not None:
        facts["scores"] = scores
        if not all(math.isfinite(score) and abs(score) < TOO_HIGH for score in scores):
            facts["scores"] = [score if math.isfinite(score) else None for score in scores]
            problems.append("the discriminator's scores are implausible; it may belong to another generator")
    return {**facts, "problems": problems}


def _one_by_one(network: Network, z: Tensor) -> Tensor:
    """Images of latents, one at a time: at 1024 pixels a batch takes gigabytes."""
    return torch.cat([network.generate(row[None].to(network.device)).cpu() for row in z])


def _scores(model: Model, images: Tensor) -> list[float] | None:
    if model.discriminator is None:
        return None
    device = next(model.discriminator.parameters()).device
    try:
        with torch.no_grad():
            return [float(model.discriminator(image[None].to(device)).sum()) for image in images]
    except RuntimeError as error:
        raise NetworkError(
            f"the discriminator does not take the generator's images of shape {tuple(images.shape[1:])}: {error}; "
            "they do not belong together"
        ) from error


def _channels(network: Network) -> list[int]:
    """Feature maps of each resolution, from the smallest up."""
    widths = {layer.shape[1]: layer.shape[0] for layer in network.layers[:-1] if len(layer.shape) == 3}
    last = network.layers[-1:]
    if last and last[0].kind not in ("Tanh", "Hardtanh") and len(last[0].shape) == 3:
        widths[last[0].shape[1]] = last[0].shape[0]
    return [widths[side] for side in sorted(widths)]


def _count(model: Model) -> int | None:
    return None if model.discriminator is None else sum(value.numel() for value in model.discriminator.parameters())
