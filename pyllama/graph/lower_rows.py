"""Lowers the ops that work on each row alone."""

from __future__ import annotations

from pyllama.graph import ops
from pyllama.graph.graph import Node
from pyllama.graph.lowering import Lowering, row_bytes
from pyllama.graph.plan import External
from pyllama.kernels import elementwise


def lower_embedding(low: Lowering, op: ops.Embedding, node: Node) -> None:
    """The tokens' rows of the table, dequantized."""
    low.by_row(
        node,
        elementwise.embedding(type=op.weight.type),
        weights=External("weight", op.weight.name),
        row_bytes=row_bytes(op.weight),
        width=op.weight.shape[1],
    )


def lower_rms_norm(low: Lowering, op: ops.RMSNorm, node: Node) -> None:
    """A norm of every row, or of equal parts of it."""
    low.by_row(
        node,
        elementwise.rms_norm(),
        x=low.buffers[node.inputs[0]],
        weight=External("vector", op.weight.name),
        width=op.weight.shape[0],
        groups=op.groups,
        eps=op.eps,
    )


def lower_swiglu(low: Lowering, op: ops.SwiGLU, node: Node) -> None:
    """The gate of every row."""
    gate, up = (low.buffers[t] for t in node.inputs)
    low.by_row(node, elementwise.swiglu(), gate=gate, up=up, width=node.output.width)


def lower_add(low: Lowering, op: ops.Add, node: Node) -> None:
    """The sum of every two rows."""
    x, y = (low.buffers[t] for t in node.inputs)
    low.by_row(node, elementwise.add(), x=x, y=y, width=node.output.width)


def lower_select_rows(low: Lowering, op: ops.SelectRows, node: Node) -> None:
    """Copies of the rows that are wanted."""
    x = low.buffers[node.inputs[0]]
    low.by_row(node, elementwise.select_rows(), x=x, width=node.output.width)
