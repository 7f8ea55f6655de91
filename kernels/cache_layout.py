"""How elements of keys and values stand in memory, and what a type of elements must offer.

One sequence owns a slab of ``capacity`` cells, cell ``i`` holding position ``i``; every head of
keys or values is contiguous in it. Memory holds some cells side by side: ``CELLS`` of keys, whose
vectors have lanes that are cells, and one of values, whose lanes are elements. With ``n`` of them::

    cache    [slab][kv head][cell / n] of
    numbers  [element][n]                       or
    blocks   [element / 32][field's element][n]    field by field as in the format of files

So the scores of 16 cells are one vector for each query, and neither side needs a horizontal sum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeVar

from pyllama.kernels.kernel import Fields
from pyllama.kernels.language import Builder, Pointer, Value
from pyllama.kernels.types import i64

Count = TypeVar("Count", int, Value)
"""A number that is known now, or when the code runs."""

CELLS = 16
"""Cells whose keys stand together."""

CELL_MULTIPLE = 64
"""A slab's capacity is a multiple of this: attention works on so many cells at a time."""


class KeyGroup(Protocol):
    """Elements of the heads of ``CELLS`` cells, in rows of memory."""

    rows: int

    def place(self, row: Value) -> Pointer:
        """Where a row begins, in bytes."""

    def load(self, row: Value, ahead: int) -> list[Value]:
        """The elements (CELLS,) f32 that stand in row ``row + ahead``.

        These are number ``row + ahead`` of the group, and where there are two, the one ``rows``
        further on. ``row`` is a multiple of the type's ``unroll``, ``ahead`` is less than that.
        """


class CacheType(Protocol):
    """How the elements of a head are stored."""

    @property
    def name(self) -> str:
        """As ggml prints it."""

    @property
    def group(self) -> int:
        """Elements that share scales: a head has a multiple of so many."""

    @property
    def row_bytes(self) -> int:
        """Bytes of a row of keys."""

    @property
    def unroll(self) -> int:
        """Rows of keys that are read in one go."""

    def head_bytes(self, elements: Count) -> Count:
        """Bytes of one head of one cell."""

    @property
    def scratch_bytes(self) -> int:
        """Memory of a worker that ``store`` needs."""

    def store(self, k: Builder, new: NewHeads) -> None:
        """Write the heads of new tokens."""

    def groups(self, head_dim: int) -> int:
        """Groups of keys in a head."""

    def keys(self, k: Builder, cells: Pointer, index: Value, head_dim: int) -> KeyGroup:
        """A group of the keys of ``CELLS`` cells."""

    def values(self, k: Builder, cell: Pointer, start: Value | int, part: int, n: int) -> Value:
        """``n`` elements of a cell from ``start + part`` on, as f32.

        ``start`` is a multiple of the group; so is ``n``, or else both lie within one group.
        """


@dataclass(frozen=True)
class Head:
    """The cells of one head of keys or values of one sequence, ``side_by_side`` of them."""

    type: CacheType
    place: Pointer
    dim: int
    side_by_side: int

    def at(self, cell: Value) -> Pointer:
        """Where the memory begins that a cell shares with those beside it."""
        n = self.side_by_side
        return self.place.at(cell // n * (n * self.type.head_bytes(self.dim)))


@dataclass(frozen=True)
class Side:
    """The cached keys, or the cached values, of a layer."""

    cache: Pointer
    type: CacheType
    kv_heads: Value
    capacity: Value
    head_dim: int
    side_by_side: int

    def head(self, slab: Value, head: Value) -> Head:
        """One head of one sequence."""
        head_bytes = self.capacity * self.type.head_bytes(self.head_dim)
        place = self.cache.at((slab * self.kv_heads + head) * head_bytes)
        return Head(self.type, place, self.head_dim, self.side_by_side)


def keys_of(a: Fields, type: CacheType, head_dim: int) -> Side:
    """The cache of a kernel's field ``keys``."""
    return Side(a.keys, type, a.kv_heads, a.capacity, head_dim, CELLS)


def latents_of(a: Fields, type: CacheType, head_dim: int) -> Side:
    """The cache of a kernel's field ``keys``, whose first elements are the values."""
    return Side(a.keys, type, a.kv_heads, a.capacity, head_dim, 1)


def values_of(a: Fields, type: CacheType, head_dim: int) -> Side:
    """The cache of a kernel's field ``values``."""
    return Side(a.values, type, a.kv_heads, a.capacity, head_dim, 1)


def sides_of(
    a: Fields, key_type: CacheType, value_type: CacheType, head_dim: int, latent: int
) -> tuple[Side, Side]:
    """The caches of keys and of values; with ``latent`` they are one."""
    if latent:
        both = latents_of(a, key_type, head_dim)
        return both, both
    return keys_of(a, key_type, head_dim), values_of(a, value_type, head_dim)


@dataclass(frozen=True)
class NewHeads:
    """Heads of new tokens and where they belong.

    x: (tokens, kv_heads, head_dim) f32, of which those from ``first`` to ``end`` are meant.
    """

    x: Pointer
    first: Value
    end: Value
    side: Side
    step: Fields
    scratch: Pointer

    def place(self, token: Value, head: Value) -> tuple[Pointer, Value]:
        """Memory of the cells among which the token's is, and which of them it is."""
        cell, slab = (x[token].to(i64) for x in (self.step.positions, self.step.slabs))
        return self.side.head(slab, head).at(cell), cell % self.side.side_by_side
