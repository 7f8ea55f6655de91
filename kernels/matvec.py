"""Decode matmul: a few tokens against weights that are read once, in place, at memory speed.

Every row of weights is one stream; several accumulators hide the latency of the additions and
software prefetch runs ahead of the loads. ``columns`` tokens share each block that is unpacked.
"""

from __future__ import annotations

from pyllama.gguf.types import TensorType
from pyllama.kernels.activation import Record
from pyllama.kernels.epilogue import finish
from pyllama.kernels.formats import FORMATS, FloatFormat, QuantizedFormat
from pyllama.kernels.formats.base import CHUNK
from pyllama.kernels.kernel import Array, Fields, kernel
from pyllama.kernels.language import Builder, Pointer, Value, Variable
from pyllama.kernels.types import f32, i32, i64, u8

PREFETCH_BYTES = 1536
"""How far prefetch runs ahead: far enough for memory, near enough to stay in the first cache."""

LINE_BYTES = 64


@kernel(
    weights=Array(u8),  # (n_rows, row_bytes)
    row_bytes=i64,
    n_rows=i64,
    task_rows=i64,  # rows that one task computes
    x=Array(u8),  # (tokens, record): activation records, or f32 for float weights
    record=i64,  # bytes a token
    width=i64,  # weights in a row
    out=Array(f32),  # (tokens, stride)
    stride=i64,
    extra=Array(f32),  # bias (n_rows,) or residual (tokens, stride)
)
def matvec(
    k: Builder,
    a: Fields,
    step: Fields,
    *,
    task: Value,
    thread: Value,
    type: TensorType,
    columns: int,
    rows: str,
    epilogue: str,
) -> None:
    """``out[t, n] = sum over i of weights[n, i] * x[t, i]``, for all tokens t. One task: some n."""
    fmt = FORMATS[type]
    first = task * a.task_rows
    with (
        k.loop(0, getattr(step, rows), columns) as t,
        k.loop(first, k.min(first + a.task_rows, a.n_rows)) as n,
    ):
        tokens = [a.x.at((t + c) * a.record) for c in range(columns)]
        row = a.weights.at(n * a.row_bytes)
        if isinstance(fmt, QuantizedFormat):
            totals = _quantized_dot(k, fmt, row, tokens, a.width)
        else:
            totals = _float_dot(k, fmt, row, tokens, a.width)
        for c, total in enumerate(totals):
            finish(a, epilogue, t + c, n, total)


def _quantized_dot(
    k: Builder, fmt: QuantizedFormat, row: Pointer, tokens: list[Pointer], width: Value
) -> list[Value]:
    """Dot products of one row of blocks with int8 activations."""
    unroll = max(1, 4 * CHUNK // fmt.block_size)
    blocks = width // fmt.block_size
    whole = blocks // unroll * unroll
    columns = [_Column(k, fmt, Record(x, width), unroll) for x in tokens]
    for start, stop, count in ((0, whole, unroll), (whole, blocks, 1)):
        if unroll == 1 and count == 1 and start is whole:
            break
        with k.loop(start, stop, count) as b:
            for line in range(0, count * fmt.type.block_bytes, LINE_BYTES):
                k.prefetch(row.at(b * fmt.type.block_bytes), PREFETCH_BYTES + line)
            for u in range(count):
                _add_block(k, fmt, row, b + u, columns, u)
    return [column.total() for column in columns]


class _Column:
    """The running sums of one token."""

    def __init__(self, k: Builder, fmt: QuantizedFormat, x: Record, unroll: int) -> None:
        self.k, self.x = k, x
        per_block = fmt.block_size // CHUNK
        self.joined = max(1, min(per_block, k.isa.dot_lanes // CHUNK))
        self.lanes = CHUNK * self.joined
        self.sums = [k.variable(k.zero(f32 * (self.lanes // 4))) for _ in range(4)]
        offsets = fmt.block_size // fmt.offset_group if fmt.offset_group else 0
        self.offset_sums = [k.variable(k.zero(f32 * offsets)) for _ in range(unroll) if offsets]

    def total(self) -> Value:
        total = _sum_of(self.sums).sum()
        return total + _sum_of(self.offset_sums).sum() if self.offset_sums else total


def _sum_of(variables: list[Variable]) -> Value:
    values = [v.value for v in variables]
    while len(values) > 1:
        pairs = [a + b for a, b in zip(values[::2], values[1::2], strict=False)]
        values = pairs + values[len(pairs) * 2 :]
    return values[0]


def _add_block(
    k: Builder,
    fmt: QuantizedFormat,
    row: Pointer,
    index: Value,
    columns: list[_Column],
    turn: int,
) -> None:
    """Unpack one block and add its products to the sums of every token."""
    block = fmt.block(row, index)
    scales, lanes = fmt.scales(k, block), fmt.lanes(k, block)
    offsets = fmt.offsets(k, block, scales)
    first_group = index * (fmt.block_size // CHUNK)
    groups_of_scales = range(fmt.block_size // fmt.group)
    for column in columns:
        d = column.x.d.load(first_group, fmt.block_size // CHUNK)
        scale = scales * d.take([g * fmt.group // CHUNK for g in groups_of_scales])
        for c in range(0, len(lanes), column.joined):
            w = k.concat(lanes[c : c + column.joined])
            x = column.x.q.load(index * fmt.block_size + c * CHUNK, column.lanes)
            products = k.isa.dot(k, k.zero(i32 * (column.lanes // 4)), w, x).to(f32)
            spread = [(c * CHUNK + 4 * i) // fmt.group for i in range(column.lanes // 4)]
            total = column.sums[(turn + c // column.joined) % len(column.sums)]
            total.value = k.fma(products, scale.take(spread), total.value)
        if offsets is not None:
            groups = fmt.block_size // fmt.offset_group
            sums = column.x.sums(fmt.offset_group).load(index * groups, groups)
            total = column.offset_sums[turn]
            total.value = k.fma(offsets, sums, total.value)


def _float_dot(
    k: Builder, fmt: FloatFormat, row: Pointer, tokens: list[Pointer], width: Value
) -> list[Value]:
    """Dot products of one row of floats with float32 activations."""
    lanes, unroll = k.f32_lanes, 4
    xs = [x.of(f32) for x in tokens]
    sums = [[k.variable(k.zero(f32 * lanes)) for _ in range(unroll)] for _ in xs]
    tails = [k.variable(k.zero(f32)) for _ in xs]
    step = lanes * unroll
    whole, vectors = width // step * step, width // lanes * lanes
    for start, stop, count in ((0, whole, unroll), (whole, vectors, 1)):
        with k.loop(start, stop, lanes * count) as i:
            size = fmt.element.bytes
            for line in range(0, count * lanes * size, LINE_BYTES):
                k.prefetch(row.at(i * size), PREFETCH_BYTES + line)
            for u in range(count):
                w = fmt.load(k, row, i + u * lanes, lanes)
                for x, column in zip(xs, sums, strict=True):
                    total = column[u]
                    total.value = k.fma(w, x.load(i + u * lanes, lanes), total.value)
    with k.loop(vectors, width) as i:
        w = fmt.load(k, row, i, 1)
        for x, tail in zip(xs, tails, strict=True):
            tail.value = k.fma(w, x[i], tail.value)
    return [_sum_of(c).sum() + tail.value for c, tail in zip(sums, tails, strict=True)]
