"""Batch matmul: blocks are unpacked once into a panel that all tokens of the batch reuse.

How they are unpacked and multiplied is one of the ways of ``panels``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from pyllama.gguf.types import TensorType
from pyllama.kernels.epilogue import finish
from pyllama.kernels.gates import GATES
from pyllama.kernels.kernel import Array, Fields, kernel
from pyllama.kernels.language import Builder, Pointer, Value
from pyllama.kernels.panels import PANELS
from pyllama.kernels.tile_panels import write_tiles
from pyllama.kernels.transpose import write_sums
from pyllama.kernels.types import f32, i64, u8, u32


@kernel(
    weights=Array(u8),  # (n_rows, row_bytes)
    row_bytes=i64,
    n_rows=i64,
    task_rows=i64,  # rows that one task computes
    x=Array(u32),  # packed activations
    words=i64,  # of a packed token
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
    panels: str,
    rows: str,
    epilogue: str,
) -> None:
    """``out[t, n] = sum over i of weights[n, i] * x[t, i]``. One task: ``task_rows`` of n."""
    way, tokens = PANELS[panels], getattr(step, rows)
    padded = way.padded(k, tokens)
    first = task * a.task_rows
    count = k.min(a.n_rows - first, a.task_rows)
    memory = step.scratch.at(thread * step.scratch_stride)
    weights = [a.weights.at(first * a.row_bytes)]
    (sums,) = way.multiply(k, a, type, weights, count, memory, padded)
    write_sums(k, partial(finish, a, epilogue), sums, first, count, tokens, padded)


@kernel(
    gate=Array(u8),  # (n_rows, row_bytes)
    up=Array(u8),  # (n_rows, row_bytes)
    row_bytes=i64,
    n_rows=i64,
    task_rows=i64,
    x=Array(u32),
    words=i64,
    width=i64,
    out=Array(u8),  # (tokens, n_rows) f32, or packed tiles
)
def gated_matmul(
    k: Builder,
    a: Fields,
    step: Fields,
    *,
    task: Value,
    thread: Value,
    type: TensorType,
    panels: str,
    rows: str,
    activation: str,
    packed: bool,
) -> None:
    """``out = activation(gate * x, up * x)``, otherwise as ``matmul``.

    ``packed``: for the next matmul on tiles; n_rows is then a multiple of 32.
    """
    way, tokens = PANELS[panels], getattr(step, rows)
    padded = way.padded(k, tokens)
    first = task * a.task_rows
    count = k.min(a.n_rows - first, a.task_rows)
    memory = step.scratch.at(thread * step.scratch_stride)
    weights = [matrix.at(first * a.row_bytes) for matrix in (a.gate, a.up)]
    gates, ups = way.multiply(k, a, type, weights, count, memory, padded)

    def gated(r: Value, t: Value, lanes: int) -> Value:
        place = r * padded + t
        return GATES[activation](k, gates.load(place, lanes), ups.load(place, lanes))

    def put(t: Value, n: Value, value: Value) -> None:
        a.out.of(f32).store(t * a.n_rows + n, value)

    if packed:
        write_tiles(k, a, gated, first, count, padded)
    else:
        write_gated(k, gated, put, gates, first, count, tokens, padded)


def write_gated(
    k: Builder,
    gated: Callable[[Value, Value, int], Value],
    put: Callable[[Value, Value, Value], None],
    memory: Pointer,
    first: Value,
    count: Value,
    tokens: Value,
    padded: Value,
) -> None:
    """Compute what gates let through, ``gated(row, token, lanes)``, and put it out.

    ``memory``: (count, padded) f32, where ``gated`` may take the same element from.
    """
    lanes = k.f32_lanes
    with k.loop(count) as r, k.loop(0, padded, lanes) as t:
        memory.store(r * padded + t, gated(r, t, lanes))
    write_sums(k, put, memory, first, count, tokens, padded)
