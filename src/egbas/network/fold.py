# SPDX-License-Identifier: MIT
"""A stem computed with fewer multiplications: the same function up to rounding, which regions measure.

Nearest-neighbour upsampling and the convolution after it are one transposed convolution: of kernel k + s - 1 and stride
s, ((k + s - 1) / (s k))^2 of the multiplications; 4 of 9 in a PGGAN. A convolution of one pixel, as at the start of
many generators, is a matrix: one of 4 x 4 with padding 3 would multiply mostly zeros.
"""

import copy
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, fx, nn
from torch.func import functional_call
from torch.fx.passes.shape_prop import ShapeProp

_TOLERANCE = 1e-4  # of the largest value; float32 rounds it a hundred times as finely


def fold(stem: fx.GraphModule, latents: Tensor) -> Callable[[Tensor], Tensor]:
    """Fold what can be folded; the stem itself is left as it is.

    Args:
        stem: maps latents (n, *latent_shape).
        latents: some, (n, *latent_shape), at which the folded stem has to give what the stem gives: operations in
            place and hooks may make another function of it.
    """
    with torch.no_grad():
        folded = fx.GraphModule(stem, copy.deepcopy(stem.graph))
        ShapeProp(folded).propagate(latents.clone())
        for node in list(folded.graph.nodes):
            _fold_node(folded, node)
        folded.recompile()
        return folded.forward if _is_same(folded(latents.clone()), stem(latents.clone())) else stem.forward


def _fold_node(stem: fx.GraphModule, node: fx.Node) -> None:
    """Put a folded module in the place of a node, if there is one."""
    if node.op != "call_module" or len(node.args) != 1 or node.kwargs:
        return
    below: Any = node.args[0]
    module, upsampling = stem.get_submodule(str(node.target)), None
    folded = _of_one_pixel(module, below)
    if folded is None and (folded := _upsampling(stem, module, below)) is not None:
        upsampling, below = below, below.args[0]
    if folded is None:
        return
    name = f"folded_{node.name}"
    stem.add_submodule(name, folded)
    with stem.graph.inserting_before(node):
        node.replace_all_uses_with(stem.graph.call_module(name, (below,)))
    stem.graph.erase_node(node)
    if upsampling is not None and not upsampling.users:
        stem.graph.erase_node(upsampling)


def _is_same(got: Tensor, expected: Tensor) -> bool:
    return got.shape == expected.shape and bool((got - expected).abs().max() <= _TOLERANCE * expected.abs().max())


def _of_one_pixel(module: nn.Module, below: fx.Node) -> nn.Module | None:
    """The matrix of a convolution whose input is (n, c, 1, 1)."""
    if type(module) is not nn.Conv2d and type(module) is not nn.ConvTranspose2d:
        return None
    shape = below.meta["tensor_meta"].shape
    if len(shape) != 4 or tuple(shape[2:]) != (1, 1) or module.kernel_size == (1, 1):
        return None
    without = {} if module.bias is None else {"bias": torch.zeros_like(module.bias)}
    pixels = torch.eye(module.in_channels, dtype=module.weight.dtype)[:, :, None, None]
    images = functional_call(module, without, (pixels,))  # (c, c', h, w)
    return _OfOnePixel(images, module.bias)


class _OfOnePixel(nn.Module):
    """A matrix for each place of the output: with few latents their products take half as long as one of all places."""

    def __init__(self, images: Float[Tensor, "c c2 h w"], bias: Tensor | None) -> None:
        super().__init__()
        self.shape = images.shape[2:]
        self.matrices = images.permute(2, 3, 0, 1).flatten(0, 1).contiguous()  # (h w, c, c2)
        self.offset = images.new_zeros(images.shape[1]) if bias is None else bias

    def forward(self, x: Float[Tensor, "n c 1 1"]) -> Float[Tensor, "n c2 h w"]:
        pixels = x.flatten(1).expand(len(self.matrices), -1, -1)
        y = torch.baddbmm(self.offset, pixels, self.matrices)  # (h w, n, c2)
        return y.unflatten(0, self.shape).permute(2, 3, 0, 1).contiguous(memory_format=torch.channels_last)


def _upsampling(stem: fx.GraphModule, module: nn.Module, below: fx.Node) -> nn.ConvTranspose2d | None:
    """The transposed convolution that does the work of an upsampling, ``below``, and of a convolution."""
    if type(module) is not nn.Conv2d or module.kernel_size == (1, 1):
        return None
    scale = _scale(stem, below)
    is_usual = module.stride == module.dilation == (1, 1) and module.groups == 1 and module.padding_mode == "zeros"
    if scale is None or not below.args or not is_usual or isinstance(module.padding, str):
        return None
    padding = tuple(k - 1 - p for k, p in zip(module.kernel_size, module.padding, strict=True))
    if min(padding) < 0:
        return None
    kernel = _spread(module.weight, scale).transpose(0, 1).flip(2, 3)
    folded = nn.ConvTranspose2d(
        module.in_channels,
        module.out_channels,
        (kernel.shape[2], kernel.shape[3]),
        stride=scale,
        padding=(padding[0], padding[1]),
        bias=module.bias is not None,
        device="meta",  # no weights are drawn
    )
    folded.weight = nn.Parameter(kernel.contiguous(memory_format=torch.channels_last), requires_grad=False)
    folded.bias = module.bias
    return folded


def _spread(kernel: Float[Tensor, "o i h w"], scale: int) -> Float[Tensor, "o i h2 w2"]:
    """Sum the kernel over all shifts of up to ``scale`` - 1 places in both directions: by how a pixel is repeated."""
    h, w = kernel.shape[2:]
    total = kernel.new_zeros(*kernel.shape[:2], h + scale - 1, w + scale - 1, dtype=torch.float64)
    for y in range(scale):
        for x in range(scale):
            total[:, :, y : y + h, x : x + w] += kernel
    return total.to(kernel.dtype)


def _scale(stem: fx.GraphModule, node: fx.Node) -> int | None:
    """By how much a node repeats each pixel, in both directions; None: it does something else."""
    if node.op == "call_module" and type(module := stem.get_submodule(str(node.target))) is nn.Upsample:
        given = {name: getattr(module, name) for name in ("size", "scale_factor", "mode")}
    elif node.op == "call_function" and node.target is nn.functional.interpolate:
        given = dict(zip(("input", "size", "scale_factor", "mode"), node.args, strict=False)) | node.kwargs
    else:
        return None
    if given.get("mode", "nearest") != "nearest" or given.get("size") is not None:
        return None
    factors: Any = given.get("scale_factor")
    factors = tuple(factors) if isinstance(factors, tuple | list) else (factors, factors)
    if len(factors) != 2 or not all(isinstance(factor, int | float) and factor == factors[0] for factor in factors):
        return None
    scale = int(factors[0])
    return scale if scale > 1 and scale == factors[0] else None
