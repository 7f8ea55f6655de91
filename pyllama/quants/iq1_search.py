"""Encoding to three levels -1, 0, 1, shifted up or down by an eighth.

The best levels of a group are found exactly: in order of size the values fall into three runs, so
all pairs of boundaries are tried, with both shifts. Then the vectors of eight levels are replaced
by points of the grid, as in ``grid_search``, and the scale is fitted to these.

Groups are columns, as in ``search``. Source of the search: ggml-quants.c.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyllama.quants.block_format import Floats
from pyllama.quants.grid_search import Index, grid_map
from pyllama.quants.search import total

DELTA = np.float32(0.125)
UP = np.array([-1, 0, 1], np.float32) + DELTA
DOWN = np.array([-1, 0, 1], np.float32) - DELTA
DISTANCES = 3

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class ShiftedCodes:
    """What groups (m,) were rounded to.

    Attributes:
        scale: (m,), not negative.
        index: of the points, (points in a group, m).
        down: whether a point is shifted down, (points in a group, m).
    """

    scale: Floats
    index: Index
    down: Flags


class _Best:
    """The best boundaries of each group so far, and which combination of shifts they go with."""

    def __init__(self, groups: int) -> None:
        self.scale = np.zeros(groups, np.float32)
        self.score = np.full(groups, np.finfo(np.float32).min)
        self.first = np.zeros(groups, np.intp)
        self.second = np.zeros(groups, np.intp)
        self.shift = np.full(groups, -1, np.intp)

    def offer(self, first: int, second: int, shift: int, along: Floats, power: Floats) -> None:
        """Take a candidate with its products, (m,) each, where it is better."""
        better = (power > 0) & (along * along > self.score * power)
        if better.any():
            np.copyto(self.scale, along / power, where=better)
            np.copyto(self.score, self.scale * along, where=better)
            self.first[better], self.second[better] = first, second
            self.shift[better] = shift


def fit_one_shift(values: Floats, weights: Floats, tiny: float) -> ShiftedCodes:
    """All points of a group are shifted alike (IQ1_S)."""
    order = np.argsort(values, axis=0, kind="stable")
    sums = _prefix(weights * values, order)
    masses = _prefix(weights, order)
    best = _Best(values.shape[1])
    for first, second in _boundaries(len(values)):
        runs = (sums[first], sums[second] - sums[first], sums[-1] - sums[second])
        mass = (masses[first], masses[second] - masses[first], masses[-1] - masses[second])
        for shift, (low, middle, high) in enumerate((UP, DOWN)):
            along = runs[0] * low + runs[1] * middle + runs[2] * high
            power = mass[0] * low * low + mass[1] * middle * middle + mass[2] * high * high
            best.offer(first, second, shift, along, power)
    return _on_grid(values, weights, order, best, tiny, shifts=1)


def fit_two_shifts(values: Floats, weights: Floats, tiny: float) -> ShiftedCodes:
    """The two points of a group of 16 have shifts of their own (IQ1_M)."""
    order = np.argsort(values, axis=0, kind="stable")
    halves = [(np.arange(len(values)) // 8 == half)[:, None] for half in (0, 1)]
    sums = [_prefix(np.where(half, weights * values, np.float32(0)), order) for half in halves]
    masses = [_prefix(np.where(half, weights, np.float32(0)), order) for half in halves]
    best = _Best(values.shape[1])
    for first, second in _boundaries(len(values)):
        # a level more is 1 more with either shift: the runs are their total less two prefixes
        products = [
            (
                [part[-1] * xs[2] - (part[first] + part[second]) for part in sums],
                [
                    part[-1] * xs[2] * xs[2]
                    + part[first] * (xs[0] * xs[0] - xs[1] * xs[1])
                    + part[second] * (xs[1] * xs[1] - xs[2] * xs[2])
                    for part in masses
                ],
            )
            for xs in (UP, DOWN)
        ]
        for shift in range(4):
            left, right = products[shift // 2], products[shift % 2]
            along, power = left[0][0] + right[0][1], left[1][0] + right[1][1]
            best.offer(first, second, shift, along, power)
    return _on_grid(values, weights, order, best, tiny, shifts=2)


def _boundaries(size: int) -> Iterator[tuple[int, int]]:
    return ((i, j) for i in range(size + 1) for j in range(i, size + 1))


def _prefix(terms: Floats, order: Index) -> Floats:
    """Sums of the first 0, 1, .. k terms of each column, in the given order: (k + 1, m)."""
    ordered = np.take_along_axis(terms, order, axis=0)
    sums: Floats = np.add.accumulate(ordered, axis=0, dtype=np.float32)
    return np.concatenate([np.zeros_like(sums[:1]), sums])


def _on_grid(
    values: Floats, weights: Floats, order: Index, best: _Best, tiny: float, *, shifts: int
) -> ShiftedCodes:
    """The levels by the best boundaries, replaced by points of the grid; scales fitted to them."""
    size = len(values)
    places = np.arange(size)[:, None]
    in_order = (places >= best.first).astype(np.intp) + (places >= best.second)
    levels = np.empty_like(in_order)
    np.put_along_axis(levels, order, in_order, axis=0)
    turned = best.scale < 0
    levels = np.where(turned, 2 - levels, levels)
    shift = np.where(turned, 2**shifts - 1 - best.shift, best.shift)
    points = size // 8
    down = np.stack([shift >> (shifts - 1 - p % shifts) & 1 for p in range(points)]) == 1
    scale = np.abs(best.scale)
    index, all_on = _snapped(values, weights, levels, down, scale)
    scale = _fitted(values, weights, index, down, scale, all_on)
    alive = (np.abs(values).max(axis=0) >= np.float32(tiny)) & (best.shift >= 0)
    return ShiftedCodes(
        np.where(alive, scale, np.float32(0)), np.where(alive, index, 0), down & alive
    )


def _snapped(
    values: Floats, weights: Floats, levels: Index, down: Flags, scale: Floats
) -> tuple[Index, Flags]:
    """The best points (points, m), and the groups (m,) whose points all are on the grid."""
    map = grid_map("iq1_s", DISTANCES)
    cut = (-1, 8, values.shape[1])
    powers = (3 ** np.arange(8))[:, None]
    numbers = (levels.reshape(cut) * powers).sum(axis=1)
    index = map.index[numbers]
    point, group = np.nonzero(index < 0)
    rows = map.row[numbers[point, group]]
    index[point, group] = map.best_neighbours(
        rows,
        values.reshape(cut)[point, :, group],
        weights.reshape(cut)[point, :, group],
        scale[group],
        np.where(down[point, group], DOWN[0], UP[0]),
    )
    on_grid = np.ones(values.shape[1], np.bool_)
    on_grid[group] = False
    return index, on_grid


def _fitted(
    values: Floats, weights: Floats, index: Index, down: Flags, scale: Floats, all_on: Flags
) -> Floats:
    """The scales that suit the points best, where these are not the levels found before."""
    steps = point_values(index, down)
    weighted = weights * steps
    along, power = total(weighted * values), total(weighted * steps)
    return np.where(~all_on & (along > 0) & (power > 0), along / power, scale)


def point_values(index: Index, down: Flags) -> Floats:
    """The shifted levels of points (p, m): float32 (8 p, m)."""
    levels = (grid_map("iq1_s", DISTANCES).values[:, index].swapaxes(0, 1) - 1) / 2
    shifted: Floats = np.where(down[:, None], DOWN[0], UP[0]) + levels
    return shifted.reshape(-1, index.shape[1])
