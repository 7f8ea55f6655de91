"""Lowers sums of squares: a launch that adds to memory outside the step."""

from __future__ import annotations

from pyllama.graph import ops
from pyllama.graph.graph import Node
from pyllama.graph.lower_experts import pairs_by_expert
from pyllama.graph.lowering import Lowering
from pyllama.graph.plan import Argument, External
from pyllama.kernels import square_sums

SUMS, COUNTS = "square sums", "square counts"
"""Kinds of external memory: (experts, width) f64 and (experts,) f64, by the op's name."""


def lower_square_sums(low: Lowering, op: ops.SquareSums, node: Node) -> None:
    """One launch; of a route, after one that sorts rows by expert."""
    x, *route = node.inputs
    tasks = square_sums.tasks(op.width)
    arguments: dict[str, Argument] = {
        "x": low.buffers[x],
        "width": op.width,
        "sums": External(SUMS, op.name),
        "counts": External(COUNTS, op.name),
    }
    kernel = square_sums.square_sums(rows=x.rows.value)
    if route:
        groups = pairs_by_expert(low, route[0], op.experts, block=1)
        arguments |= {"groups": groups, "tasks": tasks}
        share = route[0].width // 2 * op.width // x.width
        kernel = square_sums.expert_square_sums(experts=op.experts, share=share)
    writes, label = ("sums", "counts"), node.output.name
    low.launch(kernel, arguments, writes=writes, chunks=op.experts * tasks, label=label)
