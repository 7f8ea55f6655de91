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
from pyllama.kernels import activation, int8_matmul, matmul, matvec, tiles
from pyllama.kernels.types import f32


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
        kernel = matvec.matvec(**static, columns=low.columns(x))
    elif low.by_tiles(op.weight, x):
        task_rows = low.tile_rows(n_rows)
        arguments |= {"x": low.activations(x, "tiles"), "task_rows": task_rows}
        low.needs_scratch(tiles.scratch_bytes(task_rows, low.mode.padded(x.rows)))
        chunks = -(-n_rows // task_rows)
        kernel = tiles.tile_matmul(**static)
    elif int8_matmul.fits(low.isa, op.weight.type):
        words = activation.record_bytes(width) // f32.bytes
        arguments |= {"x": low.activations(x, "packed int8"), "words": words}
        low.needs_scratch(int8_matmul.scratch_bytes(low.mode.padded(x.rows)))
        chunks = -(-n_rows // int8_matmul.PANEL_ROWS)
        kernel = int8_matmul.int8_matmul(**static)
    else:
        arguments["x"] = low.activations(x, "packed")
        low.needs_scratch(matmul.scratch_bytes(low.mode.padded(x.rows)))
        chunks = -(-n_rows // matmul.PANEL_ROWS)
        kernel = matmul.matmul(**static)
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
        kernel = matvec.gated_matvec(**static, columns=low.columns(x))
    elif low.by_tiles(op.gate, x) and low.feeds_tiles(node.output):
        task_rows = low.tile_rows(n_rows) // 2
        out = Buffer(f"{label}.tiles", tiles.packed_bytes(low.mode.padded(x.rows), n_rows))
        low.prepared[node.output, "tiles"] = out
        arguments |= {"x": low.activations(x, "tiles"), "task_rows": task_rows, "out": out}
        low.needs_scratch(tiles.scratch_bytes(task_rows, low.mode.padded(x.rows), matrices=2))
        chunks = -(-n_rows // task_rows)
        kernel = tiles.gated_tile_matmul(**static)
    elif int8_matmul.fits(low.isa, op.gate.type):
        words = activation.record_bytes(width) // f32.bytes
        x8 = low.activations(x, "packed int8")
        arguments |= {"x": x8, "words": words, "stride": n_rows}
        low.needs_scratch(int8_matmul.scratch_bytes(low.mode.padded(x.rows), matrices=2))
        chunks = -(-n_rows // int8_matmul.PANEL_ROWS)
        kernel = int8_matmul.gated_int8_matmul(**static)
    else:
        arguments |= {"x": low.activations(x, "packed"), "stride": n_rows}
        low.needs_scratch(matmul.scratch_bytes(low.mode.padded(x.rows), matrices=2))
        chunks = -(-n_rows // matmul.PANEL_ROWS)
        kernel = matmul.gated_matmul(**static)
    low.launch(kernel, arguments, chunks=chunks, label=label)
