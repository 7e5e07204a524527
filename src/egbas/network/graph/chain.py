# SPDX-License-Identifier: MIT
"""The layers of a network that every way from the latent to the image leads through, as its graph shows them."""

from collections.abc import Iterable

from torch import fx, nn

from egbas.network.conditions import Conditions
from egbas.network.functions import function_name
from egbas.network.graph.program import find_nodes, follow_overwrites, keeps_values, varying_nodes
from egbas.network.graph.tracing import Tracer
from egbas.network.images import Steps, follow_node
from egbas.network.layers import Layer
from egbas.network.trace import Call, Trace


def chain_of(
    module: nn.Module,
    layers: Iterable[tuple[Layer, Call]],
    trace: Trace,
    steps: Steps = (),
    conditions: Conditions | None = None,
) -> set[str]:
    """Paths of the layers past which nothing flows; none where torch.fx cannot follow the network.

    Args:
        module: nobody else's, for tracing runs its forward.
        layers: that are asked about, with their calls.
        trace: of a pass.
        steps: that lead to the image in what the module returns.
        conditions: what forward is given beside the latents.
    """
    tracer = Tracer(conditions)
    try:
        graph = tracer.trace(module)
    except Exception:  # fx raises whatever the forward makes of its stand-ins for tensors
        return set()
    nodes = list(graph.nodes)
    if any(function_name(node.target) == "setitem" for node in nodes) or keeps_values(graph, nodes):
        return set()  # what is written into a part of a tensor goes ways that the graph does not show
    follow_overwrites(graph, module)
    image = follow_node(next(node for node in graph.nodes if node.op == "output").args[0], steps)
    varying = varying_nodes(graph)
    if image is None or image not in varying:
        return set()
    found: set[str] = set()
    for layer, call in layers:
        node = find_nodes(graph, tracer, layer, call.site, trace, module)[1]
        if node is not None and node in varying and not _flows_past(node, image, varying):
            found.add(layer.path)
    return found


def _flows_past(node: fx.Node, image: fx.Node, varying: set[fx.Node]) -> bool:
    """Whether there is a way from the latent to the image that does not lead through a node."""
    waiting, seen = [image], {image}
    if image is node:
        return False
    while waiting:
        reached = waiting.pop()
        if reached.op == "placeholder":
            return True
        before = [one for one in reached.all_input_nodes if one in varying and one is not node and one not in seen]
        seen.update(before)
        waiting += before
    return False
