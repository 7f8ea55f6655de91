"""Kernels that work on one row at a time: norms, gates, sums, embedding look-up, row selection."""

from __future__ import annotations

from pyllama.gguf.types import TensorType
from pyllama.kernels.formats import FORMATS, QuantizedFormat
from pyllama.kernels.functions import silu
from pyllama.kernels.kernel import Array, Fields, kernel
from pyllama.kernels.language import Builder, Value
from pyllama.kernels.types import f32, i64, u8


def _spans(k: Builder, width: Value) -> tuple[tuple[Value | int, Value, int], ...]:
    """(start, stop, lanes) of the whole vectors of a row, then of the rest one by one."""
    lanes = k.f32_lanes
    whole = width // lanes * lanes
    return ((0, whole, lanes), (whole, width, 1))


@kernel(x=Array(f32), weight=Array(f32), out=Array(f32), width=i64, groups=i64, eps=f32)
def rms_norm(k: Builder, a: Fields, step: Fields, *, task: Value, thread: Value) -> None:
    """``out = x / sqrt(mean(x**2) + eps) * weight``.

    x: (tokens, groups, width); weight: (width,). One task a token. Zhang and Sennrich 2019.
    """
    with k.loop(a.groups) as g:
        row = (task * a.groups + g) * a.width
        x, out = a.x.at(row), a.out.at(row)
        squares = k.variable(k.zero(f32))
        for start, stop, lanes in _spans(k, a.width):
            total = k.variable(k.zero(f32 * lanes))
            with k.loop(start, stop, lanes) as i:
                value = x.load(i, lanes)
                total.value = k.fma(value, value, total.value)
            squares.value = squares.value + total.value.sum()
        scale = 1.0 / k.sqrt(squares.value / a.width.to(f32) + a.eps)
        for start, stop, lanes in _spans(k, a.width):
            with k.loop(start, stop, lanes) as i:
                out.store(i, x.load(i, lanes) * scale * a.weight.load(i, lanes))


@kernel(gate=Array(f32), up=Array(f32), out=Array(f32), width=i64)
def swiglu(k: Builder, a: Fields, step: Fields, *, task: Value, thread: Value) -> None:
    """``out = gate * sigmoid(gate) * up``, (tokens, width) each. One task a token. Shazeer 2020."""
    row = task * a.width
    for start, stop, lanes in _spans(k, a.width):
        with k.loop(start, stop, lanes) as i:
            gate = a.gate.load(row + i, lanes)
            a.out.store(row + i, silu(k, gate) * a.up.load(row + i, lanes))


@kernel(x=Array(f32), y=Array(f32), out=Array(f32), width=i64)
def add(k: Builder, a: Fields, step: Fields, *, task: Value, thread: Value) -> None:
    """``out = x + y``, (tokens, width) each. One task a token."""
    row = task * a.width
    for start, stop, lanes in _spans(k, a.width):
        with k.loop(start, stop, lanes) as i:
            a.out.store(row + i, a.x.load(row + i, lanes) + a.y.load(row + i, lanes))


@kernel(x=Array(f32), out=Array(f32), width=i64)
def select_rows(k: Builder, a: Fields, step: Fields, *, task: Value, thread: Value) -> None:
    """``out[i] = x[outputs[i]]``: the rows whose logits are wanted. One task an output."""
    source = step.outputs[task].to(i64) * a.width
    for start, stop, lanes in _spans(k, a.width):
        with k.loop(start, stop, lanes) as i:
            a.out.store(task * a.width + i, a.x.load(source + i, lanes))


@kernel(weights=Array(u8), row_bytes=i64, out=Array(f32), width=i64)
def embedding(
    k: Builder, a: Fields, step: Fields, *, task: Value, thread: Value, type: TensorType
) -> None:
    """``out[t] = weights[tokens[t]]``, unpacked. One task a token."""
    fmt = FORMATS[type]
    row = a.weights.at(step.tokens[task].to(i64) * a.row_bytes)
    out = a.out.at(task * a.width)
    size = fmt.block_size if isinstance(fmt, QuantizedFormat) else k.f32_lanes
    whole = a.width // size * size
    with k.loop(0, whole, size) as i:
        at = 0
        for value in fmt.floats(k, row, i, size):
            out.store(i + at, value)
            at += value.type.lanes
    if not isinstance(fmt, QuantizedFormat):
        with k.loop(whole, a.width) as i:
            out[i] = fmt.load(k, row, i, 1)
