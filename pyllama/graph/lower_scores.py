"""Lowers scores of tokens: a matmul whose tasks keep partial sums, and what combines these."""

from __future__ import annotations

from pyllama.graph import ops
from pyllama.graph.graph import Node
from pyllama.graph.lowering import Lowering, row_bytes
from pyllama.graph.plan import Argument, Buffer, External
from pyllama.kernels.scores import TASK_ROWS, combine_scores, partial_scores
from pyllama.kernels.types import f32

TARGETS = External("targets", "")
"""(outputs,) i32: the token of each output whose score is wanted."""


def lower_token_scores(low: Lowering, op: ops.TokenScores, node: Node) -> None:
    """For batches alone: the mode has more outputs than a decode matmul takes."""
    (x,) = node.inputs
    if low.mode.uses_matvec(x.rows):
        raise ValueError("scores are computed for batches")
    n_rows, width = op.weight.shape
    way, outputs, label = low.panels(op.weight, x), low.mode.padded(x.rows), node.output.name
    task_rows = way.task_rows or TASK_ROWS
    tasks = -(-n_rows // task_rows)
    combining: dict[str, Argument] = {
        "partials": Buffer(f"{label}.partials", tasks * 2 * outputs * f32.bytes),
        "stride": outputs,
        "scores": low.buffers[node.output],
    }
    arguments: dict[str, Argument] = {
        "weights": low.matrix(op.weight),
        "row_bytes": row_bytes(op.weight),
        "n_rows": n_rows,
        "width": width,
        "bias": 0 if op.bias is None else low.vector(op.bias),
        "targets": TARGETS,
        **low.batch(way, x, task_rows),
        **combining,
    }
    kernel = partial_scores(
        type=op.weight.type, panels=way.name, biased=op.bias is not None, changes=op.changes
    )
    low.launch(kernel, arguments, writes=("partials", "scores"), chunks=tasks, label=label)
    low.launch(
        combine_scores(),
        {**combining, "tasks": tasks},
        writes=("scores",),
        count=x.rows.value,
        group=low.isa.vector_bytes // f32.bytes,
        label=f"{label}.combine",
    )
