"""From a graph that ends in logits to one that ends in the scores of given tokens."""

from __future__ import annotations

from pyllama.graph import ops
from pyllama.graph.graph import Graph, make_node, verify


def score_graph(graph: Graph) -> Graph | None:
    """The graph with its last matmul and the log-softmax in one op: no logits are kept.

    None where the logits are not the result of a matmul and of functions of each of them.
    """
    nodes, changes = list(graph.nodes), []
    while isinstance(op := nodes[-1].op, ops.Each):
        changes.append((op.function, op.parameter))
        nodes.pop()
    *body, last = nodes
    if not isinstance(last.op, ops.Linear) or len(last.inputs) != 1:
        return None
    scores = ops.TokenScores(last.op.weight, last.op.bias, tuple(reversed(changes)))
    node = make_node(scores, last.inputs, "scores")
    return verify(Graph((*body, node), node.output))
