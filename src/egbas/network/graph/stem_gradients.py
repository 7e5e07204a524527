# SPDX-License-Identifier: MIT
"""A stem that remembers what it computed, so that gradients can be asked for of some rows of a batch.

In: a graph of a stem. Out: its value for a batch, and later products of a vector with the Jacobian for the rows that
turn out to need one. Autograd would pull back all of the batch, or compute the rows anew.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.grad
from torch import Tensor, fx, nn

Record = dict[int, Tensor]

_TOLERANCE = 1e-4  # of the largest gradient
_N_PROBES = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class _Block:
    """Some nodes in a row: a linear module alone, or nodes that cost little enough to be computed again.

    Attributes:
        run: maps the values of ``inputs`` to those of ``outputs``.
        inputs: numbers of the values that come in, from other blocks; 0 is the latents.
        outputs: numbers of those that others need.
        linear: the module, if the block is one.
    """

    run: Callable[..., Sequence[Tensor]]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    linear: "Linear | None"


@dataclass(frozen=True, kw_only=True, eq=False)
class RecordedStem:
    """A stem in blocks.

    Attributes:
        blocks: in the order of the forward pass.
        last: number of the value that the stem gives.
    """

    blocks: tuple[_Block, ...]
    last: int

    @classmethod
    def of(cls, stem: fx.GraphModule, latents: Tensor) -> "RecordedStem | None":
        """Divide a stem into blocks; None where the gradients would not be autograd's.

        Args:
            stem: of one input and one output; its weights need no gradient.
            latents: an example (n, *latent_shape).
        """
        try:
            divided = _divided(_with_halves(_with_channels_last(stem)))
            return divided if _agrees(divided, stem, latents[:_N_PROBES]) else None
        except Exception:  # whatever a graph of a form that nobody thought of may raise; autograd does it then
            return None

    def record(self, latents: Tensor) -> Record:
        """Compute the stem; ``last`` names its value in the record."""
        values: Record = {0: latents}
        with torch.no_grad():
            for block in self.blocks:
                outputs = block.run(*(values[number] for number in block.inputs))
                values.update(zip(block.outputs, outputs, strict=True))
        return values

    def pull(self, record: Record, rows: Tensor, gradient: Tensor) -> Tensor:
        """Pull back gradients (r, ...) with respect to the value of some rows (r,) to their latents."""
        gradients = {self.last: gradient}
        for block in reversed(self.blocks):
            given = [gradients.pop(number, None) for number in block.outputs]
            if all(each is None for each in given):
                continue
            for number, pulled in zip(block.inputs, _pulled(block, record, rows, given), strict=True):
                if pulled is not None:
                    gradients[number] = gradients[number] + pulled if number in gradients else pulled
        return gradients[0]


def _pulled(block: _Block, record: Record, rows: Tensor, given: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
    if block.linear is not None and given[0] is not None:
        return [_pulled_linear(block.linear, given[0], record[block.inputs[0]])]
    with torch.enable_grad():
        inputs = [_picked(record[number], rows).requires_grad_() for number in block.inputs]
        outputs = block.run(*(each.clone() if len(block.inputs) > 1 else each.view_as(each) for each in inputs))
        pairs = [(output, each) for output, each in zip(outputs, given, strict=True) if each is not None]
        return torch.autograd.grad(
            [output for output, _ in pairs], inputs, [each for _, each in pairs], allow_unused=True
        )


def _picked(values: Tensor, rows: Tensor) -> Tensor:
    """Some rows, as they lie in memory: torch would put the channels first."""
    if values.ndim == 4 and values.is_contiguous(memory_format=torch.channels_last):
        return values.permute(0, 2, 3, 1).index_select(0, rows).permute(0, 3, 1, 2)
    return values.index_select(0, rows)


def _pulled_linear(module: "Linear", gradient: Tensor, like: Tensor) -> Tensor:
    if isinstance(module, nn.Linear):
        return gradient @ module.weight
    if isinstance(module, _ToPositions):
        return module.pulled(gradient)
    steps = {"stride": module.stride, "padding": module.padding}
    if isinstance(module, nn.ConvTranspose2d):  # its transpose is the convolution with the same weights
        return nn.functional.conv2d(gradient, module.weight, **steps)
    shape = (len(gradient), *like.shape[1:])
    return torch.nn.grad.conv2d_input(shape, module.weight, gradient, **steps)


class _ToPositions(nn.Module):
    """A matrix whose values are the channels of positions, batch normalised: they come out with the channels last."""

    def __init__(self, linear: nn.Linear, shape: tuple[int, ...], norm: nn.Module | None) -> None:
        super().__init__()
        self.shape = shape
        c, h, w = shape
        weight = linear.weight.double()
        given = getattr(linear, "bias", None)  # a Linear of torch may have none
        bias = weight.new_zeros(len(weight)) if given is None else given.double()
        if norm is not None:
            ones, zeros = torch.ones(c, dtype=torch.float64), torch.zeros(c, dtype=torch.float64)
            with torch.no_grad():  # what it makes of 0 and 1 in each channel says all of it
                offset, value = (copy.deepcopy(norm).double()(each[None, :, None, None])[0] for each in (zeros, ones))
            scale, offset = (each.expand(c, h, w).reshape(-1) for each in (value - offset, offset))
            weight, bias = weight * scale[:, None], bias * scale + offset
        order = torch.arange(c * h * w).reshape(shape).permute(1, 2, 0).reshape(-1)
        self.matrix = weight[order].to(linear.weight).T.contiguous()  # (d, h w c)
        self.offset = bias[order].to(linear.weight)

    def forward(self, x: Tensor) -> Tensor:
        c, h, w = self.shape
        return torch.addmm(self.offset, x, self.matrix).view(-1, h, w, c).permute(0, 3, 1, 2)

    def pulled(self, gradient: Tensor) -> Tensor:
        return gradient.permute(0, 2, 3, 1).reshape(len(gradient), -1) @ self.matrix.T


class _Halves(nn.Module):
    """The largest of each two by two positions. Torch's own takes ten times as long where the channels lie last."""

    def forward(self, x: Tensor) -> Tensor:
        x = x[..., : x.shape[-2] // 2 * 2, : x.shape[-1] // 2 * 2]
        rows = torch.maximum(x[..., ::2, :], x[..., 1::2, :])
        return torch.maximum(rows[..., ::2], rows[..., 1::2])


Linear = nn.Linear | nn.Conv2d | nn.ConvTranspose2d | _ToPositions


def _with_channels_last(stem: fx.GraphModule) -> fx.GraphModule:
    """The same with one matrix for a linear map, the shape of its values, and their batch normalisation."""
    stem = fx.GraphModule(stem, copy.deepcopy(stem.graph))
    for node in list(stem.graph.nodes):
        below: Any = node.args[0] if node.args else None
        linear, shape = _called(stem, below), _called(stem, node)
        if type(shape) is not nn.Unflatten or type(linear) is not nn.Linear or len(below.users) > 1:
            continue
        if shape.dim != 1 or len(shape.unflattened_size) != 3:
            continue
        last = next(iter(node.users)) if len(node.users) == 1 else node
        norm = _called(stem, last)
        is_normalised = type(norm) is nn.BatchNorm2d and not norm.training and norm.running_mean is not None
        last, norm = (last, norm) if is_normalised else (node, None)
        name = f"positions_{node.name}"
        stem.add_submodule(name, _ToPositions(linear, tuple(shape.unflattened_size), norm))
        with stem.graph.inserting_before(last):
            last.replace_all_uses_with(stem.graph.call_module(name, (below.args[0],)))
        for passed in dict.fromkeys((last, node, below)):
            stem.graph.erase_node(passed)
    stem.recompile()
    return stem


def _with_halves(stem: fx.GraphModule) -> fx.GraphModule:
    """The same with a quicker pool, where one takes the largest of each two by two positions."""
    for node in stem.graph.nodes:
        pool = _called(stem, node)
        if type(pool) is nn.MaxPool2d and _takes_halves(pool):
            node.target = f"halves_{node.name}"
            stem.add_submodule(node.target, _Halves())
    stem.recompile()
    return stem


def _takes_halves(pool: nn.MaxPool2d) -> bool:
    sizes = pool.kernel_size, pool.stride, pool.padding, pool.dilation
    pairs = [(size, size) if isinstance(size, int) else tuple(size) for size in sizes]
    return pairs == [(2, 2), (2, 2), (0, 0), (1, 1)] and not pool.ceil_mode and not pool.return_indices


def _called(stem: fx.GraphModule, node: Any) -> nn.Module | None:
    """The module that a node calls with one argument, if it does."""
    is_plain = isinstance(node, fx.Node) and node.op == "call_module" and len(node.args) == 1 and not node.kwargs
    return stem.get_submodule(str(node.target)) if is_plain else None


def _divided(stem: fx.GraphModule) -> RecordedStem:
    nodes = [node for node in stem.graph.nodes if node.op not in ("placeholder", "output", "get_attr")]
    groups: list[list[fx.Node]] = []
    for node in nodes:
        if _linear(stem, node) is not None or not groups or _linear(stem, groups[-1][0]) is not None:
            groups.append([])
        groups[-1].append(node)
    (latents,) = (node for node in stem.graph.nodes if node.op == "placeholder")
    (output,) = (node for node in stem.graph.nodes if node.op == "output")
    numbers = {node: number for number, node in enumerate([latents, *nodes])}
    blocks = tuple(_block(stem, group, numbers) for group in groups)
    return RecordedStem(blocks=blocks, last=numbers[output.args[0]])


def _block(stem: fx.GraphModule, group: list[fx.Node], numbers: dict[fx.Node, int]) -> _Block:
    inside = set(group)
    given = [value for node in group for value in node.all_input_nodes if value not in inside]
    inputs = [node for node in dict.fromkeys(given) if node.op != "get_attr"]
    outputs = [node for node in group if any(user not in inside for user in node.users)]
    graph = fx.Graph()
    copies = {node: graph.placeholder(f"value_{numbers[node]}") for node in inputs}
    for node in [*(each for each in given if each.op == "get_attr"), *group]:
        if node not in copies:
            copies[node] = graph.node_copy(node, copies.__getitem__)
    graph.output(tuple(copies[node] for node in outputs))
    return _Block(
        run=fx.GraphModule(stem, graph).forward,
        inputs=tuple(numbers[node] for node in inputs),
        outputs=tuple(numbers[node] for node in outputs),
        linear=_linear(stem, group[0]),
    )


def _linear(stem: fx.GraphModule, node: fx.Node) -> "Linear | None":
    """The module that a node calls, if its transpose is known here."""
    module: Any = _called(stem, node)
    if type(module) is nn.Linear or type(module) is _ToPositions:
        return module
    if type(module) is nn.Conv2d:
        return module if module.padding_mode == "zeros" and not isinstance(module.padding, str) else None
    return module if type(module) is nn.ConvTranspose2d and module.output_padding == (0, 0) else None


def _agrees(divided: RecordedStem, stem: fx.GraphModule, latents: Tensor) -> bool:
    """Whether value and gradient are autograd's, for some rows of a batch."""
    inputs = latents.clone().requires_grad_()
    with torch.enable_grad():
        value = stem(inputs.clone())
        weights = torch.randn(value.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float32).to(value)
        (expected,) = torch.autograd.grad(value, inputs, weights)
    record, rows = divided.record(latents.clone()), torch.arange(0, len(latents), 2)
    gradient = divided.pull(record, rows, weights[rows])
    return _is_close(record[divided.last], value.detach()) and _is_close(gradient, expected[rows])


def _is_close(got: Tensor, expected: Tensor) -> bool:
    return got.shape == expected.shape and bool((got - expected).abs().max() <= _TOLERANCE * expected.abs().max())
