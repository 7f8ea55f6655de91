"""Points of grids: where eight or four weights are one point of a table (IQ1, IQ2 and IQ3).

Points are read from memory by their number, or, where an instruction looks up bytes in registers,
put together of codes: each component is one of a few levels, and a byte holds some components.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pyllama.kernels.formats.base import nibbles
from pyllama.kernels.formats.stripes import COUNT
from pyllama.kernels.language import Builder, Value
from pyllama.kernels.orders import LIFT, STRIPE
from pyllama.kernels.types import f32, u8, u32, u64
from pyllama.quants import GridName, grid

INDEX_BITS = 6
"""Bits of a number below 64."""


def points(k: Builder, name: GridName, index: Value, add: int = 0, times: int = 1) -> Value:
    """``(component + add) * times`` of a grid's points: a stripe.

    index: a number for each point, a u64 where it has eight components, a u32 where it has four.
    """
    components = ((grid(name) + add) * times).astype(np.uint8)
    element = index.type.scalar
    table = tuple(components.view(element.numpy).ravel().tolist())
    return k.isa.gather(k, element, table, index).bits_as(u8 * STRIPE)


def indices(
    k: Builder, low: Value, upper: Value, bits: int, stride: int | None = None
) -> list[Value]:
    """Indices of ``8 + bits`` bits, for each stripe one of every chunk.

    low: (CHUNKS,) u32, the lower bytes; upper: their other bits, ``stride`` bits apart.
    """
    words = low.to(u64) | upper.to(u64) << 32
    stride = stride or bits
    return [k.isa.fields(k, ((8 * s, 8), (32 + s * stride, bits)), words) for s in range(COUNT)]


class Codes:
    """A grid's points as bytes of codes, and these as levels."""

    def __init__(self, name: GridName) -> None:
        self._name = name

    @cached_property
    def _levels(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """The levels in order, and of each component of the grid which of them it is."""
        levels, codes = np.unique(grid(self._name).astype(np.uint8), return_inverse=True)
        return levels, codes.reshape(grid(self._name).shape).astype(np.uint8)

    @cached_property
    def _bits(self) -> int:
        """Bits of a code."""
        return (len(self._levels[0]) - 1).bit_length()

    @property
    def _count(self) -> int:
        """Components in a byte."""
        return 8 // self._bits

    @cached_property
    def _tables(self) -> list[tuple[int, ...]]:
        """For each byte of a point its value at every point."""
        codes = self._levels[1]
        shifts = self._bits * np.arange(self._count, dtype=np.uint8)
        packed = (codes.reshape(len(codes), -1, self._count) << shifts).sum(axis=2)
        return [tuple(column.tolist()) for column in packed.T]

    def packed(self, k: Builder, index: Value, ninth: Sequence[Value] = ()) -> list[Value]:
        """The bytes of points, as many vectors as a point has bytes.

        index: (STRIPE,) u8, the lower eight bits of numbers; ninth: the others, booleans each.
        """
        upper = [(index & 1 << bit).differs(0) for bit in range(INDEX_BITS, 8)]
        return [k.isa.byte_lookup(k, table, index, *upper, *ninth) for table in self._tables]

    def unpacked(self, k: Builder, packed: Value) -> list[Value]:
        """The components that bytes hold: a vector for each."""
        return [
            k.isa.byte_lookup(k, self._table(i), packed) for i in range(INDEX_BITS // self._bits)
        ]

    def with_signs(self, k: Builder, packed: Value, signs: Sequence[Value]) -> list[Value]:
        """Bytes of two components with their signs, for ``signed``: a vector for each pair.

        signs: (STRIPE,) u8 for each pair; its bits stand above those of two components.
        """
        bits, kept = 2 * self._bits, (1 << 2 * self._bits) - 1
        shifted = (_shifted_right(packed, pair * bits) & kept for pair in range(self._count // 2))
        return [codes | sign for codes, sign in zip(shifted, signs, strict=True)]

    def signed(self, k: Builder, pair: Value) -> list[Value]:
        """Two components with their signs, and ``LIFT`` more, so that they are unsigned."""
        tables = (self._table(i, sign=2 * self._bits + i) for i in range(2))
        return [k.isa.byte_lookup(k, table, pair) for table in tables]

    def _table(self, component: int, sign: int | None = None) -> tuple[int, ...]:
        """For each number below 64 what it means as the codes of components, and bits of signs."""
        levels, numbers = self._levels[0], np.arange(1 << INDEX_BITS)
        codes = numbers >> component * self._bits & (1 << self._bits) - 1
        values = levels[np.minimum(codes, len(levels) - 1)].astype(np.int64)
        if sign is not None:
            values = LIFT + values * (1 - 2 * (numbers >> sign & 1))
        return tuple(values.tolist())


def _shifted_right(value: Value, bits: int) -> Value:
    """Bytes shifted to the right; what comes in is void."""
    return (value.bits_as(u32 * (STRIPE // 4)) >> bits).bits_as(value.type) if bits else value


def even_masks(k: Builder, words: Value, start: int = 0, stride: int = 7) -> Value:
    """Signs that are stored without every eighth, which makes the number of set bits even."""
    sevens = k.isa.fields(k, tuple((start + s * stride, 7) for s in range(COUNT)), words)
    return k.isa.even_bytes(k, sevens.bits_as(u8 * STRIPE)).bits_as(words.type)


def nibbles_in_order(k: Builder, packed: Value) -> Value:
    """Low and high four bits of every byte, byte after byte."""
    low, high = nibbles(k, packed)
    count = packed.type.lanes
    return k.shuffle(low, high, [i + side for i in range(count) for side in (0, count)])


def odd(d: Value, scale: Value, factor: float = 1) -> Value:
    """``d * (2 * scale + 1) * factor``; d: a number, or as many as there are scales."""
    spread = (d if d.type.lanes > 1 else d.take([0] * scale.type.lanes)).to(f32)
    return scale.k.fma(scale.to(f32), 2 * factor, factor) * spread
