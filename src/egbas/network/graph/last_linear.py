# SPDX-License-Identifier: MIT
"""The head f_{l:1} taken apart: a stem, the last linear map below the layer, and what is done to single units.

Most layers are h = post(linear(stem(z))), where post is elementwise (batch norm, bias, reshape). Then a unit of the
layer is a product of a few values of the stem with a row of weights, and nobody has to compute the others.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, fx, nn

from egbas.network.conditions import Conditions
from egbas.network.graph.program import find_nodes, keeps_values
from egbas.network.graph.tracing import Tracer
from egbas.network.layers import Layer
from egbas.network.replica import channels_last
from egbas.network.trace import Site, Trace

Linear = nn.Linear | nn.Conv2d | nn.ConvTranspose2d
_LONGEST = 12  # nodes between the linear map and the layer


@dataclass(frozen=True, kw_only=True, eq=False)
class LastLinear:
    """A head, taken apart at its last linear map.

    Attributes:
        stem: maps latents (n, *latent_shape) to the input of ``linear``, (n, m) or (n, c, h, w).
        linear: one of torch's own linear modules.
        post: maps the output of ``linear`` to the layer's pre-activation.
    """

    stem: fx.GraphModule
    linear: Linear
    post: Callable[[Tensor], Tensor]


def write_last_linear(
    module: nn.Module, layer: Layer, site: Site | None, trace: Trace, conditions: Conditions | None = None
) -> LastLinear | None:
    """Take the head of a layer apart; None where it has no such map, or torch.fx cannot follow it.

    Args:
        module: nobody else's, for it is traced, and its weights move in memory; they need no gradient.
        layer: where the head ends.
        site: where the layer is, if it is a non-linearity.
        trace: of a pass.
        conditions: what forward is given beside the latents.
    """
    module = channels_last(module)  # a window of x is contiguous, too
    tracer = Tracer(conditions)
    try:
        graph = tracer.trace(module)
    except Exception:  # fx raises whatever the forward makes of its stand-ins for tensors
        return None
    node, _ = find_nodes(graph, tracer, layer, site, trace, module)
    nodes = list(graph.nodes)
    if not isinstance(node, fx.Node) or keeps_values(graph, nodes[: nodes.index(node) + 1]):
        return None
    chain: list[fx.Node] = []  # from the layer down to the linear map
    while isinstance(node, fx.Node) and len(chain) < _LONGEST:
        chain.append(node)
        if (linear := _linear(node, module)) is not None:
            above, below = chain[-2::-1], node.args[0]
            if len(node.args) != 1 or node.kwargs or not isinstance(below, fx.Node):
                return None
            return LastLinear(
                stem=_graph(module, nodes, None, below),
                linear=linear,
                post=_graph(module, above, node, chain[0]),
            )
        inputs = [value for value in node.all_input_nodes if value.op != "get_attr"]
        node = inputs[0] if len(inputs) == 1 else None
    return None


def _linear(node: fx.Node, module: nn.Module) -> Linear | None:
    """The module that a node calls, if it is one of torch's linear maps in its usual form."""
    if node.op != "call_module":
        return None
    called = module.get_submodule(str(node.target))
    if type(called) is nn.Linear:
        return called
    if type(called) is nn.Conv2d or type(called) is nn.ConvTranspose2d:
        is_usual = called.groups == 1 and called.dilation == (1, 1) and called.padding_mode == "zeros"
        return called if is_usual and not isinstance(called.padding, str) else None
    return None


def _graph(module: nn.Module, nodes: list[fx.Node], start: fx.Node | None, end: fx.Node) -> fx.GraphModule:
    """The function that the nodes compute, from what comes out of ``start``, or from the latents, to ``end``."""
    graph = fx.Graph()
    copies = {} if start is None else {start: graph.placeholder("x")}
    for node in nodes:
        for value in node.all_input_nodes:
            if value.op == "get_attr" and value not in copies:
                copies[value] = graph.node_copy(value, copies.__getitem__)
        if node.op != "output" and node not in copies:
            copies[node] = graph.node_copy(node, copies.__getitem__)
        if node is end:
            break
    graph.output(copies[end])
    return fx.GraphModule(module, graph)
