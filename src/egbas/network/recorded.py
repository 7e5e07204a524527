# SPDX-License-Identifier: MIT
"""A part of a network that remembers what it computed, so that gradients can be asked for of some rows of a batch.

In: a graph of a stem. Out: its value for a batch, and later products of a vector with the Jacobian for the rows that
turn out to need one. Autograd would pull back the whole batch, or compute the rows anew.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

Linear = nn.Linear | nn.Conv2d | nn.ConvTranspose2d
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
    linear: Linear | None


Record = dict[int, Tensor]


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
            recorded = _divided(stem)
            return recorded if _agrees(recorded, stem, latents[:_N_PROBES]) else None
        except Exception:  # whatever a graph of a form that nobody thought of may raise; autograd does it then
            return None

    def record(self, latents: Tensor) -> Record:
        """Compute the stem; ``last`` names its value in the record."""
        values: Record = {0: latents}
        with torch.no_grad():
            for block in self.blocks:
                found = block.run(*(values[number] for number in block.inputs))
                values.update(zip(block.outputs, found, strict=True))
        return values

    def pull(self, record: Record, rows: Tensor, gradient: Tensor) -> Tensor:
        """Pull back gradients (r, ...) with respect to the value of some rows (r,) to their latents."""
        gradients = {self.last: gradient}
        for block in reversed(self.blocks):
            given = [gradients.pop(number, None) for number in block.outputs]
            if all(each is None for each in given):
                continue
            for number, found in zip(block.inputs, _pulled(block, record, rows, given), strict=True):
                if found is not None:
                    gradients[number] = gradients[number] + found if number in gradients else found
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


def _pulled_linear(module: Linear, gradient: Tensor, like: Tensor) -> Tensor:
    if isinstance(module, nn.Linear):
        return gradient @ module.weight
    steps = {"stride": module.stride, "padding": module.padding}
    if isinstance(module, nn.ConvTranspose2d):  # its transpose is the convolution with the same weights
        return nn.functional.conv2d(gradient, module.weight, **steps)
    shape = (len(gradient), *like.shape[1:])
    return torch.nn.grad.conv2d_input(shape, module.weight, gradient, **steps)


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


def _linear(stem: fx.GraphModule, node: fx.Node) -> Linear | None:
    """The module that a node calls, if its transpose is known here."""
    if node.op != "call_module" or len(node.args) != 1 or node.kwargs:
        return None
    module: Any = stem.get_submodule(str(node.target))
    if type(module) is nn.Linear:
        return module
    if type(module) is nn.Conv2d:
        return module if module.padding_mode == "zeros" and not isinstance(module.padding, str) else None
    return module if type(module) is nn.ConvTranspose2d and module.output_padding == (0, 0) else None


def _agrees(recorded: RecordedStem, stem: fx.GraphModule, latents: Tensor) -> bool:
    """Whether value and gradient are autograd's, for some rows of a batch."""
    inputs = latents.clone().requires_grad_()
    with torch.enable_grad():
        value = stem(inputs.clone())
        weights = torch.randn(value.shape, generator=torch.Generator().manual_seed(0)).to(value)
        (expected,) = torch.autograd.grad(value, inputs, weights)
    record, rows = recorded.record(latents.clone()), torch.arange(0, len(latents), 2)
    found = recorded.pull(record, rows, weights[rows])
    return _is_close(record[recorded.last], value.detach()) and _is_close(found, expected[rows])


def _is_close(found: Tensor, expected: Tensor) -> bool:
    return found.shape == expected.shape and bool((found - expected).abs().max() <= _TOLERANCE * expected.abs().max())
