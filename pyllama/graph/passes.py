"""What happens to a graph between the family that builds it and the plan, in this order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pyllama.graph.graph import Graph, Node, verify
from pyllama.graph.ops import Add, Each, Gate, GatedLinear, Linear, SumExperts, Tensor
from pyllama.graph.ops.elements import ACTIVATIONS


def fold_residuals(graph: Graph) -> Graph:
    """``linear(x) + y`` becomes one op, so that the sum is added where it is computed; so does
    that of experts."""
    makers = {node.output: node for node in graph.nodes}
    folded: dict[Tensor, Node] = {}
    absorbed: set[Node] = set()
    for node in graph.nodes:
        if not isinstance(node.op, Add) or node.op.scale != 1:
            continue
        for linear, other in (node.inputs, node.inputs[::-1]):
            maker = makers[linear]
            if _takes_residual(maker) and graph.users(linear) == [node]:
                folded[node.output] = Node(maker.op, (*maker.inputs, other), node.output)
                absorbed.add(maker)
                break
    nodes = (folded.get(node.output, node) for node in graph.nodes if node not in absorbed)
    return Graph(tuple(nodes), graph.result)


def _takes_residual(maker: Node) -> bool:
    """Whether the op adds a further input to its result."""
    if isinstance(maker.op, SumExperts):
        return len(maker.inputs) == 2
    return isinstance(maker.op, Linear) and len(maker.inputs) == 1


def fuse_gates(graph: Graph) -> Graph:
    """``gate(linear(x), linear(x))`` becomes one op: what both make is used while it is hot."""
    makers = {node.output: node for node in graph.nodes}
    fused: dict[Tensor, Node] = {}
    absorbed: set[Node] = set()
    for node in graph.nodes:
        if not isinstance(node.op, Gate):
            continue
        gate, up = (makers[tensor] for tensor in node.inputs)
        if gate is up or any(graph.users(maker.output) != [node] for maker in (gate, up)):
            continue
        if _can_fuse(gate, up):
            first, second = (side.op.weights[0] for side in (gate, up))
            op = GatedLinear(first, second, node.op.activation)
            fused[node.output] = Node(op, gate.inputs, node.output)
            absorbed |= {gate, up}
    nodes = (fused.get(node.output, node) for node in graph.nodes if node not in absorbed)
    return Graph(tuple(nodes), graph.result)


def fuse_activations(graph: Graph) -> Graph:
    """``activation(linear(x))`` becomes one op."""
    makers = {node.output: node for node in graph.nodes}
    fused: dict[Tensor, Node] = {}
    absorbed: set[Node] = set()
    for node in graph.nodes:
        if not isinstance(node.op, Each) or node.op.function not in ACTIVATIONS:
            continue
        maker = makers[node.inputs[0]]
        if isinstance(maker.op, Linear) and graph.users(maker.output) == [node]:
            op = replace(maker.op, activation=node.op.function)
            fused[node.output] = Node(op, maker.inputs, node.output)
            absorbed.add(maker)
    nodes = (fused.get(node.output, node) for node in graph.nodes if node not in absorbed)
    return Graph(tuple(nodes), graph.result)


def _can_fuse(gate: Node, up: Node) -> bool:
    """Whether both are matmuls of the same input alone, with weights of one type."""
    same = gate.inputs == up.inputs and len(gate.inputs) == 1
    plain = all(isinstance(n.op, Linear) and n.op.bias is None for n in (gate, up))
    return same and plain and gate.op.weights[0].type == up.op.weights[0].type


def drop_unused(graph: Graph) -> Graph:
    """Nodes whose outputs nobody reads go away."""
    needed = {graph.result}
    kept: list[Node] = []
    for node in reversed(graph.nodes):
        if node.output in needed:
            kept.append(node)
            needed.update(node.inputs)
    return Graph(tuple(reversed(kept)), graph.result)


PASSES: tuple[Callable[[Graph], Graph], ...] = (
    drop_unused,
    fuse_gates,
    fuse_activations,
    fold_residuals,
)


def optimize(graph: Graph) -> Graph:
    """Every pass, with the graph verified before the first and after each."""
    verify(graph)
    for transform in PASSES:
        graph = verify(transform(graph))
    return graph
