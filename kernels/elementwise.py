"""Kernels that work on one row at a time: norms, gates, sums, embedding look-up, row selection."""

from __future__ import annotations

from collections.abc import Callable

from pyllama.gguf.types import TensorType
from pyllama.kernels.formats import FORMATS, QuantizedFormat
from pyllama.kernels.functions import ACTIVATIONS, sigmoid, softcap
from pyllama.kernels.gates import GATES
from pyllama.kernels.kernel import Array, Fields, kernel
from pyllama.kernels.language import Builder, Value
from pyllama.kernels.types import f32, i64, u8


@kernel(
    x=Array(f32),
    weight=Array(f32),
    out=Array(f32),
    width=i64,
    stride=i64,  # from the weights of one group to those of the next
    groups=i64,
    eps=f32,
)
def rms_norm(k: Builder, a: Fields, step: Fields, *, task: Value, thread: Value) -> None:
    """``out = x / sqrt(mean(x**2) + eps) * weight``.

    x: (tokens, groups, width); weight: (width,). One task a token. Zhang and Sennrich 2019.
    """
    with k.loop(a.groups) as g:
        row = (task * a.groups + g) * a.width
        x, out, weight = a.x.at(row), a.out.at(row), a.weight.at(g * a.stride)
        squares = _total(k, a.width, lambda i, lanes: _square(x.load(i, lanes)))
        scale = 1.0 / k.sqrt(squares / a.width.to(f32) + a.eps)
        for start, stop, lanes in k.spans(a.width):
            with k.loop(start, stop, lanes) as i:
                out.store(i, x.load(i, lanes) * scale * weight.load(i, lanes))


@kernel(
    x=Array(f32),
    weight=Array(f32),
    bias=Array(f32),
    out=Array(f32),
    width=i64,
    stride=i64,  # from the weights of one group to those of the next
    groups=i64,
    eps=f32,
)
def layer_norm(
    k: Builder, a: Fields, step: Fields, *, task: Value, thread: Value, biased: bool
) -> None:
    """``out = (x - mean) / sqrt(variance + eps) * weight + bias``, otherwise as ``rms_norm``."""
    with k.loop(a.groups) as g:
        row = (task * a.groups + g) * a.width
        x, out, weight = a.x.at(row), a.out.at(row), a.weight.at(g * a.stride)
        n = a.width.to(f32)
        mean = _total(k, a.width, lambda i, lanes: x.load(i, lanes)) / n
        squares = _total(k, a.width, lambda i, lanes: _square(x.load(i, lanes) - mean))
        scale = 1.0 / k.sqrt(squares / n + a.eps)
        for start, stop, lanes in k.spans(a.width):
            with k.loop(start, stop, lanes) as i:
                value = (x.load(i, lanes) - mean) * scale * weight.load(i, lanes)
                if biased:
                    value = value + a.bias.load(g * a.stride + i, lanes)
                out.store(i, value)


def _square(x: Value) -> Value:
    return x * x


def _total(k: Builder, width: Value, term: Callable[[Value, int], Value]) -> Value:
    """The sum of ``term(i, lanes)`` over a row."""
    result = k.variable(k.zero(f32))
    for start, stop, lanes in k.spans(width):
        total = k.variable(k.zero(f32 * lanes))
        with k.loop(start, stop, lanes) as i:
            total.value = total.value + term(i, lanes)
        result.value = result.value + total.value.sum()
    return result.value


@kernel(gate=Array(f32), up=Array(f32), out=Array(f32), width=i64)
def gate(
    k: Builder, a: Fields, step: Fields, *, task: Value, thread: Value, activation: str
) -> None:
    """``out = activation(gate, up)``, (tokens, width) each. One task a token."""
    row = task * a.width
    for start, stop, lanes in k.spans(a.width):
        with k.loop(start, stop, lanes) as i:
            one, other = (x.load(row + i, lanes) for x in (a.gate, a.up))
            a.out.store(row + i, GATES[activation](k, one, other))


@kernel(x=Array(f32), gate=Array(f32), out=Array(f32), width=i64)
def row_gate(k: Builder, a: Fields, step: Fields, *, task: Value, thread: Value) -> None:
    """``out = x * sigmoid(gate)``, x: (tokens, width), gate: (tokens,). One task a token."""
    row, factor = task * a.width, sigmoid(k, a.gate[task])
    for start, stop, lanes in k.spans(a.width):
        with k.loop(start, stop, lanes) as i:
            a.out.store(row + i, a.x.load(row + i, lanes) * factor)


@kernel(x=Array(f32), out=Array(f32), width=i64, parameter=f32)
def each(k: Builder, a: Fields, step: Fields, *, task: Value, thread: Value, function: str) -> None:
    """``out = function(x)``, (tokens, width) each. One task a token."""
    row = task * a.width
    for start, stop, lanes in k.spans(a.width):
        with k.loop(start, stop, lanes) as i:
            value = FUNCTIONS[function](k, a.x.load(row + i, lanes), a.parameter)
            a.out.store(row + i, value)


def _scale(k: Builder, x: Value, factor: Value) -> Value:
    return x * factor


def _clamp(k: Builder, x: Value, limit: Value) -> Value:
    return k.max(k.min(x, limit), -limit)


def _plain(function: Callable[[Builder, Value], Value]) -> Callable[[Builder, Value, Value], Value]:
    return lambda k, x, parameter: function(k, x)


FUNCTIONS: dict[str, Callable[[Builder, Value, Value], Value]] = {
    "scale": _scale,
    "clamp": _clamp,
    "softcap": softcap,
    **{name: _plain(function) for name, function in ACTIVATIONS.items()},
}


@kernel(x=Array(f32), y=Array(f32), out=Array(f32), width=i64, scale=f32)
def add(k: Builder, a: Fields, step: Fields, *, task: Value, thread: Value) -> None:
    """``out = scale * x + y``, (tokens, width) each. One task a token."""
    row = task * a.width
    for start, stop, lanes in k.spans(a.width):
        with k.loop(start, stop, lanes) as i:
            x = a.x.load(row + i, lanes) * a.scale
            a.out.store(row + i, x + a.y.load(row + i, lanes))


@kernel(x=Array(f32), out=Array(f32), width=i64)
def select_rows(k: Builder, a: Fields, step: Fields, *, task: Value, thread: Value) -> None:
    """``out[i] = x[outputs[i]]``: the rows whose logits are wanted. One task an output."""
    source = step.outputs[task].to(i64) * a.width
    for start, stop, lanes in k.spans(a.width):
        with k.loop(start, stop, lanes) as i:
            a.out.store(task * a.width + i, a.x.load(source + i, lanes))


@kernel(weights=Array(u8), row_bytes=i64, out=Array(f32), width=i64, scale=f32)
def embedding(
    k: Builder,
    a: Fields,
    step: Fields,
    *,
    task: Value,
    thread: Value,
    type: TensorType,
    of: str,
) -> None:
    """``out[t] = scale * weights[tokens[t]]``, or of ``positions[t]``. One task a token."""
    fmt = FORMATS[type]
    row = a.weights.at(getattr(step, of)[task].to(i64) * a.row_bytes)
    out = a.out.at(task * a.width)
    size = fmt.block_size if isinstance(fmt, QuantizedFormat) else k.f32_lanes
    whole = a.width // size * size
    with k.loop(0, whole, size) as i:
        at = 0
        for value in fmt.floats(k, row, i, size):
            out.store(i + at, value * a.scale)
            at += value.type.lanes
    if not isinstance(fmt, QuantizedFormat):
        with k.loop(whole, a.width) as i:
            out[i] = fmt.load(k, row, i, 1) * a.scale
