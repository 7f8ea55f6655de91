"""Batch matmul on tiles of bfloat16 (AMX): the same plan as ``matmul``, in other units.

A tile holds 16 rows of 64 bytes; one instruction multiplies two and adds to a third, 16384
operations. Weights are the left operand as they are; the right one wants pairs of neighbouring
elements side by side, which ``pack_tiles`` arranges. A register block is two tiles of weights by
two of tokens::

    packed x   [tile of tokens][width / 32][16 pairs of elements][16 tokens][2]   bf16
    panel      [tile of rows][DEPTH / 32][16 rows][32 elements]                   bf16
    sums       [rows][tokens]                                                     f32
"""

from __future__ import annotations

import numpy as np

from pyllama.gguf.types import TensorType
from pyllama.kernels.formats import FORMATS, QuantizedFormat
from pyllama.kernels.kernel import Array, Fields, kernel
from pyllama.kernels.language import Builder, Pointer, Value
from pyllama.kernels.matmul import transpose, write_sums
from pyllama.kernels.types import f32, i8, i64, u8, u16, u32

EDGE = 16
"""Rows of a tile, and tokens."""

ELEMENTS = 32
"""Elements of bfloat16 in a row of a tile."""

TILE_BYTES = EDGE * ELEMENTS * 2

BLOCK = 2 * EDGE
"""Rows, and tokens, of a register block."""

DEPTH = 512
"""Elements of each row that are unpacked at a time: a block of tokens so deep stays in the first
cache while a panel of weights streams past it from the second."""

_SUMS, _ROWS, _TOKENS = (0, 1, 2, 3), (4, 5), (6, 7)
"""Numbers of the tile registers."""


def configuration() -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    """What ``ldtilecfg`` loads: palette 1, eight tiles of 16 rows of 64 bytes."""
    config = np.zeros(64, np.uint8)
    config[0] = 1
    config[16:32:2] = ELEMENTS * 2
    config[48:56] = EDGE
    return config


def packed_bytes(tokens: int, width: int) -> int:
    """Bytes of packed activations; ``tokens`` is padded to whole blocks."""
    return tokens * -(-width // ELEMENTS) * ELEMENTS * 2


def scratch_bytes(rows: int, tokens: int) -> int:
    """Scratch memory of a worker for tasks of so many rows; ``tokens`` is padded."""
    return rows * (DEPTH * 2 + tokens * f32.bytes)


@kernel(x=Array(f32), out=Array(u32), width=i64)
def pack_tiles(k: Builder, a: Fields, step: Fields, *, task: Value, thread: Value) -> None:
    """x: (tokens, width) f32 -> tiles of 16 tokens. One task a tile. Missing elements are 0."""
    depths = (a.width + (ELEMENTS - 1)) // ELEMENTS
    tile = a.out.at(task * depths * (TILE_BYTES // u32.bytes))
    rows = [a.x.at((task * EDGE + i) * a.width) for i in range(EDGE)]
    whole = a.width // ELEMENTS
    with k.loop(whole) as d:
        _store_turned(k, [row.load(d * ELEMENTS, ELEMENTS) for row in rows], tile, d)
    with k.when(whole < depths):
        rest = k.scratch(f32, EDGE * ELEMENTS)
        for i, row in enumerate(rows):
            rest.store(i * ELEMENTS, k.zero(f32 * ELEMENTS))
            with k.loop(whole * ELEMENTS, a.width) as e:
                rest[e - whole * ELEMENTS + i * ELEMENTS] = row[e]
        values = [rest.load(i * ELEMENTS, ELEMENTS) for i in range(EDGE)]
        _store_turned(k, values, tile, whole)


def _store_turned(k: Builder, rows: list[Value], tile: Pointer, depth: Value) -> None:
    """Round 16 tokens of 32 elements and write them as 16 pairs of elements of 16 tokens."""
    pairs = [k.isa.f32_to_bf16(k, row).bits_as(u32 * EDGE) for row in rows]
    for p, pair in enumerate(transpose(k, pairs)):
        tile.store((depth * EDGE + p) * EDGE, pair)


@kernel(
    weights=Array(u8),  # (n_rows, row_bytes)
    row_bytes=i64,
    n_rows=i64,
    task_rows=i64,  # rows that one task computes, a multiple of BLOCK
    x=Array(u8),  # packed activations
    width=i64,  # weights in a row
    out=Array(f32),  # (tokens, stride)
    stride=i64,
    extra=Array(f32),  # bias (n_rows,) or residual (tokens, stride)
)
def tile_matmul(
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
    """``out[t, n] = sum over i of weights[n, i] * x[t, i]``. One task: ``task_rows`` of n."""
    tokens = getattr(step, rows)
    padded = (tokens + (BLOCK - 1)) // BLOCK * BLOCK
    first = task * a.task_rows
    count = k.min(a.n_rows - first, a.task_rows)
    depths = (a.width + (ELEMENTS - 1)) // ELEMENTS
    panel = step.scratch.at(thread * step.scratch_stride)
    sums = panel.at(a.task_rows * (DEPTH * 2)).of(f32)
    k.call("llvm.x86.ldtilecfg", None, k.table(u8, configuration()).address)
    with k.loop(0, a.width, DEPTH) as start:
        depth = k.min(a.width - start, k.const(i64, DEPTH))
        steps = (depth + (ELEMENTS - 1)) // ELEMENTS
        with k.loop(count) as r:
            place = panel.at(r // EDGE * (EDGE * DEPTH * 2) + r % EDGE * (ELEMENTS * 2))
            row = a.weights.at((first + r) * a.row_bytes)
            _unpack(k, type, row, start, depth, place.of(u16))
        with k.loop(0, padded, BLOCK) as t, k.loop(0, count, BLOCK) as r:
            x = a.x.at((t // EDGE * depths + start // ELEMENTS) * TILE_BYTES)
            _multiply(
                k,
                [panel.at((r // EDGE + i) * (EDGE * DEPTH * 2)) for i in range(2)],
                [x.at(depths * (TILE_BYTES * i)) for i in range(2)],
                steps,
                sums.at(r * padded + t),
                padded,
                start.equals(0),
            )
    k.call("llvm.x86.tilerelease", None)
    write_sums(k, a, epilogue, sums, first, count, tokens, padded)


def _unpack(
    k: Builder, type: TensorType, row: Pointer, start: Value, depth: Value, panel: Pointer
) -> None:
    """Weights ``start .. start + depth`` of a row as bfloat16, 32 of them in each tile."""
    fmt = FORMATS[type]
    size = fmt.block_size if isinstance(fmt, QuantizedFormat) else ELEMENTS
    whole = depth // size * size
    with k.loop(0, whole, size) as i:
        parts: list[Value] = []
        at = 0
        for value in fmt.floats(k, row, start + i, size):
            parts.append(value)
            if sum(part.type.lanes for part in parts) == ELEMENTS:
                panel.store((i + at) * EDGE, k.isa.f32_to_bf16(k, k.concat(parts)))
                parts, at = [], at + ELEMENTS
    if not isinstance(fmt, QuantizedFormat):
        rest = panel.at(whole * EDGE)
        with k.when(whole < depth):
            rest.store(0, k.zero(u16 * ELEMENTS))
        with k.loop(depth - whole) as i:
            rest[i] = k.isa.f32_to_bf16(k, fmt.load(k, row, start + whole + i, 1))


def _multiply(
    k: Builder,
    weights: list[Pointer],
    tokens: list[Pointer],
    steps: Value,
    sums: Pointer,
    stride: Value,
    is_first: Value,
) -> None:
    """Add the products of a register block to its sums."""
    places = [sums.at(stride * (EDGE * r) + EDGE * t) for r in range(2) for t in range(2)]
    row_bytes = stride * f32.bytes
    with k.either(is_first) as (then, otherwise):
        with then:
            for number in _SUMS:
                k.call("llvm.x86.tilezero", None, k.const(i8, number))
        with otherwise:
            for number, place in zip(_SUMS, places, strict=True):
                _move(k, "tileloadd64", number, place, row_bytes)
    line = k.const(i64, ELEMENTS * 2)
    with k.loop(steps) as s:
        for number, place in zip((*_ROWS, *_TOKENS), (*weights, *tokens), strict=True):
            _move(k, "tileloadd64", number, place.at(s * TILE_BYTES), line)
        for i, number in enumerate(_SUMS):
            operands = (number, _ROWS[i // 2], _TOKENS[i % 2])
            k.call("llvm.x86.tdpbf16ps", None, *(k.const(i8, n) for n in operands))
    for number, place in zip(_SUMS, places, strict=True):
        _move(k, "tilestored64", number, place, row_bytes)


def _move(k: Builder, operation: str, number: int, place: Pointer, row_bytes: Value) -> None:
    """Load or store a tile whose rows are ``row_bytes`` apart."""
    k.call(f"llvm.x86.{operation}", None, k.const(i8, number), place.address, row_bytes)
