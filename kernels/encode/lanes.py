"""Blocks side by side: sixteen are encoded at once, one in each lane of every vector.

What is done within a block, such as adding up its values in order, then is arithmetic of whole
vectors, which rounds as it would one by one. Only the way in and the way out are across lanes: rows
of values are transposed to columns, and columns of bytes to blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pyllama.kernels.language import Builder, Pointer, Value
from pyllama.kernels.types import Type, f32, i32, u8

LANES = 16
"""Blocks at a time, on every instruction set; a vector may take several registers."""

SCRATCH_BYTES = 1 << 16
"""Memory that encoding needs, for each worker."""

_ALIGNMENT = 64


class Column:
    """Vectors of ``LANES`` numbers in memory: ``column[i]`` is number ``i`` of every block."""

    def __init__(self, place: Pointer) -> None:
        self.place = place

    def __getitem__(self, i: Value | int) -> Value:
        return self.place.load(self._index(i), LANES)

    def __setitem__(self, i: Value | int, value: Value) -> None:
        self.place.store(self._index(i), value)

    def start(self, i: Value | int) -> Column:
        """The column that starts at number ``i``."""
        return Column(self.place.at(self._index(i)))

    def _index(self, i: Value | int) -> Value:
        return self.place.k.integer(i) * LANES


class Scratch:
    """Hands out the memory of a worker."""

    def __init__(self, place: Pointer) -> None:
        self._place, self._used = place, 0

    def column(self, scalar: Type, count: int) -> Column:
        """A column of ``count`` vectors."""
        start = self._used
        self._used += -(-scalar.bytes * LANES * count // _ALIGNMENT) * _ALIGNMENT
        assert self._used <= SCRATCH_BYTES, "the scratch memory of encoders is too small"
        return Column(self._place.at(start).of(scalar))


class BlockBytes:
    """Blocks in the making, byte by byte: ``out["qs", i] = codes`` writes a field of them all."""

    def __init__(self, column: Column, layout: np.dtype[Any]) -> None:
        self.column, self._layout = column, layout

    def __setitem__(self, place: str | tuple[str, Value | int], value: Value) -> None:
        self._write(place, value, add=False)

    def add(self, name: str, index: Value | int, value: Value) -> None:
        """Set bits of an element whose other bits stay; all of them are 0 at first."""
        self._write((name, index), value, add=True)

    def _write(self, place: str | tuple[str, Value | int], value: Value, *, add: bool) -> None:
        name, index = place if isinstance(place, tuple) else (place, 0)
        assert self._layout.fields is not None
        dtype, offset = self._layout.fields[name][:2]
        base = (dtype.subdtype or (dtype,))[0]
        element = Type(base.kind, 8 * base.itemsize)
        bits = value.to(element).bits_as(Type("u", element.bits) * LANES)
        first = value.k.integer(index) * base.itemsize + offset
        for byte in range(base.itemsize):
            part = (bits >> 8 * byte).to(u8)
            self.column[first + byte] = self.column[first + byte] | part if add else part


def transposed(k: Builder, rows: Sequence[Value]) -> list[Value]:
    """``LANES`` vectors whose lane j of vector i is lane i of row j.

    Each turn interleaves the first half of the rows with the second, which moves the upper bit of
    an element's row to the lower end of its column.
    """
    half = LANES // 2
    low, high = (
        [lane + side for lane in range(start, start + half) for side in (0, LANES)]
        for start in (0, half)
    )
    vectors = list(rows)
    for _ in range(LANES.bit_length() - 1):
        pairs = list(zip(vectors[:half], vectors[half:], strict=True))
        vectors = [k.shuffle(a, b, lanes) for a, b in pairs for lanes in (low, high)]
    return vectors


def load_rows(k: Builder, rows: Sequence[Pointer], column: Column, count: Value | int) -> None:
    """Copy ``count`` numbers, a multiple of ``LANES``, of each of ``LANES`` rows to a column."""
    with k.loop(0, count, LANES) as i:
        for j, value in enumerate(transposed(k, [row.load(i, LANES) for row in rows])):
            column[i + j] = value


def store_blocks(k: Builder, column: Column, out: Pointer, size: int, valid: Value) -> None:
    """Write the first ``valid`` of ``LANES`` blocks of ``size`` bytes, at least ``LANES``."""

    def store(start: Value | int) -> None:
        for lane, part in enumerate(transposed(k, [column[start + j] for j in range(LANES)])):
            out.store(k.integer(start) + lane * size, part)

    with k.either(valid >= LANES) as (whole, rest):
        with whole:
            with k.loop(0, size // LANES * LANES, LANES) as i:
                store(i)
            if size % LANES:
                store(size - LANES)
        with rest, k.loop(valid) as lane, k.loop(size) as byte:
            out[lane * size + byte] = column.place[byte * LANES + lane]


def summed(
    k: Builder, count: Value | int, n: int, terms: Callable[[Value], Sequence[Value]]
) -> list[Value]:
    """The ``n`` sums of what ``terms(i)`` gives for i from 0 to ``count``, added up in order."""
    totals = [k.variable(k.zero(f32 * LANES)) for _ in range(n)]
    with k.loop(count) as i:
        for total, term in zip(totals, terms(i), strict=True):
            total.value = total.value + term
    return [total.value for total in totals]


def largest(k: Builder, values: Column, count: int) -> Value:
    """The value of largest magnitude, the first one of several."""
    peak = k.variable(values[0])
    with k.loop(1, count) as i:
        value = values[i]
        peak.value = k.select(k.abs(value) > k.abs(peak.value), value, peak.value)
    return peak.value


def largest_magnitude(k: Builder, values: Column, count: int) -> Value:
    """The largest magnitude."""
    return k.abs(largest(k, values, count))


def rounded(k: Builder, value: Value, low: int | None, high: int) -> Value:
    """Nearest whole number, ties to even, from ``low`` (if any) to ``high``; a NaN stays one."""
    whole = k.min(k.like(value, high), k.round(value))
    return whole if low is None else k.max(k.like(value, low), whole)


def splat(k: Builder, number: float) -> Value:
    """A float in all lanes."""
    return k.const(f32 * LANES, number)


def codes_of(value: Value) -> Value:
    """Whole numbers 0..255 as bytes."""
    return value.to(i32).to(u8)


def where(condition: Value, yes: Value, no: float = 0) -> Value:
    """``yes`` where the condition holds, else a constant."""
    k = yes.k
    return k.select(condition, yes, k.like(yes, no))
