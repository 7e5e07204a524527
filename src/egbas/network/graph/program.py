# SPDX-License-Identifier: MIT
"""The tail f_{L:l+1} as a program of its own, so that BerOpt's loop never computes the head again.

torch.fx writes the forward pass down as a graph. Split at the layer's node, what depends on it is the tail; the
values that enter the tail from elsewhere (skips past the layer, sizes) are computed once for the query.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, fx, nn
from torch.fx.node import Argument

from egbas.network.composite import Step, find_composites
from egbas.network.conditions import Conditions, as_latents, rows_of
from egbas.network.functions import (
    activation_name,
    curve_name,
    function_name,
    is_elementwise,
    is_expansion,
    is_join,
    is_move,
    is_reshape,
)
from egbas.network.graph.tracing import Tracer
from egbas.network.images import Steps, follow_node
from egbas.network.layers import Layer, split_index
from egbas.network.order import SAME, Order, order_of
from egbas.network.trace import Site, Trace

N_CACHED = 4  # batch sizes whose skip values are kept: the loop uses one, its evaluations another
_SIZE, _DIMENSIONS = 2, 8  # made up: a graph does not know the shapes of its tensors


@dataclass(frozen=True, kw_only=True, eq=False)
class Program:
    """A forward pass split at a layer.

    Attributes:
        graph: the tail; maps the layer's output (n, *shape) and the skip values to images.
        skips: maps latents (n, *latent_shape) to the skip values; None where there are none.
        overwrites: whether the tail works in place, so that what it is given must be cloned.
    """

    graph: fx.GraphModule
    skips: Callable[[Tensor], tuple[Any, ...]] | None
    overwrites: bool

    @property
    def tail(self) -> Callable[..., Tensor]:
        """The tail, without the ado of calling a module."""
        return self.graph.forward


class TailProgram:
    """The tail of one query: a program with the query's skip values."""

    def __init__(
        self,
        program: Program,
        latents: Callable[[int], Tensor],
        shape: tuple[int, ...],
        at_zero: Tensor | None = None,
    ) -> None:
        """Take the program, the query's latents as a batch of any size, the layer's shape, what a masked unit gives."""
        self.at_zero = at_zero
        self.program = program
        self.latents = latents
        self.shape = shape
        self.cache: dict[int, tuple[Any, ...]] = {}

    def __call__(self, a: Float[Tensor, "n units"]) -> Tensor:
        """Run the tail on a (n, units)."""
        program, n = self.program, a.shape[0]
        a = (a if self.at_zero is None else a + self.at_zero).reshape(n, *self.shape)
        if program.skips is None:
            return program.tail(a.clone() if program.overwrites else a)
        values = self._skips(n)
        if program.overwrites:
            a = a.clone()
            values = tuple(value.clone() if isinstance(value, Tensor) else value for value in values)
        return program.tail(a, *values)

    def _skips(self, n: int) -> tuple[Any, ...]:
        # Computed for a batch of n, and not for one and expanded: sizes taken from the batch come out right.
        if n not in self.cache and self.program.skips is not None:
            while len(self.cache) >= N_CACHED:
                del self.cache[next(iter(self.cache))]
            with torch.no_grad():
                self.cache[n] = self.program.skips(self.latents(n))
        return self.cache[n]


def write_program(
    module: nn.Module,
    layer: Layer,
    site: Site | None,
    trace: Trace,
    steps: Steps = (),
    conditions: Conditions | None = None,
) -> Program | None:
    """Split a module at a layer; None where torch.fx cannot follow it or the layer is not found in its graph.

    Args:
        module: nobody else's, for tracing runs its forward; its weights need no gradient.
        layer: where to split.
        site: where the layer is, if it is a non-linearity.
        trace: of a pass.
        steps: that lead to the image in what the module returns.
        conditions: what forward is given beside the latents.
    """
    tracer = Tracer(conditions)
    try:
        graph = tracer.trace(module)
    except Exception:  # fx raises whatever the forward makes of its stand-ins for tensors
        return None
    overwriting = follow_overwrites(graph, module)
    start = find_nodes(graph, tracer, layer, site, trace, module)[1]
    result = next(node for node in graph.nodes if node.op == "output")
    image = follow_node(result.args[0], steps)
    if start is None or image is None or keeps_values(graph, list(graph.nodes)):
        return None
    above = {start}
    for node in graph.nodes:
        if any(value in above for value in node.all_input_nodes):
            above.add(node)
    if image not in above:
        return None
    return _program(graph, module, start, image, above - {start, result}, bool(overwriting & above))


def find_nodes(
    graph: fx.Graph, tracer: Tracer, layer: Layer, site: Site | None, trace: Trace, module: nn.Module
) -> tuple[Any, fx.Node | None]:
    """The nodes of a layer: its pre-activation, and its output; the same where it is no non-linearity."""
    if site is None:
        path, index = split_index(layer.path, dict(module.named_modules()))
        came_out = tracer.came_out.get(path, [])
        node = came_out[(index or 1) - 1] if (index or 1) <= len(came_out) else None
        return node, node
    if site.join is not None:
        node = _join(graph, site.join, trace.n_joins)
        return node, node
    enclosing = set(trace.curves)
    nodes = [node for node in graph.nodes if _is_curve(node, enclosing)]
    if len(nodes) != len(trace.curves):
        return None, None
    node = nodes[site.number - 1]
    if site.end is None:
        return node.args[0] if node.args else node.kwargs.get("input"), node
    for found in find_composites(_steps(graph, enclosing)):
        if node in found.curves and found.is_closed:
            return found.start, found.end if isinstance(found.end, fx.Node) else None
    return None, None


def _join(graph: fx.Graph, number: int, n_joins: int) -> fx.Node | None:
    """The node of a sum or a concatenation, by its number among all of them; None where there are others."""
    varying = varying_nodes(graph)
    joins = [
        node
        for node in graph.nodes
        if node.op in ("call_function", "call_method")
        and is_join(node.target)
        and sum(value in varying for value in node.all_input_nodes) > 1
    ]
    return joins[number - 1] if len(joins) == n_joins else None


def _is_curve(node: fx.Node, enclosing: set[str]) -> bool:
    if node.op == "call_module":
        return node.target in enclosing
    return node.op in ("call_function", "call_method") and curve_name(node.target) is not None


def _steps(graph: fx.Graph, enclosing: set[str]) -> list[Step]:
    """The nodes that depend on the latents, as the steps of a pass; shapes are not known, and may not fit."""
    steps: list[Step] = []
    varying = varying_nodes(graph)
    for node in graph.nodes:
        calls = node.op in ("call_function", "call_method")
        order = _order(node) if calls and is_move(node.target) else SAME
        moves = order is not None and (
            order != SAME or (calls and (is_reshape(node.target, node.args) or is_expansion(node.target)))
        )
        read = [value for value in node.args[:1] if isinstance(value, fx.Node)] if moves else node.all_input_nodes
        operands = tuple(value for value in read if value in varying)
        if operands and node.op != "output":
            is_curve = _is_curve(node, enclosing)
            named = moves or (node.op != "call_module" and is_elementwise(node.target, node.args))
            steps.append(
                Step(
                    value=node,
                    operands=operands,
                    is_elementwise=is_curve or named,
                    is_curve=is_curve,
                    order=order or SAME,
                )
            )
    return steps


def _order(node: fx.Node) -> Order | None:
    """The order of elements after a permutation; of sizes that are made up, for none are known. None: not told."""
    dims = node.args[1:]
    if len(dims) == 1 and isinstance(dims[0], tuple | list):
        dims = tuple(dims[0])
    if not all(isinstance(dim, int) for dim in dims) or node.kwargs:
        return None
    name = function_name(node.target)
    is_whole = name == "permute"
    like = torch.empty([_SIZE] * (len(dims) if is_whole else _DIMENSIONS), device="meta", dtype=torch.uint8)
    function = getattr(torch, name, None)
    try:
        return None if function is None else order_of(function, like, (like, *((dims,) if is_whole else dims)), {})
    except (RuntimeError, TypeError, IndexError):
        return None


def _is_inplace(node: fx.Node, module: nn.Module) -> bool:
    if node.op == "call_module":
        return bool(getattr(module.get_submodule(str(node.target)), "inplace", False))
    if node.op not in ("call_function", "call_method"):
        return False
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    positional = activation_name(node.target) is not None and any(value is True for value in node.args)
    return (name.endswith("_") and not name.endswith("__")) or bool(node.kwargs.get("inplace")) or positional


def keeps_values(graph: fx.Graph, nodes: Iterable[fx.Node]) -> bool:
    """Whether some nodes write what depends on the latents to a tensor that the network keeps.

    Such a tensor comes out again with other values, and with the gradients of an earlier pass.
    """
    varying = varying_nodes(graph)
    for node in nodes:
        if node.op not in ("call_function", "call_method"):
            continue
        written = [node.kwargs.get("out")]
        name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
        if node.args and name.endswith("_") and not name.endswith("__"):
            written.append(node.args[0])
        if any(isinstance(each, fx.Node) and each not in varying for each in written) and node in varying:
            return True
    return False


def varying_nodes(graph: fx.Graph) -> set[fx.Node]:
    """The nodes that depend on the latents."""
    varying: set[fx.Node] = set()
    for node in graph.nodes:
        if node.target in (rows_of, as_latents):  # of the latents they have the size alone
            continue
        if node.op == "placeholder" or any(value in varying for value in node.all_input_nodes):
            varying.add(node)
    return varying


def follow_overwrites(graph: fx.Graph, module: nn.Module) -> set[fx.Node]:
    """Let what reads a tensor after it was overwritten read the node that overwrote it; return such nodes."""
    overwriting = {node for node in graph.nodes if _is_inplace(node, module)}
    order = {node: position for position, node in enumerate(graph.nodes)}
    for node in graph.nodes:
        if node in overwriting and node.args and isinstance(node.args[0], fx.Node):
            now = order[node]
            node.args[0].replace_all_uses_with(node, delete_user_cb=lambda user, now=now: order[user] > now)
    return overwriting


def _program(
    graph: fx.Graph, module: nn.Module, start: fx.Node, image: fx.Node, above: set[fx.Node], overwrites: bool
) -> Program:
    below = [node for node in graph.nodes if node not in above and node is not start and node.op != "output"]
    entering = [node for node in below if node.op != "get_attr" and any(user in above for user in node.users)]
    tail = fx.Graph()
    copies = {start: tail.placeholder("a")}
    # Names of our own: a module of the network may be called a, too.
    copies |= {node: tail.placeholder(f"skip_{i}") for i, node in enumerate(entering)}
    for node in graph.nodes:
        constant = node.op == "get_attr" and any(user in above for user in node.users)
        if node in above or (constant and node is not start):
            copies[node] = tail.node_copy(node, copies.__getitem__)
    tail.output(copies[image])
    return Program(
        graph=fx.GraphModule(module, tail),
        skips=_skips(module, below, entering) if entering else None,
        overwrites=overwrites,
    )


def _skips(module: nn.Module, below: list[fx.Node], entering: list[fx.Node]) -> Callable[..., tuple[Any, ...]]:
    head = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    for node in below:
        copies[node] = head.node_copy(node, copies.__getitem__)
    values: tuple[Argument, ...] = tuple(copies[node] for node in entering)
    head.output(values)
    return fx.GraphModule(module, head).forward
