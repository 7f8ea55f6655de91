"""Kernels on the heads of a row: their parts, and a matrix for each of them."""

from __future__ import annotations

from pyllama.gguf.types import TensorType
from pyllama.kernels.kernel import Array, Fields, kernel
from pyllama.kernels.language import Builder, Pointer, Value
from pyllama.kernels.matvec import dot
from pyllama.kernels.panels import PANELS
from pyllama.kernels.transpose import write_sums
from pyllama.kernels.types import f32, i64, u8, u32


@kernel(
    x=Array(f32),  # (tokens, heads, stride)
    heads=i64,
    stride=i64,
    first=i64,
    width=i64,
    out=Array(f32),  # (tokens, heads, width)
)
def head_part(k: Builder, a: Fields, step: Fields, *, task: Value, thread: Value) -> None:
    """``out = x[..., first : first + width]``. One task a token."""
    with k.loop(a.heads) as h:
        head = task * a.heads + h
        _copy(k, a.x.at(head * a.stride + a.first), a.out.at(head * a.width), a.width)


@kernel(
    x=Array(f32),  # (tokens, heads, width)
    y=Array(f32),  # (tokens, heads, y_width)
    heads=i64,
    width=i64,
    y_width=i64,
    out=Array(f32),  # (tokens, heads, width + y_width)
)
def head_join(k: Builder, a: Fields, step: Fields, *, task: Value, thread: Value) -> None:
    """Every head of x with that of y behind it. One task a token."""
    with k.loop(a.heads) as h:
        head = task * a.heads + h
        out = a.out.at(head * (a.width + a.y_width))
        _copy(k, a.x.at(head * a.width), out, a.width)
        _copy(k, a.y.at(head * a.y_width), out.at(a.width), a.y_width)


def _copy(k: Builder, source: Pointer, target: Pointer, count: Value) -> None:
    whole = count // k.f32_lanes * k.f32_lanes
    for start, stop, lanes in ((0, whole, k.f32_lanes), (whole, count, 1)):
        with k.loop(start, stop, lanes) as i:
            target.store(i, source.load(i, lanes))


@kernel(
    weights=Array(u8),  # (heads, n_rows, row_bytes)
    row_bytes=i64,
    heads=i64,
    n_rows=i64,
    task_rows=i64,  # rows that one task computes
    x=Array(u8),  # (tokens, heads, record): activation records, or f32 for float weights
    record=i64,  # bytes a head
    width=i64,  # weights in a row
    out=Array(f32),  # (tokens, heads, n_rows)
)
def head_matvec(
    k: Builder,
    a: Fields,
    step: Fields,
    *,
    task: Value,
    thread: Value,
    type: TensorType,
    columns: int,
    rows: str,
) -> None:
    """``out[t, h] = weights[h] * x[t, h]`` for a few tokens. One task: some rows of a head."""
    head, first = _share(a, task)
    with (
        k.loop(0, getattr(step, rows), columns) as t,
        k.loop(first, k.min(first + a.task_rows, a.n_rows)) as n,
    ):
        places = [(t + c) * a.heads + head for c in range(columns)]
        tokens = [a.x.at(place * a.record) for place in places]
        row = a.weights.at((head * a.n_rows + n) * a.row_bytes)
        for place, total in zip(places, dot(k, type, row, tokens, a.width), strict=True):
            a.out[place * a.n_rows + n] = total


@kernel(
    x=Array(f32),  # (tokens, heads, stride), floats or records
    heads=i64,
    stride=i64,
    width=i64,
    out=Array(u32),  # (heads, tokens, words), tokens being whole blocks
    words=i64,  # of a packed token
    blocks=i64,  # of tokens, of each head
)
def pack_heads(
    k: Builder, a: Fields, step: Fields, *, task: Value, thread: Value, panels: str
) -> None:
    """Pack every head's activations. One task a block of tokens: all heads of it."""
    way = PANELS[panels]
    block = way.block(k.isa)
    with k.loop(a.heads) as h:
        places = ((task * block + i) * a.heads + h for i in range(block))
        rows = [a.x.at(place * a.stride) for place in places]
        out = a.out.at((h * a.blocks + task) * (a.words * block))
        way.pack(k, rows, a.width, out)


@kernel(
    weights=Array(u8),  # (heads, n_rows, row_bytes)
    row_bytes=i64,
    heads=i64,
    n_rows=i64,
    task_rows=i64,
    x=Array(u32),  # packed activations
    words=i64,
    blocks=i64,
    width=i64,
    out=Array(f32),  # (tokens, heads, n_rows)
)
def head_matmul(
    k: Builder,
    a: Fields,
    step: Fields,
    *,
    task: Value,
    thread: Value,
    type: TensorType,
    rows: str,
    panels: str,
) -> None:
    """``out[t, h] = weights[h] * x[t, h]`` for a batch. One task: ``task_rows`` rows of a head."""
    way, tokens = PANELS[panels], getattr(step, rows)
    padded = way.padded(k, tokens)
    head, first = _share(a, task)
    count = k.min(a.n_rows - first, a.task_rows)
    (sums,) = way.multiply(
        k,
        a.having(x=a.x.at(head * (a.blocks * way.block(k.isa)) * a.words)),
        type,
        [a.weights.at((head * a.n_rows + first) * a.row_bytes)],
        count,
        step.scratch.at(thread * step.scratch_stride),
        padded,
    )

    def put(t: Value, n: Value, total: Value) -> None:
        a.out.store((t * a.heads + head) * a.n_rows + n, total)

    write_sums(k, put, sums, first, count, tokens, padded)


def _share(a: Fields, task: Value) -> tuple[Value, Value]:
    """Which head a task is for, and its first row."""
    chunks = (a.n_rows + (a.task_rows - 1)) // a.task_rows
    return task // chunks, task % chunks * a.task_rows
