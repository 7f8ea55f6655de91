"""Encoding on grids: magnitudes rounded to the points that a format has, scales searched.

The grids of the iq2 and iq3 formats hold vectors of 8 or 4 levels; level l stands for 2 l + 1 here,
as in ggml, whatever magnitudes the format gives them (their ratios are nearly the same). Most
vectors of levels are no points of the grid: such a one is replaced by the best of its neighbours,
the points at the least distances from it.

Groups are columns, as in ``search``. Source of the search: ggml-quants.c.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from pyllama.quants.block_format import Floats
from pyllama.quants.grids import GridName, grid
from pyllama.quants.search import Codes, fit_from_zero, rounded, total

Index = NDArray[np.intp]


@dataclass(frozen=True)
class GridForm:
    """How a format on a grid is encoded.

    Attributes:
        grid: its name.
        group: values that share a scale.
        even: of each eight signs an even number is negative; the cheapest value is turned else.
        distances: neighbours are the points at that many least distances.
        steps, step: scales tried are those that map the largest value near the highest level, off
            by ``i * step`` for i from ``-steps`` to ``steps``.
        refit: after the best scale was found, points are chosen anew: "always", those of groups
            that have one off the grid ("group"), or only the ones off the grid ("point").
        tiny: a group without a value of this magnitude counts as zeros.
        fudge: the stored scale is that much larger than the best one of the largest group.
    """

    grid: GridName
    group: int
    even: bool
    distances: int
    steps: int
    step: float
    refit: str
    tiny: float
    fudge: float


@dataclass(frozen=True)
class GridMap:
    """A grid, prepared for rounding to it.

    Attributes:
        levels: how many there are; a vector of levels is a number of this base, component 0 the
            least significant digit.
        values: 2 l + 1 of each component of each point, (width, points).
        index: of the point that a number is, -1 where it is none.
        row: the row in ``neighbours`` of a number that is no point.
        neighbours: points near a number, the nearest first, filled up with the first one.
        count: how many they are, without what fills the row up.
        near: their values, (width, rows, neighbours).
    """

    levels: int
    values: Floats
    index: Index
    row: Index
    neighbours: Index
    count: Index
    near: Floats

    def best_neighbours(
        self,
        rows: Index,
        values: Floats,
        weights: Floats,
        scale: Floats,
        lowest: Floats | None = None,
    ) -> Index:
        """Of the neighbours in ``rows`` (n,) those of least error, (n,), with scales (n,).

        ``values`` and ``weights``: (n, width). A level l stands for 2 l + 1, or if ``lowest`` (n,)
        is given for that plus l.
        """
        best = np.zeros(rows.size, np.intp)
        count, least = self.count[rows], 0
        # few vectors have many neighbours: those with about as many are taken together
        for most in (4, 8, 16, 32, 64, self.neighbours.shape[1]):
            some = np.flatnonzero((count > least) & (count <= most))
            least = most
            if some.size:
                low = None if lowest is None else lowest[some]
                error = self._errors(
                    most, rows[some], values[some], weights[some], scale[some], low
                )
                best[some] = self.neighbours[rows[some], error.argmin(axis=1)]
        return best

    def _errors(
        self,
        most: int,
        rows: Index,
        values: Floats,
        weights: Floats,
        scale: Floats,
        lowest: Floats | None,
    ) -> Floats:
        """Weighted squares of the errors of the first ``most`` neighbours: (n, most or fewer)."""
        error = np.zeros((rows.size, min(most, self.neighbours.shape[1])), np.float32)
        for component, table in enumerate(self.near):
            near = table[rows, :most]
            if lowest is not None:
                near = lowest[:, None] + (near - 1) / 2
            miss = scale[:, None] * near - values[:, component, None]
            error += weights[:, component, None] * miss * miss
        return error


@cache
def grid_map(name: GridName, distances: int) -> GridMap:
    """The map of a grid, whose neighbours are the points at so many least distances."""
    magnitudes = grid(name)
    steps = np.unique(magnitudes)
    points = np.searchsorted(steps, magnitudes)
    levels, width = len(steps), points.shape[1]
    powers = levels ** np.arange(width)
    numbers = np.arange(levels**width)
    index = np.full(numbers.size, -1, np.intp)
    index[points @ powers] = np.arange(len(points))
    missing = np.flatnonzero(index < 0)
    digits = missing[:, None] // powers % levels
    neighbours, count = _nearest_points(digits, points, distances)
    row = np.zeros(numbers.size, np.intp)
    row[missing] = np.arange(missing.size)
    values = np.ascontiguousarray((2 * points + 1).T.astype(np.float32))
    return GridMap(levels, values, index, row, neighbours, count, values[:, neighbours])


def _nearest_points(vectors: Index, points: Index, distances: int) -> tuple[Index, Index]:
    """For each vector the points at the least distances, by distance and index; their number."""
    squares = (vectors**2).sum(axis=1)[:, None] + (points**2).sum(axis=1) - 2 * vectors @ points.T
    limit = np.full((len(vectors), 1), -1)
    for _ in range(distances):
        beyond = np.where(squares > limit, squares, np.iinfo(np.int64).max)
        limit = beyond.min(axis=1, keepdims=True)
    which, point = np.nonzero(squares <= limit)
    order = np.lexsort((point, squares[which, point], which))
    which, point = which[order], point[order]
    counts = np.bincount(which, minlength=len(vectors))
    starts = np.cumsum(counts) - counts
    table = np.repeat(point[starts][:, None], counts.max(), axis=1)
    table[which, np.arange(which.size) - starts[which]] = point
    return table, counts


@dataclass(frozen=True)
class GridCodes:
    """What groups (m,) were rounded to.

    Attributes:
        scale: (m,), not negative.
        index: of the points, (points in a group, m).
        signs: masks of eight values each, (group / 8, m), bit i set where value i is negative.
    """

    scale: Floats
    index: Index
    signs: Codes


def encode_on_grid(values: Floats, weights: Floats, form: GridForm) -> GridCodes:
    """Scales, points and signs that are near the values, (group, m), by weighted squares."""
    magnitudes, signs = _without_signs(values, weights, form.even)
    scale, index = _fit(magnitudes, weights, form)
    # hardly ever is one negative: all values are turned instead, for scales have no sign
    turned = np.where(scale < 0, ~signs, signs)
    return GridCodes(np.abs(scale), index, np.where(scale == 0, np.uint8(0), turned))


def _without_signs(values: Floats, weights: Floats, even: bool) -> tuple[Floats, Codes]:
    """Magnitudes, and the masks of signs; for ``even`` a value may have the wrong sign."""
    eights = values.reshape(-1, 8, values.shape[1])
    negative = eights < 0
    if even:
        cost = weights.reshape(eights.shape) * eights * eights
        cheapest = cost.argmin(axis=1)[:, None]
        odd = np.logical_xor.reduce(negative, axis=1, keepdims=True)
        at_cheapest = np.take_along_axis(negative, cheapest, axis=1)
        np.put_along_axis(negative, cheapest, at_cheapest ^ odd, axis=1)
    magnitudes = np.where(negative, -eights, eights).reshape(values.shape)
    bits = (np.uint8(1) << np.arange(8, dtype=np.uint8))[:, None]
    return magnitudes, np.bitwise_or.reduce(negative * bits, axis=1)


def _fit(magnitudes: Floats, weights: Floats, form: GridForm) -> tuple[Floats, Index]:
    """The scales (m,), maybe negative, and points of the groups."""
    points = _Points(magnitudes, weights, grid_map(form.grid, form.distances))
    top = points.map.levels
    peak = magnitudes.max(axis=0)
    alive = peak >= np.float32(form.tiny)
    if form.refit == "always":
        scale, _ = fit_from_zero(magnitudes, weights, top + 1)
        reach = scale * np.float32(top)
        alive &= reach > 0
    else:
        reach, scale = peak, peak / np.float32(2 * top - 1)
    index = np.zeros(points.shape, np.intp)
    on_grid = np.full(points.shape, form.refit == "point")
    best = np.zeros_like(peak)
    for number in range(-form.steps, form.steps + 1):
        wanted = np.float32(2 * top - 1) + np.float32(number) * np.float32(form.step)
        inverse: Floats = wanted / reach
        trial, on_trial = points.snapped(inverse, np.float32(1) / inverse)
        along, power = points.sums(trial)
        better = (power > 0) & (along * along > best * power)
        np.copyto(scale, along / power, where=better)
        np.copyto(best, scale * along, where=better)
        np.copyto(index, trial, where=better)
        np.copyto(on_grid, on_trial, where=better)
    scale, index = _refitted(points, scale, index, on_grid, form.refit)
    return np.where(alive, scale, np.float32(0)), np.where(alive, index, 0)


def _refitted(
    points: _Points, scale: Floats, index: Index, on_grid: NDArray[np.bool_], refit: str
) -> tuple[Floats, Index]:
    """Points chosen anew by the best scale, and the scale by them."""
    groups = scale > 0
    if refit != "always":
        groups &= ~on_grid.all(axis=0)
    fresh, _ = points.snapped(np.float32(1) / scale, scale)
    chosen = groups & ~on_grid if refit == "point" else groups
    index = np.where(chosen, fresh, index)
    along, power = points.sums(index)
    return np.where(groups & (power > 0), along / power, scale), index


class _Points:
    """Groups of magnitudes (k, m), cut into the points that they are to be rounded to."""

    def __init__(self, magnitudes: Floats, weights: Floats, map: GridMap) -> None:
        width = len(map.values)
        self.map = map
        self.shape = (len(magnitudes) // width, magnitudes.shape[1])
        cut = (-1, width, magnitudes.shape[1])
        self._values = magnitudes.reshape(cut)
        self._roots = np.sqrt(weights).reshape(cut)
        self._weights = weights
        self._weighted = weights * magnitudes

    def snapped(self, inverse: Floats, scale: Floats) -> tuple[Index, NDArray[np.bool_]]:
        """The best points (points, m) for scales and their inverse, and which are on the grid.

        ``scale`` is given too, since 1 / (1 / scale) is not the same in float32.
        """
        exact = np.float32(0.5) * (inverse * self._values - np.float32(1))
        digits = rounded(np.nan_to_num(exact), 0, self.map.levels - 1)
        powers = (self.map.levels ** np.arange(digits.shape[1]))[:, None]
        numbers = (digits.astype(np.intp) * powers).sum(axis=1)
        index = self.map.index[numbers]
        on_grid = index >= 0
        point, group = np.nonzero(~on_grid)
        if point.size:
            rows = self.map.row[numbers[point, group]]
            values, roots = self._values[point, :, group], self._roots[point, :, group]
            index[point, group] = self.map.best_neighbours(rows, values, roots, scale[group])
        return index, on_grid

    def sums(self, index: Index) -> tuple[Floats, Floats]:
        """The weighted products of groups with their points, and of the points themselves: (m,)."""
        values = self.map.values[:, index].swapaxes(0, 1).reshape(self._weights.shape)
        return total(self._weighted * values), total(self._weights * values * values)


def coded_scales(scale: Floats, fudge: float) -> tuple[NDArray[np.float16], Codes, Codes]:
    """Scales (n, g) as an f16 (n,) and codes 0..15 (n, g), and 0 for blocks of zeros (n, 1)."""
    d = scale.max(axis=1) / np.float32(31)
    inverse = (1 / d)[:, None]
    alive = (d > 0)[:, None]
    exact = np.float32(0.5) * (inverse * scale - np.float32(1))
    codes = np.where(alive, rounded(exact, 0, 15), np.float32(0)).astype(np.uint8)
    return (d * np.float32(fudge)).astype(np.float16), codes, alive.astype(np.uint8)
