"""Lowers matmuls: a decode matmul for a few tokens, tiles or float32 panels for a batch.

A linear op becomes two launches: the activations are brought into the form that the matmul reads
(int8 records for a few tokens, packed tiles for a batch), once for all ops that read them.
"""

from __future__ import annotations

from typing import Any

from pyllama.graph import ops
from pyllama.graph.graph import Node
from pyllama.graph.lowering import Lowering, row_bytes
from pyllama.graph.plan import Argument, Buffer
from pyllama.kernels.matmul import gated_matmul, matmul
from pyllama.kernels.matvec import gated_matvec, matvec
from pyllama.kernels.panels import TILES
from pyllama.kernels.tile_panels import packed_bytes


def lower_linear(low: Lowering, op: ops.Linear, node: Node) -> None:
    """A launch of the matmul that fits the mode, after one that prepares its activations."""
    x, *residual = node.inputs
    n_rows, width = op.weight.shape
    arguments: dict[str, Argument] = {
        "weights": low.matrix(op.weight),
        "row_bytes": row_bytes(op.weight),
        "n_rows": n_rows,
        "width": width,
        "out": low.buffers[node.output],
        "stride": n_rows,
        "bias": low.vector(op.bias) if op.bias else 0,
        "residual": low.buffers[residual[0]] if residual else 0,
    }
    parts = ("bias" if op.bias else None, op.activation, "residual" if residual else None)
    epilogue = "+".join(part for part in parts if part) or "none"
    static = {"type": op.weight.type, "rows": x.rows.value, "epilogue": epilogue}
    if low.mode.uses_matvec(x.rows):
        arguments |= low.few_tokens(op.weight, x)
        chunks = -(-n_rows // low.decode_rows(op.weight))
        kernel = matvec(**static, columns=low.columns(x))
    else:
        way = low.panels(op.weight, x)
        task_rows = way.task_rows or low.tile_rows(n_rows)
        arguments |= low.batch(way, x, task_rows)
        chunks = -(-n_rows // task_rows)
        kernel = matmul(**static, panels=way.name)
    low.launch(kernel, arguments, chunks=chunks, label=node.output.name)


def lower_gated_linear(low: Lowering, op: ops.GatedLinear, node: Node) -> None:
    """The same for two matrices; on tiles the result is packed for the matmul that reads it."""
    (x,) = node.inputs
    n_rows, width = op.gate.shape
    arguments: dict[str, Argument] = {
        "gate": low.matrix(op.gate),
        "up": low.matrix(op.up),
        "row_bytes": row_bytes(op.gate),
        "n_rows": n_rows,
        "width": width,
        "out": low.buffers[node.output],
    }
    static: dict[str, Any] = {
        "type": op.gate.type,
        "rows": x.rows.value,
        "activation": op.activation,
    }
    label = node.output.name
    if low.mode.uses_matvec(x.rows):
        arguments |= low.few_tokens(op.gate, x)
        chunks = -(-n_rows // low.decode_rows(op.gate))
        kernel = gated_matvec(**static, columns=low.columns(x))
    else:
        way = low.panels(op.gate, x)
        packed = way is TILES and low.feeds_tiles(node.output)
        if packed:
            out = Buffer(f"{label}.tiles", packed_bytes(low.mode.padded(x.rows), n_rows))
            low.prepared[node.output, "tiles"] = arguments["out"] = out
        task_rows = way.task_rows or low.tile_rows(n_rows) // 2
        arguments |= low.batch(way, x, task_rows, matrices=2)
        chunks = -(-n_rows // task_rows)
        kernel = gated_matmul(**static, panels=way.name, packed=packed)
    low.launch(kernel, arguments, chunks=chunks, label=label)
