"""What happens to a graph between the family that builds it and the plan, in this order."""

from __future__ import annotations

from collections.abc import Callable

from pyllama.graph.graph import Graph, Node, verify
from pyllama.graph.ops import Add, Linear, Tensor


def fold_residuals(graph: Graph) -> Graph:
    """``linear(x) + y`` becomes one op, so that the sum is added where it is computed."""
    makers = {node.output: node for node in graph.nodes}
    folded: dict[Tensor, Node] = {}
    absorbed: set[Node] = set()
    for node in graph.nodes:
        if not isinstance(node.op, Add):
            continue
        for linear, other in (node.inputs, node.inputs[::-1]):
            maker = makers[linear]
            is_plain = isinstance(maker.op, Linear) and maker.op.bias is None
            if is_plain and len(maker.inputs) == 1 and graph.users(linear) == [node]:
                folded[node.output] = Node(maker.op, (*maker.inputs, other), node.output)
                absorbed.add(maker)
                break
    nodes = (folded.get(node.output, node) for node in graph.nodes if node not in absorbed)
    return Graph(tuple(nodes), graph.result)


def drop_unused(graph: Graph) -> Graph:
    """Nodes whose outputs nobody reads go away."""
    needed = {graph.result}
    kept: list[Node] = []
    for node in reversed(graph.nodes):
        if node.output in needed:
            kept.append(node)
            needed.update(node.inputs)
    return Graph(tuple(reversed(kept)), graph.result)


PASSES: tuple[Callable[[Graph], Graph], ...] = (drop_unused, fold_residuals)


def optimize(graph: Graph) -> Graph:
    """Every pass, with the graph verified before the first and after each."""
    verify(graph)
    for transform in PASSES:
        graph = verify(transform(graph))
    return graph
