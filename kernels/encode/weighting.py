"""Weights of values from the importance of their columns; meaning: ``pyllama/quants/weighting``."""

from __future__ import annotations

from pyllama.kernels.encode.lanes import LANES, Column, Scratch, load_rows, summed
from pyllama.kernels.kernel import Array, Fields, kernel
from pyllama.kernels.language import Builder, Value
from pyllama.kernels.types import f32, i64


@kernel(values=Array(f32), rows=i64, columns=i64, out=Array(f32))
def mean_squares(k: Builder, a: Fields, step: Fields, *, task: Value, thread: Value) -> None:
    """``out[r]``: the mean of the squares of row r, summed up in order. One task ``LANES`` rows.

    values: (rows, columns), columns a multiple of ``LANES``; out: (rows,).
    """
    tile = Scratch(step.scratch.at(thread * step.scratch_stride)).column(f32, LANES)
    first = task * LANES
    rows = [a.values.at(k.min(first + lane, a.rows - 1) * a.columns) for lane in range(LANES)]
    total = k.variable(k.zero(f32 * LANES))
    with k.loop(0, a.columns, LANES) as start:
        load_rows(k, [row.at(start) for row in rows], tile, LANES)
        for i in range(LANES):
            total.value = total.value + tile[i] * tile[i]
    mean = total.value / k.splat(a.columns.to(f32), LANES)
    for lane in range(LANES):
        with k.when(first + lane < a.rows):
            a.out[first + lane] = mean[lane]


def mean_square(k: Builder, values: Column, size: int, factor: int) -> Value:
    """``factor`` times the mean of the squares of a block."""
    (total,) = summed(k, size, 1, lambda i: (values[i] * values[i],))
    return total * factor / size


def weigh(k: Builder, values: Column, weights: Column, size: int, sigma2: Value) -> None:
    """Turn the importance in ``weights`` into weights: ``importance * sqrt(sigma2 + x**2)``."""
    with k.loop(size) as i:
        weights[i] = weights[i] * k.sqrt(sigma2 + values[i] * values[i])


def weigh_alike(k: Builder, weights: Column, size: int) -> None:
    """The importance of formats that are given none: columns count alike."""
    with k.loop(size) as i:
        weights[i] = k.const(f32 * LANES, 1)


def weigh_by_squares(k: Builder, values: Column, weights: Column, size: int) -> None:
    """The weights of formats that are given no importance: ``x**2``."""
    with k.loop(size) as i:
        weights[i] = values[i] * values[i]


def mass_of(k: Builder, weights: Column, size: int) -> Value:
    """The sum of the weights."""
    return summed(k, size, 1, lambda i: (weights[i],))[0]
