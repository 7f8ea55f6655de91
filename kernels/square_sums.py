"""Sums of the squares of columns, in float64: a sum of float32 has lost digits after a long text.

sums    [group][column]   f64
counts  [group]           f64, rows that were summed up

A task has some columns of a group to itself and adds rows in their order, so that the sums do not
depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable

from pyllama.kernels.kernel import Array, Fields, kernel
from pyllama.kernels.language import Builder, Pointer, Value
from pyllama.kernels.routing import Groups
from pyllama.kernels.types import f32, f64, i32, i64

TASK_COLUMNS = 256
"""Columns of a task."""

_VECTORS = 4
"""Vectors of a row that are read together: whole cache lines that stand side by side."""


def tasks(width: int) -> int:
    """Tasks of a group of so many columns."""
    return -(-width // TASK_COLUMNS)


@kernel(
    x=Array(f32),  # (rows, width)
    width=i64,
    sums=Array(f64),  # (width,)
    counts=Array(f64),  # (1,)
)
def square_sums(
    k: Builder, a: Fields, step: Fields, *, task: Value, thread: Value, rows: str
) -> None:
    """Add the squares of all rows."""
    count = getattr(step, rows)
    _add(k, a, task, count, a.sums, lambda row: a.x.at(row * a.width))
    with k.when(task.equals(0)):
        a.counts[0] = a.counts[0] + count.to(f64)


@kernel(
    x=Array(f32),  # (pairs / share, width)
    groups=Array(i32),
    width=i64,
    tasks=i64,  # of each expert
    sums=Array(f64),  # (experts, width)
    counts=Array(f64),  # (experts,)
)
def expert_square_sums(
    k: Builder,
    a: Fields,
    step: Fields,
    *,
    task: Value,
    thread: Value,
    experts: int,
    share: int,
) -> None:
    """Add the squares of every expert's rows; ``share`` neighbouring pairs have one row of x."""
    groups, expert, part = Groups(a.groups, experts), task // a.tasks, task % a.tasks
    start, count = groups.start(expert), groups.count(expert)

    def row(index: Value) -> Pointer:
        return a.x.at(groups.pair(start + index) // share * a.width)

    _add(k, a, part, count, a.sums.at(expert * a.width), row)
    with k.when(part.equals(0)):
        a.counts[expert] = a.counts[expert] + count.to(f64)


def _add(
    k: Builder,
    a: Fields,
    task: Value,
    count: Value,
    sums: Pointer,
    row: Callable[[Value], Pointer],
) -> None:
    """Add the squares of a task's columns of ``count`` rows."""
    first = task * TASK_COLUMNS
    end = k.min(first + TASK_COLUMNS, a.width)
    lanes = k.f32_lanes
    whole = first + (end - first) // (_VECTORS * lanes) * (_VECTORS * lanes)
    for start, stop, vectors, size in ((first, whole, _VECTORS, lanes), (whole, end, 1, 1)):
        with k.loop(start, stop, vectors * size) as column:
            places = [column + v * size for v in range(vectors)]
            totals = [k.variable(sums.load(place, size)) for place in places]
            with k.loop(count) as r:
                values = row(r)
                for place, total in zip(places, totals, strict=True):
                    value = values.load(place, size).to(f64)
                    total.value = k.fma(value, value, total.value)
            for place, total in zip(places, totals, strict=True):
                sums.store(place, total.value)
