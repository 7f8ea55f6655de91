"""Lowers ops on the heads of a row."""

from __future__ import annotations

from pyllama.graph import ops
from pyllama.graph.graph import Node
from pyllama.graph.lowering import Lowering, row_bytes
from pyllama.graph.ops import Tensor, Weight
from pyllama.graph.plan import Argument, Buffer
from pyllama.kernels import heads
from pyllama.kernels.panels import Panels
from pyllama.kernels.types import u32


def lower_head_part(low: Lowering, op: ops.HeadPart, node: Node) -> None:
    """A copy of a part of every head."""
    (x,) = node.inputs
    low.by_row(
        node,
        heads.head_part(),
        x=low.buffers[x],
        heads=op.heads,
        stride=x.width // op.heads,
        first=op.first,
        width=op.width,
    )


def lower_head_join(low: Lowering, op: ops.HeadJoin, node: Node) -> None:
    """Copies of two inputs, head by head."""
    x, y = node.inputs
    low.by_row(
        node,
        heads.head_join(),
        x=low.buffers[x],
        y=low.buffers[y],
        heads=op.heads,
        width=x.width // op.heads,
        y_width=y.width // op.heads,
    )


def lower_head_linear(low: Lowering, op: ops.HeadLinear, node: Node) -> None:
    """A small matmul for every head, all of them in one launch."""
    (x,) = node.inputs
    n_heads, n_rows, width = op.weight.shape
    arguments: dict[str, Argument] = {
        "weights": low.matrix(op.weight),
        "row_bytes": row_bytes(op.weight),
        "heads": n_heads,
        "n_rows": n_rows,
        "width": width,
        "out": low.buffers[node.output],
    }
    static = {"type": op.weight.type, "rows": x.rows.value}
    if low.mode.uses_matvec(x.rows):
        task_rows = min(n_rows, low.task_rows(n_heads * n_rows, row_bytes(op.weight)))
        arguments |= low.few_parts(op.weight, x, n_heads)
        kernel = heads.head_matvec(**static, columns=low.columns(x))
    else:
        way = low.panels(op.weight, x)
        task_rows = way.task_rows or low.tile_rows(n_rows)
        low.needs_scratch(way.scratch_bytes(task_rows, low.mode.padded(x.rows)))
        arguments |= _packed(low, way, op.weight, x)
        kernel = heads.head_matmul(**static, panels=way.name)
    arguments["task_rows"] = task_rows
    chunks = n_heads * -(-n_rows // task_rows)
    low.launch(kernel, arguments, chunks=chunks, label=node.output.name)


def _packed(low: Lowering, way: Panels, weight: Weight, x: Tensor) -> dict[str, Argument]:
    """Activations packed head by head."""
    n_heads, _, width = weight.shape
    words, block = way.words(width), way.block(low.isa)
    blocks = -(-low.mode.rows(x.rows) // block)
    out = Buffer(f"{x.name}.by_head", n_heads * blocks * block * words * u32.bytes)
    is_int8 = way.form == "int8"
    arguments: dict[str, Argument] = {
        "x": low.records(x, n_heads) if is_int8 else low.buffers[x],
        "heads": n_heads,
        "stride": words if is_int8 else width,
        "width": width,
        "out": out,
        "words": words,
        "blocks": blocks,
    }
    kernel = heads.pack_heads(panels=way.name)
    low.launch(kernel, arguments, count=x.rows.value, group=block, label=out.name)
    return {"x": out, "words": words, "blocks": blocks}
