"""Float32 panels: blocks are unpacked once, and all tokens of the batch reuse them.

The lanes of a vector are tokens; a register tile is ``tile_rows`` rows of weights (each element
broadcast) by ``tile_vectors`` vectors of tokens::

    packed x   [tile of tokens][width][tokens in the tile]   f32
    panel      [PANEL_ROWS][DEPTH]                           f32, in the worker's scratch memory
    sums       [PANEL_ROWS][tokens]                          f32, in the worker's scratch memory
"""

from __future__ import annotations

from pyllama.gguf.types import TensorType
from pyllama.kernels.formats import FORMATS, QuantizedFormat
from pyllama.kernels.isa.base import ISA
from pyllama.kernels.kernel import Fields
from pyllama.kernels.language import Builder, Pointer, Value
from pyllama.kernels.prefetch import prefetch_rows
from pyllama.kernels.types import f32, i64

PANEL_ROWS = 64
"""Rows of weights that one task unpacks."""

DEPTH = 256
"""Weights of each row that are unpacked at a time: a panel and a tile of tokens stay in cache."""


def tile_tokens(isa: ISA) -> int:
    """Tokens in a register tile."""
    return isa.tile_vectors * isa.vector_bytes // f32.bytes


def scratch_bytes(tokens: int, matrices: int = 1) -> int:
    """Scratch memory of a worker; ``tokens`` is padded to whole tiles."""
    return PANEL_ROWS * (DEPTH + matrices * tokens) * f32.bytes


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
    tile = tile_tokens(k.isa)
    with k.loop(0, a.width, DEPTH) as start:
        depth = k.min(a.width - start, k.const(i64, DEPTH))
        with k.loop(count) as r:
            row = weights.at(r * a.row_bytes)
            prefetch_rows(k, type, row, a.row_bytes, start, DEPTH)
            _unpack(k, type, row, start, depth, panel.at(r * DEPTH))
        with k.loop(0, padded, tile) as t, k.loop(0, count, k.isa.tile_rows) as r:
            x = a.x.at(t * a.width + start * tile)
            place = sums.at(r * padded + t)
            _multiply(k, panel.at(r * DEPTH), x, depth, place, padded, start.equals(0))


def _unpack(
    k: Builder, type: TensorType, row: Pointer, start: Value, depth: Value, panel: Pointer
) -> None:
    """Weights ``start .. start + depth`` of a row as float32."""
    fmt = FORMATS[type]
    size = fmt.block_size if isinstance(fmt, QuantizedFormat) else k.f32_lanes
    whole = depth // size * size
    with k.loop(0, whole, size) as i:
        at = 0
        for value in fmt.floats(k, row, start + i, size):
            panel.store(i + at, value)
            at += value.type.lanes
    if not isinstance(fmt, QuantizedFormat):
        with k.loop(whole, depth) as i:
            panel[i] = fmt.load(k, row, start + i, 1)


def _multiply(
    k: Builder,
    panel: Pointer,
    x: Pointer,
    depth: Value,
    sums: Pointer,
    stride: Value,
    is_first: Value,
) -> None:
    """Add the products of a register tile to its sums."""
    height, vectors, lanes = k.isa.tile_rows, k.isa.tile_vectors, k.f32_lanes
    places = [[sums.at(stride * r + v * lanes) for v in range(vectors)] for r in range(height)]
    zero = k.zero(f32 * lanes)
    totals = [
        [k.variable(k.select(is_first, zero, place.load(0, lanes))) for place in row]
        for row in places
    ]
    unroll = 4
    whole = depth // unroll * unroll
    for start, stop, count in ((0, whole, unroll), (whole, depth, 1)):
        with k.loop(start, stop, count) as base:
            for u in range(count):
                i = base + u
                tokens = [x.load((i * vectors + v) * lanes, lanes) for v in range(vectors)]
                for r in range(height):
                    w = k.splat(panel[i + r * DEPTH], lanes)
                    for v, total in enumerate(totals[r]):
                        total.value = k.fma(w, tokens[v], total.value)
    for row, values in zip(places, totals, strict=True):
        for place, total in zip(row, values, strict=True):
            place.store(0, total.value)
