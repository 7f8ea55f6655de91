"""Lowers a graph to the CPU's kernels: one small function for each op."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyllama.graph import ops
from pyllama.graph.graph import Graph, Node
from pyllama.graph.lower_attention import lower_attention, lower_rope, tile_tokens
from pyllama.graph.lower_experts import lower_gated_experts, lower_route, lower_sum_experts
from pyllama.graph.lower_heads import lower_head_join, lower_head_linear, lower_head_part
from pyllama.graph.lower_linear import lower_gated_linear, lower_linear
from pyllama.graph.lower_rows import (
    lower_add,
    lower_each,
    lower_embedding,
    lower_gate,
    lower_layer_norm,
    lower_rms_norm,
    lower_row_gate,
    lower_select_rows,
)
from pyllama.graph.lower_scores import lower_token_scores
from pyllama.graph.lower_short_conv import lower_short_conv
from pyllama.graph.lower_square_sums import lower_square_sums
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
    rows = {"one": 1, "n_tokens": mode.tokens, "n_outputs": mode.outputs, "n_tiles": mode.tokens}
    return make_plan(lowering.launches, result, lowering.scratch_bytes, n_tile_tokens, rows)


_LOWER: dict[type[ops.Op], Callable[[Lowering, Any, Node], None]] = {
    ops.Embedding: lower_embedding,
    ops.RMSNorm: lower_rms_norm,
    ops.LayerNorm: lower_layer_norm,
    ops.Linear: lower_linear,
    ops.GatedLinear: lower_gated_linear,
    ops.Route: lower_route,
    ops.GatedExperts: lower_gated_experts,
    ops.SumExperts: lower_sum_experts,
    ops.HeadPart: lower_head_part,
    ops.HeadJoin: lower_head_join,
    ops.HeadLinear: lower_head_linear,
    ops.ShortConv: lower_short_conv,
    ops.RowGate: lower_row_gate,
    ops.Rope: lower_rope,
    ops.Attention: lower_attention,
    ops.Gate: lower_gate,
    ops.Each: lower_each,
    ops.Add: lower_add,
    ops.SelectRows: lower_select_rows,
    ops.TokenScores: lower_token_scores,
    ops.SquareSums: lower_square_sums,
}
