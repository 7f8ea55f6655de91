"""Decode matmuls of a mixture of experts: few tokens, and of the weights only the chosen experts'.

One task computes some rows for all experts that were chosen, so that the shares of all threads are
equal whatever was chosen, and an expert's rows are read once for all tokens that chose it.
``groups`` and ``route`` are those of ``routing``, in blocks of one.
"""

from __future__ import annotations

from pyllama.gguf.types import TensorType
from pyllama.kernels.gates import GATES
from pyllama.kernels.kernel import Array, Fields, kernel
from pyllama.kernels.language import Builder, Value
from pyllama.kernels.matvec import dot
from pyllama.kernels.routing import Groups
from pyllama.kernels.types import f32, i32, i64, u8


@kernel(
    gate=Array(u8),  # (experts, n_rows, row_bytes)
    up=Array(u8),  # (experts, n_rows, row_bytes)
    gate_bias=Array(f32),  # (experts, n_rows)
    up_bias=Array(f32),  # (experts, n_rows)
    row_bytes=i64,
    n_rows=i64,
    task_rows=i64,  # rows that one task computes
    x=Array(u8),  # (tokens, record): activation records, or f32 for float weights
    record=i64,  # bytes a token
    width=i64,  # weights in a row
    groups=Array(i32),
    out=Array(f32),  # (tokens, used, n_rows)
)
def gated_expert_matvec(
    k: Builder,
    a: Fields,
    step: Fields,
    *,
    task: Value,
    thread: Value,
    type: TensorType,
    columns: int,
    experts: int,
    used: int,
    activation: str,
    biased: bool,
) -> None:
    """``out = activation(gate * x) * (up * x)`` for every token and each of its experts."""
    groups = Groups(a.groups, experts)
    first = task * a.task_rows
    stop = k.min(first + a.task_rows, a.n_rows)
    with k.loop(experts) as e, k.loop(0, groups.count(e), columns) as t, k.loop(first, stop) as n:
        pairs = _pairs(k, groups, e, t, columns)
        tokens = [a.x.at(pair // used * a.record) for pair in pairs]
        row = e * a.n_rows + n
        halves = []
        for weights, bias in ((a.gate, a.gate_bias), (a.up, a.up_bias)):
            totals = dot(k, type, weights.at(row * a.row_bytes), tokens, a.width)
            halves.append([total + bias[row] for total in totals] if biased else totals)
        for pair, gate, up in zip(pairs, *halves, strict=True):
            a.out[pair * a.n_rows + n] = GATES[activation](k, gate, up)


@kernel(
    weights=Array(u8),  # (experts, n_rows, row_bytes)
    bias=Array(f32),  # (experts, n_rows)
    row_bytes=i64,
    n_rows=i64,
    task_rows=i64,
    x=Array(u8),  # (tokens, used, record)
    record=i64,
    width=i64,
    groups=Array(i32),
    route=Array(f32),
    out=Array(f32),  # (tokens, n_rows)
    residual=Array(f32),  # (tokens, n_rows)
)
def expert_matvec(
    k: Builder,
    a: Fields,
    step: Fields,
    *,
    task: Value,
    thread: Value,
    type: TensorType,
    rows: str,
    columns: int,
    experts: int,
    used: int,
    biased: bool,
    has_residual: bool,
) -> None:
    """``out = residual + sum over the token's experts of weight * (weights * x + bias)``."""
    groups = Groups(a.groups, experts)
    first = task * a.task_rows
    stop = k.min(first + a.task_rows, a.n_rows)
    start_sums(k, a, first, stop, getattr(step, rows), has_residual)
    with k.loop(experts) as e, k.loop(0, groups.count(e), columns) as t, k.loop(first, stop) as n:
        pairs = _pairs(k, groups, e, t, columns)
        tokens = [a.x.at(pair * a.record) for pair in pairs]
        row = e * a.n_rows + n
        totals = dot(k, type, a.weights.at(row * a.row_bytes), tokens, a.width)
        for c, (pair, total) in enumerate(zip(pairs, totals, strict=True)):
            with k.when(t + c < groups.count(e)):
                add_weighted(a, pair, n, total + a.bias[row] if biased else total, used)


def _pairs(k: Builder, groups: Groups, expert: Value, first: Value, columns: int) -> list[Value]:
    """Neighbouring pairs of an expert; behind the last one, the last one again."""
    start, last = groups.start(expert), groups.count(expert) - 1
    return [groups.pair(start + k.min(first + c, last)) for c in range(columns)]


def start_sums(
    k: Builder, a: Fields, first: Value, stop: Value, tokens: Value, has_residual: bool
) -> None:
    """Set rows ``first .. stop`` of every token to the residual or to zero."""
    whole = first + (stop - first) // k.f32_lanes * k.f32_lanes
    with k.loop(tokens) as t:
        for start, end, lanes in ((first, whole, k.f32_lanes), (whole, stop, 1)):
            with k.loop(start, end, lanes) as n:
                place = t * a.n_rows + n
                zero = k.zero(f32 * lanes)
                a.out.store(place, a.residual.load(place, lanes) if has_residual else zero)


def add_weighted(a: Fields, pair: Value, n: Value, total: Value, used: int) -> None:
    """Add an expert's result to a token's, or as many neighbouring ones as ``total`` has lanes."""
    token, slot = pair // used, pair % used
    place, lanes = token * a.n_rows + n, total.type.lanes
    weight = a.route[token * (2 * used) + used + slot]
    a.out.store(place, a.out.load(place, lanes) + total * weight)
