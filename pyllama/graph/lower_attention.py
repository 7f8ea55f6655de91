"""Lowers rotation and attention: keys and values are stored, then the queries attend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyllama.graph import ops
from pyllama.graph.graph import Graph, Node
from pyllama.graph.lowering import Lowering
from pyllama.graph.mode import MATVEC_TOKENS, CacheLayout, Mode
from pyllama.graph.ops import Rows, Tensor
from pyllama.graph.plan import ALIGNMENT, Argument, Buffer, External
from pyllama.kernels import attention, hadamard, kv_cache, rope, tile_attention
from pyllama.kernels.cache_layout import CELLS
from pyllama.kernels.cache_types import BLOCKS, CACHE_TYPES
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
    """Launches that store keys and values, and that attend; what is quantized is turned before."""
    label, types = node.output.name, low.cache.types_of(op.latent)
    key_size, value_size = (_turned_size(op, type) for type in types)
    sizes = (key_size, key_size, value_size)
    query, *new = (_turned(low, t, n) for t, n in zip(node.inputs, sizes, strict=False))
    _store(low, op, label, new)
    out = low.buffers[node.output]
    attended = Buffer(f"{label}.in_turn", out.n_bytes) if value_size else out
    arguments: dict[str, Argument] = {
        "query": query,
        "keys": External("keys", str(op.layer)),
        "values": External("keys" if op.latent else "values", str(op.layer)),
        "out": attended,
        "kv_heads": op.kv_heads,
        "capacity": low.cache.capacity,
        "scale": op.scale,
        "window": op.window or low.cache.capacity,
        **_score_change(op),
        "sinks": low.vector(op.sinks) if op.sinks else 0,
    }
    _attend(low, op, arguments, label)
    if value_size:
        _turn(low, attended, out, node.output, value_size)


def _turned_size(op: ops.Attention, type: str) -> int:
    """How many elements are turned together; 0 where none are, since they are not quantized."""
    return hadamard.turned_size(op.head_dim, op.value_dim) if type in BLOCKS else 0


def _turned(low: Lowering, tensor: Tensor, size: int) -> Buffer:
    """An activation, turned if need be."""
    x = low.buffers[tensor]
    if not size:
        return x
    out = Buffer(f"{tensor.name}.turned", x.n_bytes)
    _turn(low, x, out, tensor, size)
    return out


def _turn(low: Lowering, x: Buffer, out: Buffer, tensor: Tensor, size: int) -> None:
    kernel = hadamard.hadamard(size=size)
    arguments: dict[str, Argument] = {"x": x, "width": tensor.width, "out": out}
    low.launch(kernel, arguments, count=tensor.rows.value, label=f"{tensor.name}.turned")


def _store(low: Lowering, op: ops.Attention, label: str, new: Sequence[Buffer]) -> None:
    """A launch that stores keys, and values where they are no part of them."""
    key_type, value_type = types = low.cache.types_of(op.latent)
    static = {"head_dim": op.head_dim, "key_type": key_type}
    caches: tuple[str, ...] = ("keys",)
    if op.latent:
        kernel = kv_cache.latent_store(**static)
    else:
        kernel = kv_cache.kv_store(**static, value_type=value_type)
        caches += ("values",)
    low.needs_scratch(max(CACHE_TYPES[type].scratch_bytes for type in types))
    low.launch(
        kernel,
        {
            **dict(zip(("key", "value"), new, strict=False)),
            **{cache: External(cache, str(op.layer)) for cache in caches},
            "kv_heads": op.kv_heads,
            "capacity": low.cache.capacity,
        },
        writes=caches,
        count=Rows.TOKENS.value,
        group=CELLS,
        label=f"{label}.store",
    )


def _attend(low: Lowering, op: ops.Attention, arguments: dict[str, Argument], label: str) -> None:
    """A launch that attends, or two."""
    shape = {
        "head_dim": op.head_dim,
        "latent": op.latent,
        "heads_per_kv": op.heads // op.kv_heads,
        "tokens": low.tile_tokens,
    }
    key_type, value_type = low.cache.types_of(op.latent)
    static = shape | {
        "key_type": key_type,
        "value_type": value_type,
        "change": _score_changes(op),
        "has_sinks": op.sinks is not None,
    }
    if low.tile_tokens > 1 and _attends_by_tiles(low.isa, op, low.cache):
        low.needs_scratch(tile_attention.scratch_bytes(**shape))
        kernel = tile_attention.tile_attend(**static)
        low.launch(kernel, arguments, chunks=op.kv_heads, count="n_tiles", label=label)
    else:
        low.needs_scratch(attention.scratch_bytes(**shape))
        _attend_in_parts(low, op, arguments, static, label)


def _score_changes(op: ops.Attention) -> str:
    parts = (name for name in ("softcap", "alibi") if getattr(op, name))
    return "+".join(parts) or "none"


def _score_change(op: ops.Attention) -> dict[str, Argument]:
    """What the kernels need to know of changes to scores."""
    whole = 1 << (op.heads.bit_length() - 1)
    return {"softcap": op.softcap, "slope_heads": whole, "slope_step": op.alibi / whole}


def _attend_in_parts(
    low: Lowering,
    op: ops.Attention,
    arguments: dict[str, Argument],
    static: dict[str, Any],
    label: str,
) -> None:
    """A launch that attends, and one that merges the parts that a single token is split into."""
    parts = attention.parts_of(low.cache.capacity, op.kv_heads) if low.tile_tokens == 1 else 1
    n_bytes = attention.found_bytes(low.mode.tokens, op.heads, op.value_dim, parts)
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
            attention.merge_parts(value_dim=op.value_dim, parts=parts),
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
    fits = tile_attention.fits(op.head_dim) and tile_attention.fits(op.value_dim)
    return isa.has_tiles and fits and "f32" not in cache.types_of(op.latent)
