"""The tile registers of AMX: eight tiles of 16 rows of 64 bytes, and blocks of two by two.

One instruction multiplies a tile of 16 x 32 bfloat16 by one of 32 x 16 and adds to a tile of
16 x 16 float32: 16384 operations. The right operand holds pairs of neighbouring elements side by
side, ``[16 pairs][16 columns][2]``. A register block multiplies two tiles of rows by two of
columns, so that every tile that is loaded is used twice.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pyllama.kernels.language import Builder, Pointer, Value
from pyllama.kernels.types import f32, i8, i64, u8, u16

EDGE = 16
"""Rows of a tile, and columns of a product."""

DEPTH = 32
"""Elements of bfloat16 in a row of a tile."""

TILE_BYTES = EDGE * DEPTH * 2

BLOCK = 2 * EDGE
"""Rows, and columns, of a register block."""

_SUMS, _ROWS, _COLUMNS = (0, 1, 2, 3), (4, 5), (6, 7)
"""Numbers of the tile registers."""

_LOAD = dict.fromkeys(_COLUMNS, "tileloadd64") | dict.fromkeys(_ROWS, "tileloaddt164")
"""Rows stream past columns that stay in the first cache. The hint that they will not be used again
keeps them from driving those out (measured: 1.38 instead of 1.19 TFLOP/s a core)."""


def configuration() -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    """What ``ldtilecfg`` loads: palette 1, eight tiles of 16 rows of 64 bytes."""
    config = np.zeros(64, np.uint8)
    config[0] = 1
    config[16:32:2] = DEPTH * 2
    config[48:56] = EDGE
    return config


def start(k: Builder) -> None:
    """Give the tile registers their shapes."""
    k.call("llvm.x86.ldtilecfg", None, k.table(u8, configuration()).address)


def stop(k: Builder) -> None:
    """Give the tile registers back, so that the thread's state is small again."""
    k.call("llvm.x86.tilerelease", None)


def multiply_block(
    k: Builder,
    rows: tuple[Pointer, Pointer],
    columns: tuple[Pointer, Pointer],
    steps: Value | int,
    sums: Pointer,
    stride: Value,
    from_zero: Value | bool,
) -> None:
    """Add the products of two tiles of rows and two of columns to 32 x 32 sums.

    rows, columns: where the first of ``steps`` tiles stands, the others behind it. sums: f32, rows
    ``stride`` elements apart; they start from zero where ``from_zero`` holds.
    """
    places = [sums.at(stride * (EDGE * r) + EDGE * c) for r in range(2) for c in range(2)]
    row_bytes = stride * f32.bytes
    if isinstance(from_zero, Value):
        with k.either(from_zero) as (then, otherwise):
            with then:
                _begin(k, None, row_bytes)
            with otherwise:
                _begin(k, places, row_bytes)
    else:
        _begin(k, None if from_zero else places, row_bytes)
    line = k.const(i64, DEPTH * 2)
    with k.loop(steps) as s:
        for number, place in zip((*_ROWS, *_COLUMNS), (*rows, *columns), strict=True):
            _move(k, _LOAD[number], number, place.of(u8).at(s * TILE_BYTES), line)
        for i, number in enumerate(_SUMS):
            operands = (number, _ROWS[i // 2], _COLUMNS[i % 2])
            k.call("llvm.x86.tdpbf16ps", None, *(k.const(i8, n) for n in operands))
    for number, place in zip(_SUMS, places, strict=True):
        _move(k, "tilestored64", number, place, row_bytes)


def _begin(k: Builder, places: list[Pointer] | None, row_bytes: Value) -> None:
    """Set the sums to zero or to what memory holds."""
    for i, number in enumerate(_SUMS):
        if places is None:
            k.call("llvm.x86.tilezero", None, k.const(i8, number))
        else:
            _move(k, "tileloadd64", number, places[i], row_bytes)


def _move(k: Builder, operation: str, number: int, place: Pointer, row_bytes: Value) -> None:
    """Load or store a tile whose rows are ``row_bytes`` apart."""
    k.call(f"llvm.x86.{operation}", None, k.const(i8, number), place.address, row_bytes)


def store_pairs(k: Builder, pair: Sequence[Value], place: Pointer) -> None:
    """Write a row of a right operand: 16 columns of two neighbouring elements, f32 each."""
    even, odd = pair
    both = k.shuffle(even, odd, [i + side for i in range(EDGE) for side in (0, EDGE)])
    place.of(u16).store(0, k.isa.f32_to_bf16(k, both))


def picked(k: Builder, table: Value, index: Value) -> Value:
    """``table[index]``: both (32,) u16, the indices below 32."""
    return k.call("llvm.x86.avx512.permvar.hi.512", table.type, table, index)
