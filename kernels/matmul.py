"""Batch matmul: blocks are unpacked once into a panel that all tokens of the batch reuse.

The lanes of a vector are tokens. ``pack`` turns the activations round so that the same element of
neighbouring tokens is contiguous; then a register tile is ``tile_rows`` rows of weights (each
element broadcast) by ``tile_vectors`` vectors of tokens::

    packed x   [tile of tokens][width][tokens in the tile]   f32
    panel      [PANEL_ROWS][DEPTH]                           f32, in the worker's scratch memory
    sums       [PANEL_ROWS][tokens]                          f32, in the worker's scratch memory
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from pyllama.gguf.types import TensorType
from pyllama.kernels.epilogue import finish
from pyllama.kernels.formats import FORMATS, QuantizedFormat
from pyllama.kernels.gates import GATES
from pyllama.kernels.isa.base import ISA
from pyllama.kernels.kernel import Array, Fields, kernel
from pyllama.kernels.language import Builder, Pointer, Value
from pyllama.kernels.types import f32, i64, u8

PANEL_ROWS = 64
"""Rows of weights that one task unpacks."""

PREFETCH_ROWS = 4
"""How many rows prefetch runs ahead of unpacking."""

LINE_BYTES = 64

DEPTH = 256
"""Weights of each row that are unpacked at a time: a panel and a tile of tokens stay in cache."""


def tile_tokens(isa: ISA) -> int:
    """Tokens in a register tile."""
    return isa.tile_vectors * isa.vector_bytes // f32.bytes


def scratch_bytes(tokens: int, matrices: int = 1) -> int:
    """Scratch memory of a worker; ``tokens`` is padded to whole tiles."""
    return PANEL_ROWS * (DEPTH + matrices * tokens) * f32.bytes


def transpose(k: Builder, rows: list[Value]) -> list[Value]:
    """n vectors of n lanes, turned round: log2(n) perfect shuffles of all their elements."""
    n = len(rows)
    low = [lane for i in range(n // 2) for lane in (i, n + i)]
    high = [n // 2 + lane for lane in low]
    for _ in range(n.bit_length() - 1):
        pairs = zip(rows[: n // 2], rows[n // 2 :], strict=True)
        rows = [k.shuffle(a, b, half) for a, b in pairs for half in (low, high)]
    return rows


@kernel(x=Array(f32), out=Array(f32), width=i64)
def pack(k: Builder, a: Fields, step: Fields, *, task: Value, thread: Value, tokens: int) -> None:
    """x: (tokens, width) -> tiles of tokens, element by element. One task a tile.

    Elements are 32 bits of any kind.
    """
    rows = [a.x.at((task * tokens + i) * a.width) for i in range(tokens)]
    pack_rows(k, rows, a.width, a.out.at(task * tokens * a.width))


def pack_rows(k: Builder, rows: list[Pointer], width: Value, tile: Pointer) -> None:
    """Write the rows of a tile of tokens element by element."""
    lanes, tokens = k.f32_lanes, len(rows)
    whole = width // lanes * lanes
    for first in range(0, tokens, lanes):
        part = rows[first : first + lanes]
        with k.loop(0, whole, lanes) as i:
            columns = transpose(k, [row.load(i, lanes) for row in part])
            for c, column in enumerate(columns):
                tile.store((i + c) * tokens + first, column)
        with k.loop(whole, width) as i:
            for t, row in enumerate(part):
                tile[i * tokens + first + t] = row[i]


@kernel(
    weights=Array(u8),  # (n_rows, row_bytes)
    row_bytes=i64,
    n_rows=i64,
    x=Array(f32),  # packed activations
    width=i64,  # weights in a row
    out=Array(f32),  # (tokens, stride)
    stride=i64,
    bias=Array(f32),  # (n_rows,)
    residual=Array(f32),  # (tokens, stride)
)
def matmul(
    k: Builder,
    a: Fields,
    step: Fields,
    *,
    task: Value,
    thread: Value,
    type: TensorType,
    rows: str,
    epilogue: str,
) -> None:
    """``out[t, n] = sum over i of weights[n, i] * x[t, i]``. One task: ``PANEL_ROWS`` of n."""
    tokens = getattr(step, rows)
    tile = tile_tokens(k.isa)
    padded = (tokens + (tile - 1)) // tile * tile
    first = task * PANEL_ROWS
    count = k.min(a.n_rows - first, k.const(i64, PANEL_ROWS))
    panel = step.scratch.at(thread * step.scratch_stride).of(f32)
    sums = panel.at(PANEL_ROWS * DEPTH)
    accumulate(k, a, type, a.weights.at(first * a.row_bytes), count, panel, sums, padded)
    write_sums(k, partial(finish, a, epilogue), sums, first, count, tokens, padded)


@kernel(
    gate=Array(u8),  # (n_rows, row_bytes)
    up=Array(u8),  # (n_rows, row_bytes)
    row_bytes=i64,
    n_rows=i64,
    x=Array(f32),
    width=i64,
    out=Array(f32),  # (tokens, stride)
    stride=i64,
)
def gated_matmul(
    k: Builder,
    a: Fields,
    step: Fields,
    *,
    task: Value,
    thread: Value,
    type: TensorType,
    rows: str,
    activation: str,
) -> None:
    """``out = activation(gate * x, up * x)``, otherwise as ``matmul``."""
    tokens = getattr(step, rows)
    tile = tile_tokens(k.isa)
    padded = (tokens + (tile - 1)) // tile * tile
    first = task * PANEL_ROWS
    count = k.min(a.n_rows - first, k.const(i64, PANEL_ROWS))
    panel = step.scratch.at(thread * step.scratch_stride).of(f32)
    gates = panel.at(PANEL_ROWS * DEPTH)
    ups = gates.at(padded * PANEL_ROWS)
    for weights, sums in ((a.gate, gates), (a.up, ups)):
        accumulate(k, a, type, weights.at(first * a.row_bytes), count, panel, sums, padded)
    gate(k, activation, gates, ups, count, padded)
    write_sums(k, partial(finish, a, "none"), gates, first, count, tokens, padded)


def gate(
    k: Builder, activation: str, gates: Pointer, ups: Pointer, count: Value, stride: Value
) -> None:
    """What gates let through of ``count`` rows, in their place; strides are whole vectors."""
    with k.loop(0, count * stride, k.f32_lanes) as i:
        pair = gates.load(i, k.f32_lanes), ups.load(i, k.f32_lanes)
        gates.store(i, GATES[activation](k, *pair))


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


def prefetch_rows(
    k: Builder,
    type: TensorType,
    row: Pointer,
    row_bytes: Value,
    start: Value,
    depth: int,
) -> None:
    """Ask for the same part of a row further on: the jumps from row to row are hard to foresee."""
    place = row.at(row_bytes * PREFETCH_ROWS + start // type.block_size * type.block_bytes)
    for line in range(0, depth // type.block_size * type.block_bytes, LINE_BYTES):
        k.prefetch(place, line, level=1)


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


def write_sums(
    k: Builder,
    put: Callable[[Value, Value, Value], None],
    sums: Pointer,
    first: Value,
    count: Value,
    tokens: Value,
    stride: Value,
) -> None:
    """Turn the sums round and put them out, token by token.

    ``put(token, n, total)`` gets one sum, or as many neighbouring ones as ``total`` has lanes.
    """
    lanes = k.f32_lanes
    whole = count // lanes * lanes
    with k.loop(0, tokens, lanes) as t:
        here = k.min(tokens - t, k.const(i64, lanes))
        with k.loop(0, whole, lanes) as r:
            block = [sums.at((r + i) * stride).load(t, lanes) for i in range(lanes)]
            columns = transpose(k, block)
            for c, column in enumerate(columns):
                with k.when(here > c):
                    put(t + c, first + r, column)
        with k.loop(whole, count) as r, k.loop(t, t + here) as token:
            put(token, first + r, sums[r * stride + token])
