"""A graph: nodes in an order in which they can be computed, and what it needs around it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pyllama.graph.ops import Op, Tensor, Weight


@dataclass(frozen=True, eq=False)
class Node:
    """One operation on activations."""

    op: Op
    inputs: tuple[Tensor, ...]
    output: Tensor


@dataclass(frozen=True)
class Graph:
    """The nodes of a model in order; ``result`` holds the logits."""

    nodes: tuple[Node, ...]
    result: Tensor

    def weights(self) -> Iterator[Weight]:
        """Every weight that a node reads."""
        for node in self.nodes:
            yield from node.op.weights

    def users(self, tensor: Tensor) -> list[Node]:
        """The nodes that read an activation."""
        return [node for node in self.nodes if tensor in node.inputs]


def make_node(op: Op, inputs: Sequence[Tensor], name: str) -> Node:
    """A node whose output has the shape that the op says; ValueError when inputs do not fit."""
    rows, width = op.output(inputs)
    return Node(op, tuple(inputs), Tensor(name, rows, width))


def verify(graph: Graph) -> Graph:
    """The same graph, after checking that it can be computed; ValueError says what is wrong."""
    known: set[Tensor] = set()
    for node in graph.nodes:
        for tensor in node.inputs:
            if tensor not in known:
                raise ValueError(f"{node.output.name} reads {tensor.name} before it is computed")
        rows, width = node.op.output(node.inputs)
        if (rows, width) != (node.output.rows, node.output.width):
            raise ValueError(f"{node.output.name} has not the shape that its op gives it")
        if node.output in known:
            raise ValueError(f"{node.output.name} is computed twice")
        known.add(node.output)
    if graph.result not in known:
        raise ValueError("the result is not computed")
    return graph
