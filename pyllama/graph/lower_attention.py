"""Lowers rotation and attention: keys and values are stored, then the queries attend."""

from __future__ import annotations

from typing import Any

from pyllama.graph import ops
from pyllama.graph.graph import Graph, Node
from pyllama.graph.lowering import Lowering
from pyllama.graph.mode import MATVEC_TOKENS, CacheLayout, Mode
from pyllama.graph.ops import Rows
from pyllama.graph.plan import ALIGNMENT, Argument, Buffer, External
from pyllama.kernels import attention, kv_cache, rope, tile_attention
from pyllama.kernels.isa.base import ISA

ATTENTION_ROWS = 16
"""Query heads of a tile of tokens that share the keys and values of a head."""


def tile_tokens(graph: Graph, mode: Mode, cache: CacheLayout, isa: ISA) -> int:
    """Neighbouring tokens of a sequence that attend together, the same for all layers."""
    if mode.tokens <= MATVEC_TOKENS:
        return 1
    wanted = [mode.tokens]
    for op in (node.op for node in graph.nodes):
        if isinstance(op, ops.Attention):
            rows = tile_attention.ROWS if _attends_by_tiles(isa, op, cache) else ATTENTION_ROWS
            wanted.append(max(1, rows // (op.heads // op.kv_heads)))
    return min(wanted)


def lower_rope(low: Lowering, op: ops.Rope, node: Node) -> None:
    """Every token's heads are turned in one go."""
    low.by_row(
        node,
        rope.rope(style=op.style, pairs=op.pairs),
        x=low.buffers[node.inputs[0]],
        table=External("table", op.table),
        heads=op.heads,
        head_dim=op.head_dim,
    )


def lower_attention(low: Lowering, op: ops.Attention, node: Node) -> None:
    """A launch that stores keys and values, and one that attends."""
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
        group=kv_cache.CELLS,
        label=f"{node.output.name}.store",
    )
    arguments: dict[str, Argument] = {
        "query": query,
        "out": low.buffers[node.output],
        "scale": op.scale,
        "window": op.window or low.cache.capacity,
        **_score_change(op),
        "sinks": low.vector(op.sinks) if op.sinks else 0,
        **shape,
    }
    types["change"] = _score_changes(op)
    static = {
        "head_dim": op.head_dim,
        "heads_per_kv": op.heads // op.kv_heads,
        "tokens": low.tile_tokens,
    }
    options = types | {"has_sinks": op.sinks is not None}
    if low.tile_tokens > 1 and _attends_by_tiles(low.isa, op, low.cache):
        low.needs_scratch(tile_attention.scratch_bytes(**static))
        kernel = tile_attention.tile_attend(**static, **options)
        low.launch(kernel, arguments, chunks=op.kv_heads, count="n_tiles", label=node.output.name)
    else:
        low.needs_scratch(attention.scratch_bytes(**static))
        _attend(low, op, arguments, static | options, node.output.name)


def _score_changes(op: ops.Attention) -> str:
    parts = (name for name in ("softcap", "alibi") if getattr(op, name))
    return "+".join(parts) or "none"


def _score_change(op: ops.Attention) -> dict[str, Argument]:
    """What the kernels need to know of changes to scores."""
    whole = 1 << (op.heads.bit_length() - 1)
    return {"softcap": op.softcap, "slope_heads": whole, "slope_step": op.alibi / whole}


def _attend(
    low: Lowering,
    op: ops.Attention,
    arguments: dict[str, Argument],
    static: dict[str, Any],
    label: str,
) -> None:
    """A launch that attends, and one that merges the parts that a single token is split into."""
    parts = attention.parts_of(low.cache.capacity, op.kv_heads) if low.tile_tokens == 1 else 1
    n_bytes = attention.found_bytes(low.mode.tokens, op.heads, op.head_dim, parts)
    found = Buffer(f"{label}.parts", n_bytes if parts > 1 else ALIGNMENT)
    low.launch(
        attention.attend(parts=parts, **static),
        arguments | {"found": found},
        writes=("out", "found"),
        chunks=op.kv_heads * parts,
        count="n_tiles",
        label=label,
    )
    if parts > 1:
        low.launch(
            attention.merge_parts(head_dim=op.head_dim, parts=parts),
            {
                "found": found,
                "out": arguments["out"],
                "heads": op.heads,
                "window": arguments["window"],
            },
            chunks=op.heads,
            count=Rows.TOKENS.value,
            label=f"{label}.merge",
        )


def _attends_by_tiles(isa: ISA, op: ops.Attention, cache: CacheLayout) -> bool:
    """A float32 cache asks for float32 attention."""
    is_float32 = "f32" in (cache.key_type, cache.value_type)
    return isa.has_tiles and tile_attention.fits(op.head_dim) and not is_float32
