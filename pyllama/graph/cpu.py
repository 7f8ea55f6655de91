"""Lowers a graph to the CPU's kernels: one small function for each op.

A linear op becomes two launches: the activations are brought into the form that the matmul reads
(int8 records for a few tokens, packed tiles for a batch), once for all ops that read them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyllama.graph import ops
from pyllama.graph.graph import Graph, Node
from pyllama.graph.linear import lower_gated_linear, lower_linear
from pyllama.graph.lowering import Lowering, row_bytes
from pyllama.graph.mode import MATVEC_TOKENS, CacheLayout, Mode
from pyllama.graph.ops import Rows
from pyllama.graph.plan import Argument, External, Plan, make_plan
from pyllama.kernels import attention, elementwise, kv_cache, rope, tile_attention
from pyllama.kernels.isa.base import ISA

ATTENTION_ROWS = 16
"""Query heads of a tile of tokens that share the keys and values of a head."""


def _attends_by_tiles(isa: ISA, op: ops.Attention, cache: CacheLayout) -> bool:
    """A float32 cache asks for float32 attention."""
    is_float32 = "f32" in (cache.key_type, cache.value_type)
    return isa.has_tiles and tile_attention.fits(op.head_dim) and not is_float32


def _tile_tokens(graph: Graph, mode: Mode, cache: CacheLayout, isa: ISA) -> int:
    """Neighbouring tokens of a sequence that attend together, the same for all layers."""
    if mode.tokens <= MATVEC_TOKENS:
        return 1
    wanted = [mode.tokens]
    for op in (node.op for node in graph.nodes):
        if isinstance(op, ops.Attention):
            rows = tile_attention.ROWS if _attends_by_tiles(isa, op, cache) else ATTENTION_ROWS
            wanted.append(max(1, rows // (op.heads // op.kv_heads)))
    return min(wanted)


def plan_for_cpu(graph: Graph, mode: Mode, cache: CacheLayout, isa: ISA, threads: int) -> Plan:
    """The launches that compute a graph for steps of a mode, planned for a number of threads."""
    tile_tokens = _tile_tokens(graph, mode, cache, isa)
    lowering = Lowering(graph, mode, cache, isa, threads, tile_tokens)
    for node in graph.nodes:
        lowering.make_buffer(node)
        _LOWER[type(node.op)](lowering, node.op, node)
    result = lowering.buffers[graph.result]
    return make_plan(lowering.launches, result, lowering.scratch_bytes, tile_tokens)


def _attention(low: Lowering, op: ops.Attention, node: Node) -> None:
    query, key, value = (low.buffers[t] for t in node.inputs)
    types = {"key_type": low.cache.key_type, "value_type": low.cache.value_type}
    shape: dict[str, Argument] = {
        "keys": External("keys", str(op.layer)),
        "values": External("values", str(op.layer)),
        "kv_heads": op.kv_heads,
        "capacity": low.cache.capacity,
    }
    low.launch(
        kv_cache.kv_store(head_dim=op.head_dim, **types),
        {"key": key, "value": value, **shape},
        writes=("keys", "values"),
        count=Rows.TOKENS.value,
        label=f"{node.output.name}.store",
    )
    heads_per_kv = op.heads // op.kv_heads
    tokens = low.tile_tokens
    by_tiles = tokens > 1 and _attends_by_tiles(low.isa, op, low.cache)
    scratch_bytes = (tile_attention if by_tiles else attention).scratch_bytes
    low.needs_scratch(scratch_bytes(tokens, heads_per_kv, op.head_dim))
    make = tile_attention.tile_attend if by_tiles else attention.attend
    kernel = make(head_dim=op.head_dim, heads_per_kv=heads_per_kv, tokens=tokens, **types)
    arguments: dict[str, Argument] = {
        "query": query,
        "out": low.buffers[node.output],
        "scale": op.scale,
        "window": op.window or low.cache.capacity,
        **shape,
    }
    low.launch(kernel, arguments, chunks=op.kv_heads, count="n_tiles", label=node.output.name)


def _embedding(low: Lowering, op: ops.Embedding, node: Node) -> None:
    low.by_row(
        node,
        elementwise.embedding(type=op.weight.type),
        weights=External("weight", op.weight.name),
        row_bytes=row_bytes(op.weight),
        width=op.weight.shape[1],
    )


def _rms_norm(low: Lowering, op: ops.RMSNorm, node: Node) -> None:
    low.by_row(
        node,
        elementwise.rms_norm(),
        x=low.buffers[node.inputs[0]],
        weight=External("vector", op.weight.name),
        width=op.weight.shape[0],
        groups=op.groups,
        eps=op.eps,
    )


def _rope(low: Lowering, op: ops.Rope, node: Node) -> None:
    low.by_row(
        node,
        rope.rope(style=op.style, pairs=op.pairs),
        x=low.buffers[node.inputs[0]],
        table=External("table", op.table),
        heads=op.heads,
        head_dim=op.head_dim,
    )


def _swiglu(low: Lowering, op: ops.SwiGLU, node: Node) -> None:
    gate, up = (low.buffers[t] for t in node.inputs)
    low.by_row(node, elementwise.swiglu(), gate=gate, up=up, width=node.output.width)


def _add(low: Lowering, op: ops.Add, node: Node) -> None:
    x, y = (low.buffers[t] for t in node.inputs)
    low.by_row(node, elementwise.add(), x=x, y=y, width=node.output.width)


def _select_rows(low: Lowering, op: ops.SelectRows, node: Node) -> None:
    x = low.buffers[node.inputs[0]]
    low.by_row(node, elementwise.select_rows(), x=x, width=node.output.width)


_LOWER: dict[type[ops.Op], Callable[[Lowering, Any, Node], None]] = {
    ops.Embedding: _embedding,
    ops.RMSNorm: _rms_norm,
    ops.Linear: lower_linear,
    ops.GatedLinear: lower_gated_linear,
    ops.Rope: _rope,
    ops.Attention: _attention,
    ops.SwiGLU: _swiglu,
    ops.Add: _add,
    ops.SelectRows: _select_rows,
}
