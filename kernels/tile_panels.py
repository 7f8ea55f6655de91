"""Panels of bfloat16 for tiles (AMX): the same plan as ``float_panels``, in other units.

Weights are the left operand as they are, activations the right one, which ``pack_tiles`` arranges
(see ``amx``)::

    packed x   [tile of tokens][width / 32][16 pairs of elements][16 tokens][2]   bf16
    panel      [tile of rows][PANEL_DEPTH / 32][16 rows][32 elements]             bf16
    sums       [rows][tokens]                                                     f32
"""

from __future__ import annotations

from collections.abc import Callable

from pyllama.gguf.types import TensorType
from pyllama.kernels import amx
from pyllama.kernels.amx import BLOCK, DEPTH, EDGE, TILE_BYTES
from pyllama.kernels.formats import FORMATS, QuantizedFormat
from pyllama.kernels.formats.base import Block
from pyllama.kernels.kernel import Array, Fields, kernel
from pyllama.kernels.language import Builder, Pointer, Value
from pyllama.kernels.prefetch import prefetch_rows
from pyllama.kernels.transpose import transpose
from pyllama.kernels.types import f32, i64, u16, u32

PANEL_DEPTH = 512
"""Elements of each row that are unpacked at a time: a block of tokens so deep stays in the first
cache while a panel of weights streams past it from the second."""


def packed_bytes(tokens: int, width: int) -> int:
    """Bytes of packed activations; ``tokens`` is padded to whole blocks."""
    return tokens * -(-width // DEPTH) * DEPTH * 2


def scratch_bytes(rows: int, tokens: int, matrices: int = 1) -> int:
    """Scratch memory of a worker for tasks of so many rows; ``tokens`` is padded."""
    return rows * (PANEL_DEPTH * 2 + matrices * tokens * f32.bytes)


@kernel(x=Array(f32), out=Array(u32), width=i64)
def pack_tiles(k: Builder, a: Fields, step: Fields, *, task: Value, thread: Value) -> None:
    """x: (tokens, width) f32 -> tiles of 16 tokens. One task a tile. Missing elements are 0."""
    rows = [a.x.at((task * EDGE + i) * a.width) for i in range(EDGE)]
    pack_tile(k, rows, a.width, a.out.at(task * tile_words(a.width)))


def tile_words(width: Value) -> Value:
    """Words of 32 bits of a tile of 16 packed tokens."""
    return (width + (DEPTH - 1)) // DEPTH * (TILE_BYTES // u32.bytes)


def pack_tile(k: Builder, rows: list[Pointer], width: Value, tile: Pointer) -> None:
    """Write 16 rows as a tile of tokens."""
    depths = (width + (DEPTH - 1)) // DEPTH
    whole = width // DEPTH
    with k.loop(whole) as d:
        _store_turned(k, [row.load(d * DEPTH, DEPTH) for row in rows], tile, d)
    with k.when(whole < depths):
        rest = k.scratch(f32, EDGE * DEPTH)
        for i, row in enumerate(rows):
            rest.store(i * DEPTH, k.zero(f32 * DEPTH))
            with k.loop(whole * DEPTH, width) as e:
                rest[e - whole * DEPTH + i * DEPTH] = row[e]
        values = [rest.load(i * DEPTH, DEPTH) for i in range(EDGE)]
        _store_turned(k, values, tile, whole)


def _store_turned(k: Builder, rows: list[Value], tile: Pointer, depth: Value) -> None:
    """Round 16 tokens of 32 elements and write them as 16 pairs of elements of 16 tokens."""
    pairs = [k.isa.f32_to_bf16(k, row).bits_as(u32 * EDGE) for row in rows]
    for p, pair in enumerate(transpose(k, pairs)):
        tile.store((depth * EDGE + p) * EDGE, pair)


def write_tiles(
    k: Builder,
    a: Fields,
    value: Callable[[Value, Value, int], Value],
    first: Value,
    count: Value,
    padded: Value,
) -> None:
    """Write ``count`` of the ``n_rows`` rows packed for the next matmul.

    ``value(r, t, lanes)``: row ``first + r`` of the tokens from t on.
    """
    with k.loop(0, count, 2) as r, k.loop(0, padded, EDGE) as t:
        pair = [value(row, t, EDGE) for row in (r, r + 1)]
        n = first + r
        tile = (t // EDGE * (a.n_rows // DEPTH) + n // DEPTH) * TILE_BYTES
        amx.store_pairs(k, pair, a.out.at(tile + n % DEPTH // 2 * (DEPTH * 2)))


def accumulate(
    k: Builder,
    a: Fields,
    type: TensorType,
    weights: Pointer,
    count: Value,
    panel: Pointer,
    sums: Pointer,
    padded: Value,
) -> None:
    """sums: (count, padded) products of some rows of weights with all tokens."""
    depths = (a.width + (DEPTH - 1)) // DEPTH
    with k.loop(0, a.width, PANEL_DEPTH) as start:
        depth = k.min(a.width - start, k.const(i64, PANEL_DEPTH))
        with k.loop(count) as r:
            place = panel.at(r // EDGE * (EDGE * PANEL_DEPTH * 2) + r % EDGE * (DEPTH * 2))
            row = weights.at(r * a.row_bytes)
            prefetch_rows(k, type, row, a.row_bytes, start, PANEL_DEPTH)
            _unpack(k, type, row, start, depth, place.of(u16))
        with k.loop(0, padded, BLOCK) as t, k.loop(0, count, BLOCK) as r:
            x = a.x.at((t // EDGE * depths + start // DEPTH) * TILE_BYTES)
            amx.multiply_block(
                k,
                (panel.at(r * (PANEL_DEPTH * 2)), panel.at((r + EDGE) * (PANEL_DEPTH * 2))),
                (x, x.at(depths * TILE_BYTES)),
                (depth + (DEPTH - 1)) // DEPTH,
                sums.at(r * padded + t),
                padded,
                from_zero=start.equals(0),
            )


def _unpack(
    k: Builder, type: TensorType, row: Pointer, start: Value, depth: Value, panel: Pointer
) -> None:
    """Weights ``start .. start + depth`` of a row as bfloat16, 32 of them in each tile."""
    fmt = FORMATS[type]
    if isinstance(fmt, QuantizedFormat) and fmt.levels:
        with k.loop(0, depth, fmt.block_size) as i:
            _unpack_codes(k, fmt, fmt.block(row, (start + i) // fmt.block_size), panel.at(i * EDGE))
        return
    size = fmt.block_size if isinstance(fmt, QuantizedFormat) else DEPTH
    whole = depth // size * size
    with k.loop(0, whole, size) as i:
        parts: list[Value] = []
        at = 0
        for value in fmt.floats(k, row, start + i, size):
            parts.append(value)
            if sum(part.type.lanes for part in parts) == DEPTH:
                panel.store((i + at) * EDGE, k.isa.f32_to_bf16(k, k.concat(parts)))
                parts, at = [], at + DEPTH
    if not isinstance(fmt, QuantizedFormat):
        rest = panel.at(whole * EDGE)
        with k.when(whole < depth):
            rest.store(0, k.zero(u16 * DEPTH))
        with k.loop(depth - whole) as i:
            rest[i] = k.isa.f32_to_bf16(k, fmt.load(k, row, start + whole + i, 1))


def _unpack_codes(k: Builder, fmt: QuantizedFormat, block: Block, panel: Pointer) -> None:
    """A block whose groups have 16 possible weights each: these are computed, then picked."""
    levels = k.vector(f32, fmt.levels)
    scales = fmt.scales(k, block)
    offsets = fmt.offsets(k, block, scales)
    chunks = fmt.codes(k, block)
    for first in range(0, len(chunks), 2):
        tables = []
        for c in range(first, min(first + 2, len(chunks))):
            scale = scales.take([c] * EDGE)
            possible = levels * scale
            if offsets is not None:
                possible = k.fma(levels, scale, offsets.take([c] * EDGE))
            tables.append(possible)
        table = k.isa.f32_to_bf16(k, k.concat([tables[0], tables[-1]]))
        for c, codes in enumerate(chunks[first : first + 2]):
            index = codes.to(u16) + EDGE * c
            panel.store((first + c) * (DEPTH * EDGE), amx.picked(k, table, index))
