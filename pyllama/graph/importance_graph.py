"""From a model's graph to one that also sums up how much the columns of its weights matter."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pyllama.graph import ops
from pyllama.graph.graph import Graph, Node, make_node, verify
from pyllama.graph.ops import Tensor, Weight


def importance_graph(graph: Graph, wanted: Callable[[str], bool]) -> Graph:
    """The graph with a ``SquareSums`` before the first reader of each input of wanted weights."""
    graph = split_gates(graph)
    met: dict[tuple[Tensor, ...], list[Node]] = {}
    for node in graph.nodes:
        if any(wanted(name) for name in _names(node)):
            met.setdefault(_inputs(node), []).append(node)
    nodes: list[Node] = []
    for node in graph.nodes:
        readers = met.get(_inputs(node), [])
        if readers and node is readers[0]:
            nodes.append(_square_sums(readers, wanted))
        nodes.append(node)
    return verify(Graph(tuple(nodes), graph.result))


def split_gates(graph: Graph) -> Graph:
    """Two matmuls and a gate in place of the op that is all of them.

    On tiles that op leaves its result to the next matmul alone, in bfloat16.
    """
    nodes: list[Node] = []
    for node in graph.nodes:
        if not isinstance(node.op, ops.GatedLinear):
            nodes.append(node)
            continue
        name = node.output.name
        sides = [
            make_node(ops.Linear(weight), node.inputs, f"{name}.{side}")
            for side, weight in (("gate", node.op.gate), ("up", node.op.up))
        ]
        outputs = tuple(side.output for side in sides)
        nodes += [*sides, Node(ops.Gate(node.op.activation), outputs, node.output)]
    return Graph(tuple(nodes), graph.result)


def _square_sums(readers: list[Node], wanted: Callable[[str], bool]) -> Node:
    """For what some nodes read."""
    names = dict.fromkeys(name for node in readers for name in _names(node) if wanted(name))
    inputs, (weight, *_) = _inputs(readers[0]), _matrices(readers[0])
    is_mixture = len(inputs) > 1
    width = weight.shape[-1] if is_mixture else inputs[0].width
    op = ops.SquareSums(tuple(names), width, weight.shape[0] if is_mixture else 1)
    return make_node(op, inputs, f"{op.name}.squares")


def _names(node: Node) -> list[str]:
    return [weight.name for weight in _matrices(node)]


def _matrices(node: Node) -> list[Weight]:
    """What activations are multiplied with."""
    fields, _ = _PRODUCTS.get(type(node.op), ((), 0))
    return [getattr(node.op, field) for field in fields]


def _inputs(node: Node) -> tuple[Tensor, ...]:
    """The activations that its matrices meet, and for experts their route."""
    _, count = _PRODUCTS.get(type(node.op), ((), 0))
    return node.inputs[:count]


_PRODUCTS: Mapping[type[ops.Op], tuple[tuple[str, ...], int]] = {
    ops.Linear: (("weight",), 1),
    ops.TokenScores: (("weight",), 1),
    ops.HeadLinear: (("weight",), 1),
    ops.GatedExperts: (("gate", "up"), 2),
    ops.SumExperts: (("down",), 2),
}
"""Of ops that multiply: their matrices, and how many of their inputs say what these meet."""
