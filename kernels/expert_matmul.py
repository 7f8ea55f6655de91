"""Batch matmuls of a mixture of experts: tokens are packed expert by expert, and each expert's
weights are unpacked once for all of its tokens.

``groups`` and ``route`` are those of ``routing``; packed activations stand at the positions of the
groups, blocks of tokens being those of the matmul (see ``panels``).
"""

from __future__ import annotations

from pyllama.gguf.types import TensorType
from pyllama.kernels.expert_matvec import add_weighted, start_sums
from pyllama.kernels.gates import GATES
from pyllama.kernels.kernel import Array, Fields, kernel
from pyllama.kernels.language import Builder, Pointer, Value
from pyllama.kernels.matmul import write_gated
from pyllama.kernels.panels import PANELS
from pyllama.kernels.routing import Groups
from pyllama.kernels.tile_panels import write_tiles
from pyllama.kernels.transpose import write_sums
from pyllama.kernels.types import f32, i32, i64, u8, u32


@kernel(
    x=Array(f32),  # (rows, stride), floats or records: a row for every ``share`` pairs
    stride=i64,
    width=i64,
    groups=Array(i32),
    out=Array(u32),  # (positions, words)
    words=i64,
)
def pack_groups(
    k: Builder,
    a: Fields,
    step: Fields,
    *,
    task: Value,
    thread: Value,
    panels: str,
    experts: int,
    share: int,
) -> None:
    """Gather the rows of each expert's tokens and pack them. One task a block of positions.

    ``share``: neighbouring pairs that have one row.
    """
    way, groups = PANELS[panels], Groups(a.groups, experts)
    block = way.block(k.isa)
    first = task * block
    with k.when(first < groups.end):
        rows = [a.x.at(groups.pair(first + i) // share * a.stride) for i in range(block)]
        way.pack(k, rows, a.width, a.out.at(first * a.words))


@kernel(
    gate=Array(u8),  # (experts, n_rows, row_bytes)
    up=Array(u8),  # (experts, n_rows, row_bytes)
    gate_bias=Array(f32),  # (experts, n_rows)
    up_bias=Array(f32),  # (experts, n_rows)
    row_bytes=i64,
    n_rows=i64,
    task_rows=i64,  # rows that one task computes
    x=Array(u32),  # packed activations
    words=i64,  # of a packed token
    width=i64,  # weights in a row
    groups=Array(i32),
    out=Array(u8),  # (tokens, used, n_rows) f32, or packed tiles at the positions of the groups
)
def gated_expert_matmul(
    k: Builder,
    a: Fields,
    step: Fields,
    *,
    task: Value,
    thread: Value,
    type: TensorType,
    panels: str,
    experts: int,
    activation: str,
    biased: bool,
    packed: bool,
) -> None:
    """``out = activation(gate * x) * (up * x)``. One task: ``task_rows`` rows of one expert.

    ``packed``: for the next matmul on tiles; n_rows is then a multiple of 32.
    """
    chunks = (a.n_rows + (a.task_rows - 1)) // a.task_rows
    expert, first = task // chunks, task % chunks * a.task_rows
    groups = Groups(a.groups, experts)
    tokens, start = groups.count(expert), groups.start(expert)
    with k.when(tokens > 0):
        count = k.min(a.n_rows - first, a.task_rows)
        padded = groups.start(expert + 1) - start
        row = expert * a.n_rows + first
        gates, ups = PANELS[panels].multiply(
            k,
            a.having(x=a.x.at(start * a.words)),
            type,
            [weights.at(row * a.row_bytes) for weights in (a.gate, a.up)],
            count,
            step.scratch.at(thread * step.scratch_stride),
            padded,
        )

        def gated(r: Value, t: Value, lanes: int) -> Value:
            halves = [sums.load(r * padded + t, lanes) for sums in (gates, ups)]
            if biased:
                pairs = zip(halves, (a.gate_bias, a.up_bias), strict=True)
                halves = [half + bias[row + r] for half, bias in pairs]
            return GATES[activation](k, *halves)

        if packed:
            place = a.out.at(start * (a.n_rows * 2))
            write_tiles(k, a.having(out=place), gated, first, count, padded)
        else:

            def put(t: Value, n: Value, value: Value) -> None:
                a.out.of(f32).store(groups.pair(start + t) * a.n_rows + n, value)

            write_gated(k, gated, put, gates, first, count, tokens, padded)


@kernel(
    weights=Array(u8),  # (experts, n_rows, row_bytes)
    bias=Array(f32),  # (experts, n_rows)
    row_bytes=i64,
    n_rows=i64,
    task_rows=i64,
    x=Array(u32),
    words=i64,
    width=i64,
    groups=Array(i32),
    route=Array(f32),
    out=Array(f32),  # (tokens, n_rows)
    residual=Array(f32),  # (tokens, n_rows)
)
def expert_matmul(
    k: Builder,
    a: Fields,
    step: Fields,
    *,
    task: Value,
    thread: Value,
    type: TensorType,
    rows: str,
    panels: str,
    experts: int,
    used: int,
    biased: bool,
    has_residual: bool,
) -> None:
    """``out = residual + sum over the token's experts of weight * (weights * x + bias)``.

    One task computes some rows for one expert after the other, so that sums have one order.
    """
    groups = Groups(a.groups, experts)
    first = task * a.task_rows
    count = k.min(a.n_rows - first, a.task_rows)
    start_sums(k, a, first, first + count, getattr(step, rows), has_residual)
    memory = step.scratch.at(thread * step.scratch_stride)
    with k.loop(experts) as e:
        tokens, start = groups.count(e), groups.start(e)
        with k.when(tokens > 0):
            padded = groups.start(e + 1) - start
            row = e * a.n_rows + first
            here = a.having(x=a.x.at(start * a.words))
            weights = [a.weights.at(row * a.row_bytes)]
            (sums,) = PANELS[panels].multiply(k, here, type, weights, count, memory, padded)
            _add_sums(k, a, groups, e, sums, first, count, padded, used, biased)


def _add_sums(
    k: Builder,
    a: Fields,
    groups: Groups,
    expert: Value,
    sums: Pointer,
    first: Value,
    count: Value,
    padded: Value,
    used: int,
    biased: bool,
) -> None:
    """Weigh an expert's sums and add them to those of its tokens."""
    start = groups.start(expert)

    def put(t: Value, n: Value, total: Value) -> None:
        if biased:
            total = total + a.bias.load(expert * a.n_rows + n, total.type.lanes)
        add_weighted(a, groups.pair(start + t), n, total, used)

    write_sums(k, put, sums, first, count, groups.count(expert), padded)
