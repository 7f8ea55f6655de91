"""Adds low-rank adapters (Hu et al. 2021, LoRA) to a graph; the matrices stay as they are.

    y = W x      becomes      y = W x + scale * B (A x)

It happens before the passes, so that these fuse what still can be fused.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from pyllama.gguf.types import TensorType
from pyllama.graph import ops
from pyllama.graph.graph import Graph, Node, make_node
from pyllama.graph.ops import Op, Tensor, Weight


@dataclass(frozen=True)
class LowRank:
    """What is added to a matrix (n_out, n_in): ``scale * b @ a``; a (rank, n_in), b (n_out, rank).

    To an embedding (n_rows, width): ``scale * a @ b.T``; a (n_rows, rank), b (width, rank).
    ``label`` tells adapters apart.
    """

    label: str
    a: Weight
    b: Weight
    scale: float


@dataclass(frozen=True)
class Adaptable:
    """A matrix that can be adapted: shape and type, and whether it is the embedding of tokens."""

    shape: tuple[int, int]
    type: TensorType
    is_embedding: bool

    def pair(self, rank: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """The shapes of a and b."""
        first, second = self.shape
        if self.is_embedding:
            return (first, rank), (second, rank)
        return (rank, second), (first, rank)


def adaptable(graph: Graph) -> dict[str, Adaptable]:
    """The matrices of a graph that can be adapted, by name.

    An embedding that also serves as output matrix is adapted as an embedding alone.
    """
    embeddings = _embeddings(graph)
    found: dict[str, Adaptable] = {}
    for node in graph.nodes:
        name = _matrix(node.op, embeddings)
        if name is not None:
            weight = node.op.weights[0]
            rows = weight.first_row + weight.shape[0]
            if name in found:  # several ops have parts of it
                rows = max(rows, found[name].shape[0])
            found[name] = Adaptable((rows, weight.shape[1]), weight.type, name in embeddings)
    return found


def adapt(graph: Graph, changes: Mapping[str, Sequence[LowRank]]) -> Graph:
    """The graph with what is to be added to matrices, by their names; all must be adaptable."""
    embeddings = _embeddings(graph)
    nodes: list[Node] = []
    for node in graph.nodes:
        name = _matrix(node.op, embeddings)
        added = () if name is None else changes.get(name, ())
        nodes += _sum(node, added) if added else (node,)
    return Graph(tuple(_side_by_side(nodes) if changes else nodes), graph.result)


def _side_by_side(nodes: Sequence[Node]) -> list[Node]:
    """The nodes by the length of what leads to them: what can be computed together stands together.

    Adapters are many small products; each that waited for another would cost more than it computes.
    """
    depths: dict[Tensor, int] = {}
    for node in nodes:
        depths[node.output] = 1 + max((depths[tensor] for tensor in node.inputs), default=0)
    return sorted(nodes, key=lambda node: depths[node.output])


def _embeddings(graph: Graph) -> set[str]:
    every = (node.op for node in graph.nodes)
    return {op.weight.name for op in every if isinstance(op, ops.Embedding) and op.of == "tokens"}


def _matrix(op: Op, embeddings: Collection[str]) -> str | None:
    """The name of the matrix that an op multiplies with or looks up, if it can be adapted."""
    match op:
        case ops.Embedding(weight=weight, of="tokens"):
            return weight.name
        case ops.Linear(weight=weight) if weight.name not in embeddings:
            return weight.name
    return None


def _sum(node: Node, added: Sequence[LowRank]) -> list[Node]:
    """The node, what is added to it, and sums, the last of which takes the node's place."""
    name = node.output.name
    nodes = [make_node(node.op, node.inputs, f"{name}.base")]
    for change in added:
        label, total = f"{name}.{change.label}", nodes[-1].output
        nodes += _low(node, change, label)
        nodes.append(make_node(_high(node.op, change), (nodes[-1].output,), f"{label}.b"))
        nodes.append(make_node(ops.Add(), (nodes[-1].output, total), label))
    return [*nodes[:-1], replace(nodes[-1], output=node.output)]


def _low(node: Node, change: LowRank, label: str) -> list[Node]:
    """``scale * A x``: scaled here, where there are fewest elements."""
    if isinstance(node.op, ops.Embedding):
        op = ops.Embedding(change.a, node.op.scale * change.scale)
        return [make_node(op, (), f"{label}.a")]
    low = make_node(ops.Linear(change.a), node.inputs, f"{label}.a")
    if change.scale == 1:
        return [low]
    return [low, make_node(ops.Each("scale", change.scale), (low.output,), f"{label}.scaled")]


def _high(op: Op, change: LowRank) -> ops.Linear:
    """``B``, or those rows of it that belong to the rows of the op's matrix."""
    matrix = op.weights[0]
    is_part = isinstance(op, ops.Linear)
    return ops.Linear(change.b.part(matrix.first_row, matrix.shape[0]) if is_part else change.b)
