"""The kernels that encode: blocks of every type, and plain floats."""

from __future__ import annotations

from pyllama.gguf.types import TensorType
from pyllama.kernels.encode import ENCODERS
from pyllama.kernels.encode.base import Encoder, Task
from pyllama.kernels.encode.lanes import LANES, BlockBytes, Scratch, load_rows, store_blocks
from pyllama.kernels.encode.rounding import Grid
from pyllama.kernels.isa.base import ISA
from pyllama.kernels.kernel import Array, Fields, kernel
from pyllama.kernels.language import Builder, Value
from pyllama.kernels.types import f16, f32, i64, u8, u16, u32
from pyllama.quants import FORMATS as REFERENCE
from pyllama.quants import grid
from pyllama.quants.grid_search import grid_map


@kernel(
    values=Array(f32),  # (n_blocks, block size)
    n_blocks=i64,
    task_blocks=i64,  # blocks that one task encodes
    out=Array(u8),  # (n_blocks, block bytes)
    row_blocks=i64,  # blocks in a row
    importance=Array(f32),  # (row_blocks, block size)
    row_squares=Array(f32),  # (rows,) mean squares
    grid_indices=Array(u16),  # see GridTables
    grid_entries=Array(u32),
    grid_neighbours=Array(u32),
)
def encode_blocks(
    k: Builder,
    a: Fields,
    step: Fields,
    *,
    task: Value,
    thread: Value,
    type: TensorType,
    weighted: bool,
) -> None:
    """``out = quantize(values)``, bit for bit what ``pyllama.quants`` makes of them.

    Importance and what belongs to it is read only where ``weighted``, the grid only where the
    encoder has one.
    """
    size, n_bytes = type.block_size, type.block_bytes
    encoder = ENCODERS[type]
    start = task * a.task_blocks
    end = k.min(start + a.task_blocks, a.n_blocks)
    with k.loop(start, end, LANES) as first:
        blocks = [k.min(first + lane, a.n_blocks - 1) for lane in range(LANES)]
        scratch = Scratch(step.scratch.at(thread * step.scratch_stride))
        values, weights = scratch.column(f32, size), scratch.column(f32, size)
        column = scratch.column(u8, n_bytes)
        with k.loop(n_bytes) as byte:
            column[byte] = k.zero(u8 * LANES)
        load_rows(k, [a.values.at(block * size) for block in blocks], values, size)
        row_square = None
        if weighted:
            places = [block % a.row_blocks * size for block in blocks]
            load_rows(k, [a.importance.at(place) for place in places], weights, size)
        if weighted and encoder.weighs_by_rows:
            row_square = k.concat([a.row_squares[block // a.row_blocks] for block in blocks])
        out = BlockBytes(column, REFERENCE[type].dtype)
        job = Task(k, values, weights, row_square, out, scratch, _grid(a, encoder))
        if weighted:
            encoder.encode_weighted(job)
        else:
            encoder.encode(job)
        store_blocks(k, column, a.out.at(first * n_bytes), n_bytes, end - first)


def _grid(a: Fields, encoder: Encoder) -> Grid | None:
    if encoder.grid is None:
        return None
    levels, width = grid_map(*encoder.grid).levels, grid(encoder.grid[0]).shape[1]
    return Grid(a.grid_indices, a.grid_entries, a.grid_neighbours, levels, width)


@kernel(values=Array(f32), n=i64, out=Array(u16))
def encode_floats(
    k: Builder, a: Fields, step: Fields, *, task: Value, thread: Value, type: TensorType
) -> None:
    """``out = values`` as F16 or BF16, rounded to nearest even. One task."""
    whole = a.n // LANES * LANES
    for start, stop, lanes in ((0, whole, LANES), (whole, a.n, 1)):
        with k.loop(start, stop, lanes) as i:
            value = a.values.load(i, lanes)
            if type is TensorType.F16:
                a.out.of(f16).store(i, value.to(f16))
            else:
                a.out.store(i, _to_bf16(k, value))


def _to_bf16(k: Builder, value: Value) -> Value:
    """The portable emission: instructions for it take subnormal numbers for zero."""
    return ISA.f32_to_bf16(k.isa, k, value)
