"""What an instruction set offers to kernels: the lane vocabulary with its portable emission.

An instruction set is a subclass that emits some words of the vocabulary better. Each word has its
plain NumPy meaning, of the same name, in ``kernels/isa/meaning.py``; a test compares every pair.
"""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING

import numpy as np

from pyllama.kernels.types import Type, f32, i8, i16, i32, i64, u8, u16, u32

if TYPE_CHECKING:
    from pyllama.kernels.language import Builder, Value


Field = tuple[int, int]
"""First bit and number of bits."""


class ISA:
    """An instruction set. The methods of this class emit portable LLVM vector code."""

    name = "portable"
    triple = "x86_64-unknown-linux-gnu"
    cpu = "x86-64"
    needs: tuple[str, ...] = ()  # LLVM features that the processor must have
    uses: tuple[str, ...] = ()  # further features that are used where present
    vector_bytes = 16
    dot_lanes = 32  # bytes that one dot product instruction takes at most
    tile_rows = 4  # rows of weights in a register tile of the batch matmul
    tile_vectors = 2  # vectors of tokens in it
    byte_rows = 4  # the same of a register tile of integer dot products
    byte_vectors = 2
    has_tiles = False  # whether it multiplies tiles of bfloat16

    def __init__(self, features: frozenset[str] = frozenset(), triple: str = "") -> None:
        """``features``: what the processor has, in LLVM's names; ``triple``: its system's ABI."""
        if triple:
            self.triple = triple
        self.features = tuple(f for f in (*self.needs, *self.uses) if f in features)

    @property
    def dots_whole_bytes(self) -> bool:
        """Whether ``dot`` takes u8 up to 255."""
        return False

    @property
    def dots_signed_bytes(self) -> bool:
        """Whether ``dot`` takes i8 as fast as u8."""
        return False

    @property
    def dots_pairs(self) -> bool:
        """Whether ``dot_pairs`` is one instruction."""
        return False

    @property
    def looks_up_bytes(self) -> bool:
        """Whether ``byte_lookup`` reads 64 lanes from 64 bytes by one instruction.

        Such a set has one for ``parities`` and for ``bytes_at`` too, and dots whole bytes.
        """
        return False

    @property
    def key(self) -> str:
        """Name and features, which together decide what code is emitted."""
        return "+".join((self.name, *self.features))

    def dot(self, k: Builder, total: Value, w: Value, x: Value) -> Value:
        """``total[i] + sum of w[4i+j] * x[4i+j] for j in 0..3``.

        total: (n,) i32; w: (4n,) u8 up to 127 (255 where ``dots_whole_bytes``), or i8 above -128;
        x: (4n,) i8 above -128.
        """
        products = w.to(i16) * x.to(i16)
        lanes = range(0, products.type.lanes, 2)
        pairs = products.take(lanes).to(i32) + products.take([i + 1 for i in lanes]).to(i32)
        halves = range(0, pairs.type.lanes, 2)
        return total + pairs.take(halves) + pairs.take([i + 1 for i in halves])

    def dots(self, k: Builder, largest: int, total: Value, w: Value, x: Value) -> Value:
        """As ``dot``, of vectors that lie one after the other in w and x: a sum of them all.

        largest: what no element of w exceeds.
        """
        for one, other in zip(self._parts(total, w), self._parts(total, x), strict=True):
            total = self.dot(k, total, one, other)
        return total

    @staticmethod
    def _parts(total: Value, vector: Value) -> list[Value]:
        """Parts of w or x that add to the same lanes."""
        size = 4 * total.type.lanes
        return [vector.take(range(at, at + size)) for at in range(0, vector.type.lanes, size)]

    def dot_pairs(self, k: Builder, total: Value, w: Value, x: Value) -> Value:
        """``total[2i+j] + sum of w[8i+l] * x[8j+l] for l in 0..7``, i and j being 0 or 1.

        So in every 16 bytes: two rows by two columns of 8. Types are those of ``dot``.
        """
        lanes = range(total.type.lanes)
        rows, columns = (v.bits_as(u32 * len(lanes)) for v in (w, x))
        for half in (0, 1):
            row = rows.take([i // 2 * 2 + half for i in lanes])
            column = columns.take([i // 4 * 4 + i % 2 * 2 + half for i in lanes])
            total = self.dot(k, total, row.bits_as(w.type), column.bits_as(x.type))
        return total

    def lookup(self, k: Builder, table: tuple[int, ...], index: Value) -> Value:
        """``table[index]``: a table of 16 i8, index: (n,) u8 below 16."""
        values = k.vector(i8, table)
        return k.concat([k.lane_of(values, index[i]) for i in range(index.type.lanes)])

    def pick(self, k: Builder, table: Value, index: Value) -> Value:
        """``table[index % 8]``: table: (8,) f32, index: (n,) u32."""
        lanes = range(index.type.lanes)
        return k.concat([k.lane_of(table, index[i] & 7) for i in lanes])

    def gather(self, k: Builder, element: Type, table: tuple[int, ...], index: Value) -> Value:
        """``table[index]``: a table of u32 or u64, index: (n,) of the same type, within it."""
        values = k.table(element, np.array(table, element.numpy))
        return k.concat([values[index[i]] for i in range(index.type.lanes)])

    def byte_lookup(self, k: Builder, table: tuple[int, ...], index: Value, *upper: Value) -> Value:
        """``table[index % 64 + 64 * (upper[0] + 2 * upper[1] + ...)]``.

        A table of ``64 << len(upper)`` u8, index: (n,) u8; upper: (n,) booleans each.
        """
        parts = [self._of_64(k, table[at : at + 64], index) for at in range(0, len(table), 64)]
        for bit in upper:
            pairs = zip(parts[::2], parts[1::2], strict=True)
            parts = [k.select(bit, high, low) for low, high in pairs]
        return parts[0]

    def _of_64(self, k: Builder, table: tuple[int, ...], index: Value) -> Value:
        values = k.table(u8, np.array(table, np.uint8))
        return k.concat([values[(index[i] & 63).to(i64)] for i in range(index.type.lanes)])

    def times_power(self, k: Builder, x: Value, n: Value) -> Value:
        """``x * 2**n`` of f32; n: whole numbers from -126 to 127, as f32 too."""
        return x * ((n.to(i32) + 127) << 23).bits_as(f32 * n.type.lanes)

    def bits(self, k: Builder, mask: Value) -> Value:
        """The bits of a u32 or u64 as booleans, lowest first."""
        n = mask.type.bits
        places = k.vector(u8, [1 << i % 8 for i in range(n)])
        spread = mask.bits_as(u8 * (n // 8)).take([i // 8 for i in range(n)])
        return (spread & places).differs(0)

    def fields(self, k: Builder, fields: tuple[Field | None, ...], words: Value) -> Value:
        """Bit fields of every word as its bytes, lowest first; bytes without a field are zero.

        words: (n,) u32 or u64; a field is its first bit and its number of bits, at most eight.
        """
        parts = [
            (words >> field[0] & (1 << field[1]) - 1) << 8 * place
            for place, field in enumerate(fields)
            if field
        ]
        return reduce(or_, parts)

    def bytes_at(self, k: Builder, starts: tuple[int, ...], words: Value) -> Value:
        """Of every word the eight bytes that begin at these bits, from 0 to 56.

        words: (n,) u64 -> (8n,) u8.
        """
        parts = [(words >> start & 0xFF) << 8 * i for i, start in enumerate(starts)]
        return reduce(or_, parts).bits_as(u8 * (8 * words.type.lanes))

    def negated(self, k: Builder, x: Value, where: Value) -> Value:
        """``-x`` where the condition holds, else ``x``. x: (n,) i8; where: (n,) booleans."""
        ones = where.bits_as(Type("i", 1) * where.type.lanes).to(i8)  # all of them where it holds
        return (x ^ ones) - ones

    def even_bytes(self, k: Builder, sevens: Value) -> Value:
        """The lower seven bits, completed by an eighth that makes the number of ones even.

        sevens: (n,) u8.
        """
        folded = (sevens & 127) ^ (sevens & 127) >> 4
        folded = folded ^ folded >> 2
        folded = folded ^ folded >> 1
        return sevens & 127 | folded << 7

    def parities(self, k: Builder, rows: tuple[int, ...], value: Value) -> Value:
        """Bytes whose bit ``i`` says whether ``value & rows[i]`` has an odd number of ones.

        rows: 8 u8; value: (n,) u8.
        """
        bits = []
        for i, row in enumerate(rows):
            folded = value & row
            for half in (4, 2, 1):
                folded = folded ^ folded >> half
            bits.append((folded & 1) << i)
        return reduce(or_, bits)

    def pause(self, k: Builder) -> None:
        """Tell the processor that this is a waiting loop."""

    def bf16_to_f32(self, k: Builder, value: Value) -> Value:
        """bfloat16 (as u16) to float32."""
        return (value.to(u32) << 16).bits_as(f32 * value.type.lanes)

    def f32_to_bf16(self, k: Builder, value: Value) -> Value:
        """float32 to bfloat16 (as u16), nearest even; a NaN stays a NaN.

        Subnormal numbers may become zero.
        """
        bits = value.bits_as(u32 * value.type.lanes)
        rounded = bits + 0x7FFF + ((bits >> 16) & 1)
        is_nan = (bits & 0x7FFFFFFF) > 0x7F800000
        return (k.select(is_nan, bits | 0x400000, rounded) >> 16).to(u16)
