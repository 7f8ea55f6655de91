"""Lowers the ops that work on each row alone."""

from __future__ import annotations

from pyllama.graph import ops
from pyllama.graph.graph import Node
from pyllama.graph.lowering import Lowering, row_bytes
from pyllama.graph.plan import Argument
from pyllama.kernels import elementwise


def lower_embedding(low: Lowering, op: ops.Embedding, node: Node) -> None:
    """The tokens' rows of the table, dequantized."""
    low.by_row(
        node,
        elementwise.embedding(type=op.weight.type, of=op.of),
        weights=low.matrix(op.weight),
        row_bytes=row_bytes(op.weight),
        width=op.weight.shape[1],
        scale=op.scale,
    )


def lower_rms_norm(low: Lowering, op: ops.RMSNorm, node: Node) -> None:
    """A norm of every row, or of equal parts of it."""
    low.by_row(
        node,
        elementwise.rms_norm(),
        x=low.buffers[node.inputs[0]],
        **_norm(low, op),
    )


def lower_layer_norm(low: Lowering, op: ops.LayerNorm, node: Node) -> None:
    """The same, with a mean and perhaps a bias."""
    low.by_row(
        node,
        elementwise.layer_norm(biased=op.bias is not None),
        x=low.buffers[node.inputs[0]],
        bias=low.vector(op.bias) if op.bias else 0,
        **_norm(low, op),
    )


def _norm(low: Lowering, op: ops.RMSNorm | ops.LayerNorm) -> dict[str, Argument]:
    width = op.weight.shape[-1]
    return {
        "weight": low.vector(op.weight),
        "width": width,
        "stride": width if len(op.weight.shape) > 1 else 0,
        "groups": op.groups,
        "eps": op.eps,
    }


def lower_gate(low: Lowering, op: ops.Gate, node: Node) -> None:
    """The gate of every row."""
    gate, up = (low.buffers[t] for t in node.inputs)
    kernel = elementwise.gate(activation=op.activation)
    low.by_row(node, kernel, gate=gate, up=up, width=node.output.width)


def lower_each(low: Lowering, op: ops.Each, node: Node) -> None:
    """The function of every element."""
    x = low.buffers[node.inputs[0]]
    kernel = elementwise.each(function=op.function)
    low.by_row(node, kernel, x=x, width=node.output.width, parameter=op.parameter)


def lower_row_gate(low: Lowering, op: ops.RowGate, node: Node) -> None:
    """Every row times a number of its own."""
    x, gate = (low.buffers[t] for t in node.inputs)
    low.by_row(node, elementwise.row_gate(), x=x, gate=gate, width=node.output.width)


def lower_add(low: Lowering, op: ops.Add, node: Node) -> None:
    """The sum of every two rows."""
    x, y = (low.buffers[t] for t in node.inputs)
    low.by_row(node, elementwise.add(), x=x, y=y, width=node.output.width, scale=op.scale)


def lower_select_rows(low: Lowering, op: ops.SelectRows, node: Node) -> None:
    """Copies of the rows that are wanted."""
    x = low.buffers[node.inputs[0]]
    low.by_row(node, elementwise.select_rows(), x=x, width=node.output.width)
