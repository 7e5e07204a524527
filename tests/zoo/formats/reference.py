# SPDX-License-Identifier: MIT
"""What the original implementations compute, and how ours is compared with it.

The forward passes themselves stand in the test of each format, written from the layout of its file: scales are
applied at run time, transposed convolutions are transposed convolutions, and so on.
"""

from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from egbas.zoo.blueprint import Blueprints
from egbas.zoo.formats import read_checkpoint

Reference = Callable[[Tensor], tuple[Tensor, list[Tensor]]]
TOLERANCE = 1e-4
NEAR_ZERO = 1e-4  # of the layer's largest value: the sign of such a unit may differ by rounding


class Draw:
    """Draws N(0, 1) tensors, each another one."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = torch.Generator().manual_seed(seed)

    def __call__(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.rng)


def pixel_norm(x: Tensor) -> Tensor:
    return x / torch.sqrt((x**2).mean(dim=1, keepdim=True) + 1e-8)


def lrelu(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, 0.2 * x)


def double(x: Tensor) -> Tensor:
    return x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)


def halve(x: Tensor) -> Tensor:
    return (x[:, :, ::2, ::2] + x[:, :, 1::2, ::2] + x[:, :, ::2, 1::2] + x[:, :, 1::2, 1::2]) / 4


def four_shifts(kernel: Tensor) -> Tensor:
    """The kernel (..., k, k) of a fused layer: the sum of its four shifts, (..., k + 1, k + 1)."""
    return (
        F.pad(kernel, (1, 0, 1, 0))
        + F.pad(kernel, (0, 1, 1, 0))
        + F.pad(kernel, (1, 0, 0, 1))
        + F.pad(kernel, (0, 1, 0, 1))
    )


def strided_deviation(x: Tensor, size: int) -> Tensor:
    """Append the deviation of groups {i, i + n / size, ...}, biased."""
    size = min(size, len(x))
    n_groups = len(x) // size
    values = torch.empty(len(x))
    for first in range(n_groups):
        group = x[first::n_groups]
        deviation = ((group - group.mean(0)) ** 2).mean(0).add(1e-8).sqrt().mean()
        values[first::n_groups] = deviation
    return torch.cat([x, values.view(-1, 1, 1, 1).expand(-1, 1, *x.shape[2:])], dim=1)


def consecutive_deviation(x: Tensor, size: int) -> Tensor:
    """Append the deviation of groups {0, ..., size - 1}, ..., unbiased; 0 for an image alone."""
    if len(x) == 1:
        return torch.cat([x, torch.zeros(1, 1, *x.shape[2:])], dim=1)
    size = size if len(x) % size == 0 else len(x)
    values = [part.var(0).add(1e-8).sqrt().mean().expand(size) for part in x.split(size)]
    return torch.cat([x, torch.cat(values).view(-1, 1, 1, 1).expand(-1, 1, *x.shape[2:])], dim=1)


def load(path: Path, name: str) -> tuple[Blueprints, nn.Module, nn.Module | None]:
    """Read a file, which is of the format ``name``, and build its networks."""
    found, blueprints = read_checkpoint(path)
    assert found == name
    discriminator = blueprints.discriminator.build() if blueprints.discriminator is not None else None
    return blueprints, blueprints.generator.build(), discriminator


def agree(network: nn.Module, x: Tensor, reference: Reference, *, one_by_one: bool = False) -> float:
    """Compare outputs and the signs of every pre-activation with the reference; returns the largest difference.

    Args:
        network: ours.
        x: latents or images.
        reference: the original, from inputs to outputs and pre-activations in order.
        one_by_one: whether the original sees one input at a time.
    """
    seen: list[Tensor] = []
    acts = [part for part in network.modules() if isinstance(part, nn.ReLU | nn.LeakyReLU)]
    hooks = [part.register_forward_pre_hook(lambda _, args: seen.append(args[0].detach().clone())) for part in acts]
    with torch.no_grad():
        found = network(x)
        runs = [reference(part) for part in (x.split(1) if one_by_one else [x])]
    for hook in hooks:
        hook.remove()
    expected = torch.cat([output for output, _ in runs])
    layers = [torch.cat(batches) for batches in zip(*(pres for _, pres in runs), strict=True)]
    assert found.numel() == expected.numel()
    assert len(seen) == len(layers)
    n_near = n_units = 0
    for ours, flat in zip(seen, layers, strict=True):
        theirs = flat.reshape(ours.shape)
        near = theirs.abs() < NEAR_ZERO * theirs.abs().max()
        assert torch.equal((ours > 0)[~near], (theirs > 0)[~near])
        n_near, n_units = n_near + int(near.sum()), n_units + near.numel()
    assert n_near <= 2e-3 * n_units + 2, "too many units lie near zero to say that the signs agree"
    assert float(expected.std()) > 1e-3, "a constant output proves nothing"
    delta = float((found.reshape(expected.shape) - expected).abs().max())
    print(f"max |delta| {delta:.2g}; {n_near} of {n_units} units near zero were left out")
    assert delta < TOLERANCE
    return delta
