# SPDX-License-Identifier: MIT
"""The stem or the tail of a network, computed with less work: the same function up to rounding.

Nearest-neighbour upsampling and the convolution after it are one transposed convolution: of kernel k + s - 1 and stride
s, ((k + s - 1) / (s k))^2 of the multiplications; 4 of 9 in a PGGAN. A convolution of one pixel, as at the start of
many generators, is a matrix: one of 4 x 4 with padding 3 would multiply mostly zeros. Batch normalisation goes into the
weights of the convolution below it. A convolution to the few channels of an image leaves a processor's vectors mostly
empty, where one product for all positions of its kernel fills them.
"""

import copy
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, fx, nn
from torch.func import functional_call
from torch.nn.utils.fusion import fuse_conv_bn_eval

from egbas.network.replica import channels_last

Convolution = nn.Conv2d | nn.ConvTranspose2d

_TOLERANCE = 1e-4  # of the largest value; float32 rounds it a hundred times as finely
_FEW = 3  # channels


@torch.no_grad()
def fold(traced: fx.GraphModule, *inputs: Any, expected: Tensor) -> fx.GraphModule | None:
    """Fold what can be folded; what is given is left as it is.

    Args:
        traced: a stem, or a tail.
        inputs: its inputs, an example of more than one row.
        expected: what it has to give for them.

    Returns:
        The same, folded; None where that gives something else: operations in place may make another function of it.
    """

    def on_copies(run: Callable[..., Tensor]) -> Tensor:
        return run(*(value.clone() if isinstance(value, Tensor) else value for value in inputs))

    folded = fx.GraphModule(traced, copy.deepcopy(traced.graph))
    try:
        on_copies(_Shapes(folded).run)
        for rule in (_normalised, _of_one_pixel, _upsampling, _to_few_channels):
            for node in list(folded.graph.nodes):
                if _is_plain_call(folded, node):
                    rule(folded, node)
        folded.recompile()
        return folded if _is_same(on_copies(folded), expected) else None
    except Exception:  # whatever a network of a form that nobody thought of may raise; it is computed as it is
        return None


class _Shapes(fx.Interpreter):
    """Notes the shape of what each node computes, and whether it lies in memory image by image.

    ``torch.fx.passes.shape_prop`` notes more, and takes half a second to import.
    """

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if isinstance(value, Tensor):
            n.meta["shape"], n.meta["is_contiguous"] = tuple(value.shape), value.is_contiguous()
        return value


def _put(traced: fx.GraphModule, node: fx.Node, module: nn.Module, below: fx.Node) -> None:
    """Replace a node by a module, applied to ``below``; nodes that nobody reads any more are taken out."""
    name = f"folded_{node.name}"
    traced.add_submodule(name, module)
    with traced.graph.inserting_before(node):
        new = traced.graph.call_module(name, (below,))
    new.meta = dict(node.meta)
    node.replace_all_uses_with(new)
    passed: Any = node.args[0]
    traced.graph.erase_node(node)
    if passed is not below and not passed.users:
        traced.graph.erase_node(passed)


def _is_same(got: Tensor, expected: Tensor) -> bool:
    return got.shape == expected.shape and bool((got - expected).abs().max() <= _TOLERANCE * expected.abs().max())


def _is_plain_call(traced: fx.GraphModule, node: Any) -> bool:
    """Whether a node calls a module with one argument, and no hook does anything else."""
    if not isinstance(node, fx.Node) or node.op != "call_module" or len(node.args) != 1 or node.kwargs:
        return False
    module = traced.get_submodule(str(node.target))
    return not (module._forward_hooks or module._forward_pre_hooks)


def _convolution(traced: fx.GraphModule, node: Any) -> Convolution | None:
    """The convolution that a node calls, if it does."""
    if not _is_plain_call(traced, node):
        return None
    module = traced.get_submodule(str(node.target))
    return module if type(module) is nn.Conv2d or type(module) is nn.ConvTranspose2d else None


def _of_one_pixel(traced: fx.GraphModule, node: fx.Node) -> None:
    """A convolution whose input is (n, c, 1, 1) is a matrix."""
    module, below = _convolution(traced, node), node.args[0]
    if module is None or module.kernel_size == (1, 1) or not isinstance(below, fx.Node):
        return
    shape = below.meta["shape"]
    if len(shape) != 4 or shape[2:] != (1, 1):
        return
    without = {} if module.bias is None else {"bias": torch.zeros_like(module.bias)}
    pixels = torch.eye(module.in_channels, dtype=module.weight.dtype)[:, :, None, None]
    images = functional_call(module, without, (pixels,))  # (c, c', h, w)
    _put(traced, node, _OfOnePixel(images, module.bias), below)


class _OfOnePixel(nn.Module):
    """A matrix for each position of the output: with few latents their products take half as long as one of all."""

    def __init__(self, images: Float[Tensor, "c c2 h w"], bias: Tensor | None) -> None:
        super().__init__()
        self.shape = images.shape[2:]
        self.matrices = images.permute(2, 3, 0, 1).flatten(0, 1).contiguous()  # (h w, c, c2)
        self.offset = images.new_zeros(images.shape[1]) if bias is None else bias

    def forward(self, x: Float[Tensor, "n c 1 1"]) -> Float[Tensor, "n c2 h w"]:
        pixels = x.flatten(1).expand(len(self.matrices), -1, -1)
        y = torch.baddbmm(self.offset, pixels, self.matrices)  # (h w, n, c2)
        return y.unflatten(0, self.shape).permute(2, 3, 0, 1).contiguous(memory_format=torch.channels_last)


def _upsampling(traced: fx.GraphModule, node: fx.Node) -> None:
    """A transposed convolution does the work of an upsampling and of the convolution after it."""
    module, upsampling = _convolution(traced, node), node.args[0]
    if type(module) is not nn.Conv2d or module.kernel_size == (1, 1) or not _is_plain(module):
        return
    if not isinstance(upsampling, fx.Node) or not upsampling.args:
        return
    scale, below = _scale(traced, upsampling), upsampling.args[0]
    padding = _transposed_padding(module)
    if scale is None or padding is None or not isinstance(below, fx.Node):
        return
    kernel = _spread(module.weight, scale).transpose(0, 1).flip(2, 3)
    folded = nn.ConvTranspose2d(
        module.in_channels,
        module.out_channels,
        (kernel.shape[2], kernel.shape[3]),
        stride=scale,
        padding=padding,
        bias=module.bias is not None,
        device="meta",  # no weights are drawn
    )
    folded.weight = nn.Parameter(kernel.contiguous(memory_format=torch.channels_last), requires_grad=False)
    folded.bias = module.bias
    _put(traced, node, folded, below)


def _is_plain(module: Convolution) -> bool:
    """Whether a convolution has but a kernel, padding by zeros and, a transposed one, a stride."""
    is_usual = module.dilation == (1, 1) and module.groups == 1 and module.padding_mode == "zeros"
    is_dense = module.stride == (1, 1) if type(module) is nn.Conv2d else module.output_padding == (0, 0)
    return is_usual and is_dense and not isinstance(module.padding, str)


def _transposed_padding(module: nn.Conv2d) -> tuple[int, int] | None:
    """The padding of the transposed convolution that is the same map; None where there is none."""
    y, x = (k - 1 - int(p) for k, p in zip(module.kernel_size, module.padding, strict=True))
    return (y, x) if min(y, x) >= 0 else None


def _normalised(traced: fx.GraphModule, node: fx.Node) -> None:
    """Batch normalisation of the output of a convolution is a convolution with other weights."""
    below: Any = node.args[0]
    norm, module = traced.get_submodule(str(node.target)), _convolution(traced, below)
    if type(norm) is not nn.BatchNorm2d or norm.training or norm.running_mean is None or module is None:
        return
    is_transposed = type(module) is nn.ConvTranspose2d
    if len(below.users) > 1 or module.training or (is_transposed and module.groups > 1):
        return
    fused = fuse_conv_bn_eval(module, norm, transpose=is_transposed).requires_grad_(False)
    _put(traced, node, channels_last(fused), below.args[0])


def _to_few_channels(traced: fx.GraphModule, node: fx.Node) -> None:
    """A convolution to a few channels is one product for all positions of the kernel, and a sum of shifted images.

    It pays where x lies in memory image by image, as a layer's units do. With channels last it is slower.
    """
    module, below = _convolution(traced, node), node.args[0]
    if module is None or module.out_channels > _FEW or module.kernel_size == (1, 1) or not _is_plain(module):
        return
    if not isinstance(below, fx.Node) or not below.meta["is_contiguous"] or len(below.meta["shape"]) != 4:
        return
    if isinstance(module, nn.Conv2d):
        kernel, padding = module.weight.flip(2, 3), _transposed_padding(module)
    else:
        kernel, padding = module.weight.transpose(0, 1), module.padding
    if padding is not None and not isinstance(padding, str):
        _put(traced, node, _ToFewChannels(kernel, module, node.meta["shape"][2:], padding), below)


class _ToFewChannels(nn.Module):
    """A transposed convolution, computed the way that has its vectors along the image."""

    def __init__(
        self, kernel: Float[Tensor, "o i h w"], module: Convolution, size: tuple[int, ...], padding: tuple[int, ...]
    ) -> None:
        super().__init__()
        self.matrix = kernel.permute(0, 2, 3, 1).flatten(0, 2).contiguous()  # (o h w, i)
        self.offset = None if module.bias is None else module.bias[:, None, None]
        steps = {"kernel_size": module.kernel_size, "stride": module.stride}
        self.shape = {"output_size": size, "padding": padding, **steps}

    def forward(self, x: Float[Tensor, "n i y x"]) -> Float[Tensor, "n o y2 x2"]:
        y = nn.functional.fold(self.matrix @ x.flatten(2), **self.shape)
        return y if self.offset is None else y + self.offset


def _spread(kernel: Float[Tensor, "o i h w"], scale: int) -> Float[Tensor, "o i h2 w2"]:
    """Sum the kernel over all shifts of up to ``scale`` - 1 pixels in both directions: by how a pixel is repeated."""
    h, w = kernel.shape[2:]
    total = kernel.new_zeros(*kernel.shape[:2], h + scale - 1, w + scale - 1, dtype=torch.float64)
    for y in range(scale):
        for x in range(scale):
            total[:, :, y : y + h, x : x + w] += kernel
    return total.to(kernel.dtype)


def _scale(traced: fx.GraphModule, node: fx.Node) -> int | None:
    """By how much a node repeats each pixel, in both directions; None: it does something else."""
    if _is_plain_call(traced, node) and type(module := traced.get_submodule(str(node.target))) is nn.Upsample:
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
