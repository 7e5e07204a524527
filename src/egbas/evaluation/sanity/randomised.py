# SPDX-License-Identifier: MIT
"""Copies of a network with randomised weights (Adebayo et al. 2018): what has no training must not look trained.

In: a generator and a layer. Out: deep copies whose weights below the layer, above it, or everywhere are random. The
generator itself is never touched.

Weights of two and more dimensions are permuted within their tensor, and each gets a random sign. So the magnitudes of
a tensor stay as they were, and images do not collapse. Without the signs they do: a mean that training balanced
against the features drives every pixel into saturation. Tensors of one dimension, such as biases, are permuted alone.
Statistics of batch norms whose weights are random are measured anew: they belong to the weights before them.
"""

import copy
from collections.abc import Collection
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from egbas.errors import NetworkError
from egbas.latent import LatentSpace
from egbas.network import Network
from egbas.network.conditions import Conditions
from egbas.network.images import image_of, images_at_once

HEAD, TAIL, WHOLE = "head", "tail", "whole"
KINDS = (HEAD, TAIL, WHOLE)  # from the output down these are two steps of a cascade: the tail, and then all

_PROBES = 8  # latents that tell which weights a layer hangs on
_MEASURED = 256  # latents by which batch norms measure their statistics


def randomised(
    generator: nn.Module,
    names: Collection[str],
    latent: LatentSpace,
    *,
    rng: torch.Generator,
    conditions: Conditions | None = None,
) -> nn.Module:
    """A deep copy of a generator in which some parameters are random.

    Args:
        generator: G, in eval mode; it is left as it was found.
        names: of the parameters, as ``named_parameters()`` gives them.
        latent: the latent space; draws of its prior measure the statistics of batch norms.
        rng: a CPU generator. Each parameter has the same random numbers whichever others are random.
        conditions: what the generator is given beside the latents.

    Raises:
        NetworkError: the generator cannot be copied.
    """
    made = _copied(generator)
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            order = torch.randperm(parameter.numel(), generator=rng)
            signs = torch.randint(2, (parameter.numel(),), generator=rng) * 2 - 1
            if name not in names or not parameter.is_floating_point():
                continue
            values = parameter.flatten()[order.to(parameter.device)]
            if parameter.ndim > 1:
                values = values * signs.to(values)
            parameter.copy_(values.view_as(parameter))
    _measure_norms(made, names, latent.sample(_MEASURED, rng), latent.shape, conditions or Conditions())
    return made


def parameters_below(
    generator: nn.Module, layer: str, latent: LatentSpace, conditions: Conditions | None = None
) -> set[str]:
    """Names of the parameters that a layer's pre-activations hang on: those of the head f_{l:1}.

    Each is permuted in a copy, one after the other, and the head is asked whether that changes anything. This finds
    them in any network, however forward calls its modules. One whose entries are all equal counts as above.

    Args:
        generator: G, in eval mode; it is left as it was found.
        layer: dotted path.
        latent: the latent space.
        conditions: what the generator is given beside the latents.

    Raises:
        NetworkError: the generator cannot be copied.
    """
    rng = torch.Generator().manual_seed(0)
    made = _copied(generator)
    split = Network(made, latent.shape, inputs=conditions).split(layer)
    probes = latent.sample(_PROBES, rng)
    before, found = split.head(probes), set[str]()
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            own = parameter.detach().clone()
            order = torch.randperm(parameter.numel(), generator=rng).to(own.device)
            parameter.copy_(own.flatten()[order].view_as(own))
            try:
                has_changed = not torch.equal(split.head(probes), before)
            except NetworkError:  # values that are not finite have changed, too
                has_changed = True
            parameter.copy_(own)
            if has_changed:
                found.add(name)
    return found


def parameters_of(kind: str, generator: nn.Module, below: Collection[str]) -> set[str]:
    """Names of the parameters that are random in a copy of a kind: the head's, the tail's or all."""
    every = {name for name, _ in generator.named_parameters()}
    return {HEAD: set(below), TAIL: every - set(below), WHOLE: every}[kind]


def _copied(generator: nn.Module) -> nn.Module:
    try:
        return copy.deepcopy(generator).requires_grad_(False)
    except Exception as error:  # locks, open files: whatever deepcopy stumbles over
        raise NetworkError(
            f"the network cannot be copied ({type(error).__name__}: {error}), and its own weights are never "
            "randomised; keep what copy.deepcopy cannot copy, such as locks and open files, out of the module"
        ) from error


def _measure_norms(
    generator: nn.Module,
    names: Collection[str],
    latents: Float[Tensor, "n d"],
    shape: tuple[int, ...],
    conditions: Conditions,
) -> None:
    """Measure the statistics of the batch norms among the random parameters' modules, all in the same passes."""
    random = {name.rpartition(".")[0] for name in names}
    norms = [
        (module, module.momentum)
        for path, module in generator.named_modules()
        if path in random and isinstance(module, _BatchNorm) and module.track_running_stats
    ]
    if not norms:
        return
    first = next(generator.parameters())
    z = latents.to(device=first.device, dtype=first.dtype)

    def run(batch: Tensor) -> Any:
        made = batch.reshape(-1, *shape)
        return generator(made, **conditions.rows(made))

    with torch.no_grad():
        size = image_of(run(z[:1]), 1).numel()
        for module, _ in norms:
            module.reset_running_stats()
            module.momentum = None  # the mean over all passes
            module.train()
        for batch in z.split(max(images_at_once(size), 2)):
            if len(batch) > 1:  # the statistics of one latent are none
                run(batch)
    for module, momentum in norms:
        module.momentum = momentum
        module.eval()
