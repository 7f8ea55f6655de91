"""Runs of the kernels that write and read the memory of attention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernel_cases.case import Case, Launch, assert_close
from kernel_cases.meaning import Step, blocks_of, rounded, vector
from kernel_cases.memory import Memory
from pyllama.graph import ops
from pyllama.kernels import attention, tile_attention
from pyllama.kernels.cache_layout import CELLS
from pyllama.kernels.cache_types import CACHE_TYPES
from pyllama.kernels.kernel import Kernel
from pyllama.kernels.kv_cache import kv_store, latent_store


@dataclass(frozen=True)
class Heads:
    """The shape of an attention layer and of its tiles."""

    head_dim: int
    heads_per_kv: int
    kv_heads: int
    tile: int  # tokens that attend together
    key_type: str
    value_type: str
    latent: int = 0  # elements of the keys that are the values

    @property
    def value_dim(self) -> int:
        """Elements of a head's values."""
        return self.latent or self.head_dim

    @property
    def heads(self) -> int:
        """Query heads."""
        return self.kv_heads * self.heads_per_kv

    @property
    def types(self) -> dict[str, str]:
        """The static parameters of both kernels."""
        return {"key_type": self.key_type, "value_type": self.value_type}


@dataclass(frozen=True)
class Tokens:
    """New tokens of a sequence, and how many it has already."""

    slab: int
    past: int
    new: int


class _Layer:
    """The cache of one layer. What was never written is NaN."""

    def __init__(self, memory: Memory, heads: Heads, slabs: int, capacity: int) -> None:
        self.heads, self.capacity = heads, capacity
        types = [heads.key_type] if heads.latent else [heads.key_type, heads.value_type]
        cells = slabs * heads.kv_heads * capacity
        self.caches = [
            memory.empty(cells * CACHE_TYPES[type].head_bytes(heads.head_dim), np.uint8)
            for type in types
        ]
        self.arguments = {
            "keys": self.caches[0], "values": self.caches[-1],
            "kv_heads": heads.kv_heads, "capacity": capacity,
        }  # fmt: skip
        n_bytes = max(CACHE_TYPES[type].scratch_bytes for type in types)
        scratch = memory.empty(n_bytes, np.uint8)
        self.step = {"scratch": scratch, "scratch_stride": n_bytes}

    def store(self, rows: _Rows) -> Launch:
        """Write the keys and values of tokens."""
        heads = self.heads
        if heads.latent:
            kernel = latent_store(head_dim=heads.head_dim, key_type=heads.key_type)
            arguments = {name: self.arguments[name] for name in ("keys", "kv_heads", "capacity")}
        else:
            kernel = kv_store(head_dim=heads.head_dim, **heads.types)
            arguments = self.arguments | {"value": rows.value}
        arguments |= {"key": rows.key}
        n = len(rows.positions)
        step = rows.step | self.step | {"n_tokens": n}
        return Launch(kernel, -(-n // CELLS), arguments, step)


class _Rows:
    """Tokens with random keys and values."""

    def __init__(
        self,
        memory: Memory,
        heads: Heads,
        cells: Sequence[tuple[int, int]],
        rng: np.random.Generator,
    ) -> None:
        """``cells``: slab and position of every token."""
        n = len(cells)
        self.slabs, self.positions = (
            memory.copy([cell[i] for cell in cells], np.int32) for i in range(2)
        )
        width = heads.kv_heads * heads.head_dim
        self.key, self.value = (
            memory.copy(rng.normal(0, 1, (n, width)), np.float32) for _ in range(2)
        )
        self.given = [self.key] if heads.latent else [self.key, self.value]
        self.step: dict[str, Any] = {"positions": self.positions, "slabs": self.slabs}

    def remember(self, step: Step, heads: Heads) -> None:
        """Tell the meaning what was stored."""
        step.positions, step.sequences = self.positions, self.slabs
        sides = (self.given[0], self.given[-1])
        step.remember(0, *(x.reshape(-1, heads.kv_heads, heads.head_dim) for x in sides))


def attention_case(
    heads: Heads,
    tokens: Sequence[Tokens],
    window: int | None = None,
    capacity: int = 256,
    spread: float = 1.0,
    by_tiles: bool = False,
    parts: int = 1,
    softcap: float = 0.0,
    alibi: float = 0.0,
    has_sinks: bool = False,
) -> Case:
    """Store what is past, store what is new, attend. Scores are of the size ``spread``.

    ``by_tiles``: with the kernel for AMX, which works on numbers of eight significant bits.
    ``parts``: tasks that the cells of a token are split into; tiles are then of one token.
    """
    memory, rng = Memory(), np.random.default_rng([heads.head_dim, *(t.past for t in tokens)])
    layer = _Layer(memory, heads, 1 + max(t.slab for t in tokens), capacity)
    past, new = (
        _Rows(memory, heads, cells, rng)
        for cells in (
            [(t.slab, i) for t in tokens for i in range(t.past)],
            [(t.slab, t.past + i) for t in tokens for i in range(t.new)],
        )
    )
    n = len(new.positions)
    query = memory.copy(rng.normal(0, spread, (n, heads.heads * heads.head_dim)), np.float32)
    out = memory.empty((n, heads.heads * heads.value_dim), np.float32)
    tiles = memory.copy(_tiles(tokens, heads.tile), np.int32)
    scale = heads.head_dim**-0.5
    named = (name for name, value in (("softcap", softcap), ("alibi", alibi)) if value)
    change = "+".join(named) or "none"
    kernel, scratch_bytes = _kernel(heads, by_tiles, parts, change, has_sinks)
    sinks = memory.copy(rng.normal(1, spread, heads.heads), np.float32)
    whole = 1 << (heads.heads.bit_length() - 1)
    scratch = memory.empty(scratch_bytes, np.uint8)
    arguments = layer.arguments | {
        "query": query, "out": out, "scale": scale, "window": window or capacity,
        "softcap": softcap, "slope_heads": whole, "slope_step": alibi / whole,
        "sinks": sinks,
    }  # fmt: skip
    if not by_tiles:
        size = attention.found_bytes(n, heads.heads, heads.value_dim, parts)
        arguments["found"] = memory.empty(size // 4, np.float32)
    step = new.step | {"tiles": tiles, "scratch": scratch, "scratch_stride": scratch.size}
    launches: tuple[Launch, ...] = (
        layer.store(past),
        layer.store(new),
        Launch(kernel, len(tiles) * heads.kv_heads * parts, arguments, step),
    )
    if parts > 1:
        merging = {name: arguments[name] for name in ("found", "out", "window")}
        merge = attention.merge_parts(value_dim=heads.value_dim, parts=parts)
        launches += (Launch(merge, n * heads.heads, merging | {"heads": heads.heads}, step),)

    def compare() -> None:
        types = {"keys": heads.key_type, "values": heads.value_type}
        meaning = Step(weight=sinks, store=lambda x, side: rounded(types[side])(x))
        past.remember(meaning, heads)
        meaning.positions, meaning.sequences = new.positions, new.slabs
        shape = heads.heads, heads.kv_heads, heads.head_dim
        weight = vector(heads.heads) if has_sinks else None
        changes = (softcap, alibi, weight)
        op = ops.Attention(0, *shape, scale, window or 0, *changes, heads.latent)
        bound = 0.012 if by_tiles else 1e-5 * max(1, spread)
        assert_close(out, op.meaning(meaning, query, *new.given), bound)

    return Case(memory, launches, compare)


def _kernel(
    heads: Heads, by_tiles: bool, parts: int, change: str, has_sinks: bool
) -> tuple[Kernel, int]:
    """The kernel that attends, and the scratch memory that it asks for."""
    shape = {
        "head_dim": heads.head_dim, "latent": heads.latent,
        "heads_per_kv": heads.heads_per_kv, "tokens": heads.tile,
    }  # fmt: skip
    types = heads.types | {"change": change, "has_sinks": has_sinks}
    if by_tiles:
        size = tile_attention.scratch_bytes(**shape)
        return tile_attention.tile_attend(**shape, **types), size
    return attention.attend(**shape, **types, parts=parts), attention.scratch_bytes(**shape)


def _tiles(tokens: Sequence[Tokens], size: int) -> list[tuple[int, int]]:
    """First token and count of every tile; a tile has tokens of one sequence."""
    tiles, first = [], 0
    for t in tokens:
        tiles += [(first + i, min(size, t.new - i)) for i in range(0, t.new, size)]
        first += t.new
    return tiles


def store_case(heads: Heads, cells: Sequence[tuple[int, int]], capacity: int = 64) -> Case:
    """Write some cells: every byte of the cache is as the layout says, the others stay as they are.

    ``cells``: slab and position of each token.
    """
    memory, rng = Memory(), np.random.default_rng(heads.head_dim)
    layer = _Layer(memory, heads, 1 + max(slab for slab, _ in cells), capacity)
    rows = _Rows(memory, heads, cells, rng)
    rows.key[0], rows.value[0] = 0, 0  # a group of zeros has no finite reciprocal scale

    def compare() -> None:
        shape = (len(cells), heads.kv_heads, heads.head_dim)
        together = [1] if heads.latent else [CELLS, 1]
        types = (heads.key_type, heads.value_type)
        for cache, type, n, written in zip(
            layer.caches, types[: len(together)], together, rows.given, strict=True
        ):
            expected = np.full_like(cache, 0xFF)
            view = _View(expected, type, heads, capacity, n)
            for t, (slab, position) in enumerate(cells):
                view.write(slab, position, written.reshape(shape)[t])
            np.testing.assert_array_equal(cache, expected.reshape(-1))

    return Case(memory, (layer.store(rows),), compare)


_NUMBERS = {"f32": np.float32, "f16": np.float16, "bf16": np.uint16}


def _numbers(type: str, x: NDArray[np.float32]) -> NDArray[Any]:
    """(..., head_dim) as stored."""
    if type == "bf16":
        return (rounded("bf16")(x).view(np.uint32) >> 16).astype(np.uint16)
    return x.astype(_NUMBERS[type])


class _View:
    """[slab][kv head][cell / n] of numbers [element][n], or of blocks whose fields are [...][n]."""

    def __init__(
        self, cache: NDArray[np.uint8], type: str, heads: Heads, capacity: int, n: int
    ) -> None:
        self.type, self.n = type, n
        n_bytes = n * CACHE_TYPES[type].head_bytes(heads.head_dim)
        cells = cache.reshape(-1, heads.kv_heads, capacity // n, n_bytes)
        if type in _NUMBERS:
            numbers = cells.view(_NUMBERS[type])
            self.numbers = numbers.reshape(*numbers.shape[:3], -1, n)
        else:
            fields = blocks_of(type, np.zeros(32, np.float32)).dtype.fields
            assert fields is not None
            kinds = [(f, kind.base, (*kind.shape, n)) for f, (kind, *_) in fields.items()]
            self.blocks = cells.view(np.dtype(kinds))

    def write(self, slab: int, position: int, x: NDArray[np.float32]) -> None:
        """x: (kv heads, head_dim)."""
        place, cell = divmod(position, self.n)
        if self.type in _NUMBERS:
            self.numbers[slab, :, place, :, cell] = _numbers(self.type, x)
            return
        blocks = blocks_of(self.type, x)
        for field in blocks.dtype.names or ():
            self.blocks[field][slab, :, place, ..., cell] = blocks[field]
