"""Decode matmul: a few tokens against weights that are read once, in place, at memory speed.

Every row of weights is one stream; several accumulators hide the latency of the additions and
software prefetch runs ahead of the loads. ``columns`` tokens share each block that is unpacked.
"""

from __future__ import annotations

from pyllama.gguf.types import TensorType
from pyllama.kernels.activation import Record, padded
from pyllama.kernels.epilogue import finish
from pyllama.kernels.formats import FORMATS, FloatFormat, QuantizedFormat
from pyllama.kernels.formats.base import Block, Piece
from pyllama.kernels.gates import GATES
from pyllama.kernels.kernel import Array, Fields, kernel
from pyllama.kernels.language import Builder, Pointer, Value, Variable
from pyllama.kernels.prefetch import prefetch_ahead
from pyllama.kernels.types import f32, i32, i64, u8

UNROLL_BYTES = 128
"""Bytes of weights that one turn of the inner loop reads at least: with fewer, most prefetches
would ask for a line that the last turn asked for."""

UNROLL_WEIGHTS = 256
"""Weights of a turn at most: with more, unpacked blocks no longer fit into registers."""

SUMS = 4
"""Accumulators of each kind, enough to hide the latency of an addition."""


@kernel(
    weights=Array(u8),  # (n_rows, row_bytes)
    row_bytes=i64,
    n_rows=i64,
    task_rows=i64,  # rows that one task computes
    x=Array(u8),  # (tokens, record): records in the format's order; f32 for float weights
    record=i64,  # bytes a token
    width=i64,  # weights in a row
    out=Array(f32),  # (tokens, stride)
    stride=i64,
    bias=Array(f32),  # (n_rows,)
    residual=Array(f32),  # (tokens, stride)
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
    first = task * a.task_rows
    with (
        k.loop(0, getattr(step, rows), columns) as t,
        k.loop(first, k.min(first + a.task_rows, a.n_rows)) as n,
    ):
        tokens = [a.x.at((t + c) * a.record) for c in range(columns)]
        totals = dot(k, type, a.weights.at(n * a.row_bytes), tokens, a.width)
        for c, total in enumerate(totals):
            finish(a, epilogue, t + c, n, total)


@kernel(
    gate=Array(u8),  # (n_rows, row_bytes)
    up=Array(u8),  # (n_rows, row_bytes)
    row_bytes=i64,
    n_rows=i64,
    task_rows=i64,
    x=Array(u8),
    record=i64,
    width=i64,
    out=Array(f32),  # (tokens, n_rows)
)
def gated_matvec(
    k: Builder,
    a: Fields,
    step: Fields,
    *,
    task: Value,
    thread: Value,
    type: TensorType,
    columns: int,
    rows: str,
    activation: str,
) -> None:
    """``out = activation(gate * x, up * x)``, otherwise as ``matvec``."""
    first = task * a.task_rows
    with (
        k.loop(0, getattr(step, rows), columns) as t,
        k.loop(first, k.min(first + a.task_rows, a.n_rows)) as n,
    ):
        tokens = [a.x.at((t + c) * a.record) for c in range(columns)]
        gates, ups = (
            dot(k, type, weights.at(n * a.row_bytes), tokens, a.width) for weights in (a.gate, a.up)
        )
        for c, (gate, up) in enumerate(zip(gates, ups, strict=True)):
            a.out[(t + c) * a.n_rows + n] = GATES[activation](k, gate, up)


def dot(
    k: Builder, type: TensorType, row: Pointer, tokens: list[Pointer], width: Value
) -> list[Value]:
    """Dot products of one row of weights with every token."""
    fmt = FORMATS[type]
    if isinstance(fmt, QuantizedFormat):
        return _quantized_dot(k, fmt, row, tokens, width)
    return _float_dot(k, fmt, row, tokens, width)


def _quantized_dot(
    k: Builder, fmt: QuantizedFormat, row: Pointer, tokens: list[Pointer], width: Value
) -> list[Value]:
    """Dot products of one row of blocks with int8 activations."""
    order = fmt.order(k.isa)
    together = max(1, order.span // fmt.block_size)
    unroll = together
    while unroll * fmt.type.block_bytes < UNROLL_BYTES and unroll * fmt.block_size < UNROLL_WEIGHTS:
        unroll *= 2
    blocks = width // fmt.block_size
    whole = blocks // unroll * unroll
    records = [Record(x, padded(width, order), order) for x in tokens]
    columns = [_Column(k, fmt, record, unroll) for record in records]
    spans: list[tuple[Value | int, Value, int]] = [(0, whole, unroll)]
    if unroll > 1:
        spans.append((whole, blocks, together))
    for start, stop, count in spans:
        with k.loop(start, stop, count) as b:
            prefetch_ahead(k, row.at(b * fmt.type.block_bytes), count * fmt.type.block_bytes)
            indices = [b + u for u in range(count)]
            if stop is blocks:  # what the row lacks for a span meets zeros
                indices = [k.min(i, blocks - 1) for i in indices]
            _add_blocks(k, fmt, [fmt.block(row, i) for i in indices], b, columns)
    return [column.total() for column in columns]


class _Column:
    """The running sums of one token; ``unroll`` blocks are added at a time, or one."""

    def __init__(self, k: Builder, fmt: QuantizedFormat, x: Record, unroll: int) -> None:
        self.k, self.x = k, x
        self.sums = [k.variable(k.zero(f32 * (fmt.piece_size(k) // 4))) for _ in range(SUMS)]
        offset_group = fmt.offset_group or fmt.group
        groups = fmt.block_size // offset_group
        self.offset_sums = {
            lanes: k.variable(k.zero(f32 * lanes)) for lanes in {groups, groups * unroll}
        }

    def total(self) -> Value:
        """The dot product."""
        total = _sum_of(self.sums).sum()
        for offsets in self.offset_sums.values():
            total = total + offsets.value.sum()
        return total


def _sum_of(variables: list[Variable]) -> Value:
    values = [v.value for v in variables]
    while len(values) > 1:
        pairs = [a + b for a, b in zip(values[::2], values[1::2], strict=False)]
        values = pairs + values[len(pairs) * 2 :]
    return values[0]


def _add_blocks(
    k: Builder, fmt: QuantizedFormat, blocks: list[Block], first: Value, columns: list[_Column]
) -> None:
    """Unpack some blocks and add their products to the sums of every token."""
    size = fmt.block_size * len(blocks)
    weights = fmt.unpacked(k, blocks)
    start, order = first * fmt.block_size, fmt.order(k.isa)
    q_bytes = fmt.block_size * order.bytes // order.span
    lanes, first_piece = fmt.piece_size(k) // 4, start // size * len(weights.pieces)
    for column in columns:
        d = column.x.d.load(start // order.group, size // order.group)
        scales = weights.scales * d.take(weights.chunks)
        for n, piece in enumerate(weights.pieces):
            begin = k.zero(i32 * lanes)
            if weights.lifted:
                begin = column.x.starts.load((first_piece + n) * lanes, lanes)
            products = _products(k, fmt, piece, column.x.q.at(first * q_bytes), begin)
            total = column.sums[n % SUMS]
            total.value = k.fma(products.to(f32), scales.take(piece.groups), total.value)
        if weights.offsets is not None:
            count = weights.offsets.type.lanes
            sums = column.x.sums(size // count).load(start * count // size, count)
            total = column.offset_sums[count]
            total.value = k.fma(weights.offsets, sums, total.value)


def _products(k: Builder, fmt: QuantizedFormat, piece: Piece, q: Pointer, start: Value) -> Value:
    """Sums of products of weights and activations, and of what they start with."""
    n = piece.vectors[0].type.lanes
    x = [q.load(place, n) for place in piece.places]
    if piece.negative:
        x = [k.isa.negated(k, *each) for each in zip(x, piece.negative, strict=True)]
    return fmt.dots(k, start, piece.vectors, x)


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
            prefetch_ahead(k, row.at(i * size), count * lanes * size)
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
