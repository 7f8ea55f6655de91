"""The memory of attention: keys and values of past tokens, and how they are written and read.

One sequence owns a slab of ``capacity`` cells, cell ``i`` holding position ``i``; every head of
keys or values is contiguous in it::

    keys    [slab][kv head][cell / 16][element][16 cells]    lanes run over cells
    values  [slab][kv head][cell][element]                   lanes run over elements

So the scores of 16 cells are one vector for each query, and neither side needs a horizontal sum.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyllama.kernels.kernel import Array, Fields, kernel
from pyllama.kernels.language import Builder, Pointer, Value
from pyllama.kernels.rope import largest_vector
from pyllama.kernels.types import Type, f16, f32, i8, i32, i64, u8, u16

CELLS = 16
"""Cells whose keys stand together."""

CELL_MULTIPLE = 64
"""A slab's capacity is a multiple of this: attention works on so many cells at a time."""

QUANTIZED_GROUP = 32


@dataclass(frozen=True)
class CacheType:
    """How an element is stored. ``q8_0`` stores groups of 32 elements as i8 with an f16 scale."""

    name: str
    element: Type

    @property
    def is_quantized(self) -> bool:
        """Whether elements share scales."""
        return self.element == i8

    def head_bytes(self, elements: int) -> int:
        """Bytes of one head of one cell."""
        scales = elements // QUANTIZED_GROUP * f16.bytes if self.is_quantized else 0
        return elements * self.element.bytes + scales

    def read(self, k: Builder, value: Value) -> Value:
        """Stored elements as f32, without their scales."""
        return k.isa.bf16_to_f32(k, value) if self.element == u16 else value.to(f32)

    def write(self, k: Builder, value: Value) -> Value:
        """f32 as stored elements; quantized ones are scaled already."""
        if self.element == u16:
            return k.isa.f32_to_bf16(k, value)
        return k.round(value).to(i32).to(i8) if self.is_quantized else value.to(self.element)


CACHE_TYPES = {
    t.name: t
    for t in (
        CacheType("f32", f32),
        CacheType("f16", f16),
        CacheType("bf16", u16),
        CacheType("q8_0", i8),
    )
}


class KeyBlock:
    """The keys of 16 cells of one head."""

    def __init__(self, type: CacheType, keys: Pointer, cell: Value, head_dim: int) -> None:
        block = keys.at(cell // CELLS * (CELLS * type.head_bytes(head_dim)))
        self.elements = block.of(type.element)
        self.scales = block.at(CELLS * head_dim * type.element.bytes).of(f16)

    def lane(self, cell: Value) -> KeyLane:
        """One of the 16 cells."""
        return KeyLane(self, cell)


class KeyLane:
    """The keys of one cell of one head."""

    def __init__(self, block: KeyBlock, cell: Value) -> None:
        self._block, self._cell = block, cell

    def put(self, i: Value, elements: Value) -> None:
        """Write elements from ``i`` on."""
        for lane in range(elements.type.lanes):
            self._block.elements[(i + lane) * CELLS + self._cell] = elements[lane]

    def put_scale(self, group: Value, scale: Value) -> None:
        """Write the scale of 32 elements."""
        self._block.scales[group * CELLS + self._cell] = scale


class ValueCell:
    """The values of one cell of one head."""

    def __init__(self, type: CacheType, values: Pointer, cell: Value, head_dim: int) -> None:
        place = values.at(cell * type.head_bytes(head_dim))
        self.elements = place.of(type.element)
        self.scales = place.at(head_dim * type.element.bytes).of(f16)

    def put(self, i: Value, elements: Value) -> None:
        """Write elements from ``i`` on."""
        self.elements.store(i, elements)

    def put_scale(self, group: Value, scale: Value) -> None:
        """Write the scale of 32 elements."""
        self.scales[group] = scale


def head_place(
    cache: Pointer, type: CacheType, a: Fields, slab: Value, head: Value, head_dim: int
) -> Pointer:
    """Where one head of one sequence begins; ``a`` has ``kv_heads`` and ``capacity``."""
    return cache.at((slab * a.kv_heads + head) * (a.capacity * type.head_bytes(head_dim)))


@kernel(
    key=Array(f32),  # (tokens, kv_heads, head_dim)
    value=Array(f32),
    keys=Array(u8),  # the cache
    values=Array(u8),
    kv_heads=i64,
    capacity=i64,
)
def kv_store(
    k: Builder,
    a: Fields,
    step: Fields,
    *,
    task: Value,
    thread: Value,
    head_dim: int,
    key_type: str,
    value_type: str,
) -> None:
    """Write the keys and values of new tokens into their cells.

    One task: ``CELLS`` tokens, so that threads seldom write to the same cache line.
    """
    key_cache, value_cache = CACHE_TYPES[key_type], CACHE_TYPES[value_type]
    first = task * CELLS
    with k.loop(first, k.min(first + CELLS, step.n_tokens)) as t, k.loop(a.kv_heads) as head:
        cell, slab = step.positions[t].to(i64), step.slabs[t].to(i64)
        source = (t * a.kv_heads + head) * head_dim
        keys = head_place(a.keys, key_cache, a, slab, head, head_dim)
        block = KeyBlock(key_cache, keys, cell, head_dim)
        _store(k, key_cache, a.key.at(source), head_dim, block.lane(cell % CELLS))
        values = head_place(a.values, value_cache, a, slab, head, head_dim)
        row = ValueCell(value_cache, values, cell, head_dim)
        _store(k, value_cache, a.value.at(source), head_dim, row)


def _store(
    k: Builder, type: CacheType, x: Pointer, head_dim: int, cell: ValueCell | KeyLane
) -> None:
    """Write one head of one cell."""
    if not type.is_quantized:
        lanes = largest_vector(k, head_dim)
        with k.loop(0, head_dim, lanes) as i:
            cell.put(i, type.write(k, x.load(i, lanes)))
        return
    with k.loop(head_dim // QUANTIZED_GROUP) as g:
        group = x.load(g * QUANTIZED_GROUP, QUANTIZED_GROUP)
        largest = k.abs(group).max()
        cell.put_scale(g, (largest * (1 / 127)).to(f16))
        scale = k.select(largest > 0, 127.0 / largest, k.zero(f32))
        cell.put(g * QUANTIZED_GROUP, type.write(k, group * k.splat(scale, QUANTIZED_GROUP)))
