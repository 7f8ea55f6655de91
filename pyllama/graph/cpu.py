"""Lowers a graph to the CPU's kernels: one small function for each op."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyllama.graph import ops
from pyllama.graph.graph import Graph, Node
from pyllama.graph.lower_attention import lower_attention, lower_rope, tile_tokens
from pyllama.graph.lower_linear import lower_gated_linear, lower_linear
from pyllama.graph.lower_rows import (
    lower_add,
    lower_embedding,
    lower_rms_norm,
    lower_select_rows,
    lower_swiglu,
)
from pyllama.graph.lowering import Lowering
from pyllama.graph.mode import CacheLayout, Mode
from pyllama.graph.plan import Plan, make_plan
from pyllama.kernels.isa.base import ISA


def plan_for_cpu(graph: Graph, mode: Mode, cache: CacheLayout, isa: ISA, threads: int) -> Plan:
    """The launches that compute a graph for steps of a mode, planned for a number of threads."""
    n_tile_tokens = tile_tokens(graph, mode, cache, isa)
    lowering = Lowering(graph, mode, cache, isa, threads, n_tile_tokens)
    for node in graph.nodes:
        lowering.make_buffer(node)
        _LOWER[type(node.op)](lowering, node.op, node)
    result = lowering.buffers[graph.result]
    return make_plan(lowering.launches, result, lowering.scratch_bytes, n_tile_tokens)


_LOWER: dict[type[ops.Op], Callable[[Lowering, Any, Node], None]] = {
    ops.Embedding: lower_embedding,
    ops.RMSNorm: lower_rms_norm,
    ops.Linear: lower_linear,
    ops.GatedLinear: lower_gated_linear,
    ops.Rope: lower_rope,
    ops.Attention: lower_attention,
    ops.SwiGLU: lower_swiglu,
    ops.Add: lower_add,
    ops.SelectRows: lower_select_rows,
}
