"""Rounding to three levels, shifted up or down; meaning: ``pyllama/quants/iq1_search.py``.

In order of size the values of a group fall into three runs. All pairs of boundaries are tried.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from pyllama.kernels.encode.base import Task
from pyllama.kernels.encode.lanes import LANES, Column, largest_magnitude, splat, where
from pyllama.kernels.encode.rounding import OFF_GRID, GridRounding, level_of
from pyllama.kernels.language import Value
from pyllama.kernels.types import f32, i32, i64, u8, u32
from pyllama.quants.iq1_search import DOWN, UP

WIDTH = 8
"""Values of a point."""

_UNKNOWN = -1


class ShiftedLevels:
    """Fits the groups of a task, one after the other.

    ``shifts``: how many points of a group have a shift of their own, 1 or 2.
    """

    def __init__(self, task: Task, group: int, shifts: int, tiny: float) -> None:
        assert task.grid is not None
        scratch = task.scratch
        self.k, self.task, self.group, self.shifts = task.k, task, group, shifts
        self.tiny, self.points = tiny, group // WIDTH
        self.rounding = GridRounding(task.k, task.grid, scratch, shifted=True)
        self._sorted = _Sorted(task, group)
        self._prefixes = [scratch.column(f32, group + 1) for _ in range(2 * shifts)]
        self._levels = scratch.column(u32, group)
        self._best = {name: task.k.variable(splat(task.k, 0)) for name in ("scale", "score")}
        self._place = {
            name: task.k.variable(task.k.zero(i32 * LANES)) for name in ("first", "second", "shift")
        }

    def fit(self, start: Value, words: Column, down: Column) -> Value:
        """Store the points of the group at value ``start``, and which are shifted down (u8)."""
        k = self.k
        self._values, self._weights = self.task.values.start(start), self.task.weights.start(start)
        self._sorted.fill(self._values, self._weights)
        self._add_up()
        self._find_boundaries()
        scale, shift = self._levels_of_best()
        for p in range(self.points):
            bit = shift >> (self.shifts - 1 - p % self.shifts) & 1
            down[p] = bit.to(u8)
            self._snap(p, scale, words, down)
        scale = self._refitted(scale, words, down)
        alive = largest_magnitude(k, self._values, self.group) >= float(np.float32(self.tiny))
        alive = alive & (self._place["shift"].value >= 0)
        for p in range(self.points):
            words[p], down[p] = where(alive, words[p]), where(alive, down[p])
        return where(alive, scale)

    def _add_up(self) -> None:
        """Sums of the first 0, 1, .. terms in order of size, those of each shift for itself."""
        k, order = self.k, self._sorted
        for prefix in self._prefixes:
            prefix[0] = splat(k, 0)
        with k.loop(self.group) as i:
            value, weight = order.values[i], order.weights[i]
            for n, prefix in enumerate(self._prefixes):
                term = weight * value if n < self.shifts else weight
                if self.shifts == 2:
                    upper = order.places[i] >= WIDTH
                    term = where(upper, term) if n % 2 else k.select(upper, splat(k, 0), term)
                prefix[i + 1] = prefix[i] + term

    def _find_boundaries(self) -> None:
        k = self.k
        self._best["scale"].value = splat(k, 0)
        self._best["score"].value = splat(k, float(np.finfo(np.float32).min))
        self._place["shift"].value = k.const(i32 * LANES, _UNKNOWN)
        candidates = self._of_one_shift if self.shifts == 1 else self._of_two_shifts
        with k.loop(self.group + 1) as first, k.loop(first, self.group + 1) as second:
            for shift, (along, power) in enumerate(candidates(first, second)):
                self._offer(first, second, shift, along, power)

    def _of_one_shift(self, first: Value, second: Value) -> Iterator[tuple[Value, Value]]:
        """The products of values and levels, and of levels with themselves, for both shifts."""
        runs = []
        for prefix in self._prefixes:
            start, stop, end = prefix[first], prefix[second], prefix[self.group]
            runs.append((start, stop - start, end - stop))
        (a, b, c), (x, y, z) = runs
        for levels in (UP, DOWN):
            low, middle, high = map(float, levels)
            along = a * low + b * middle + c * high
            power = x * low * low + y * middle * middle + z * high * high
            yield along, power

    def _of_two_shifts(self, first: Value, second: Value) -> Iterator[tuple[Value, Value]]:
        """The same for the four combinations of shifts of two points."""
        products = []
        for levels in (UP, DOWN):
            squares = [x * x for x in levels]
            top = float(levels[2])
            low_step, high_step = float(squares[0] - squares[1]), float(squares[1] - squares[2])
            parts = []
            for n, prefix in enumerate(self._prefixes):
                low, high, end = prefix[first], prefix[second], prefix[self.group]
                if n < self.shifts:
                    parts.append(end * top - (low + high))
                else:
                    parts.append(end * top * top + low * low_step + high * high_step)
            products.append(parts)
        for shift in range(4):
            left, right = products[shift // 2], products[shift % 2]
            yield left[0] + right[1], left[2] + right[3]

    def _offer(self, first: Value, second: Value, shift: int, along: Value, power: Value) -> None:
        """Take a candidate where it is better."""
        k, scale, score = self.k, self._best["scale"], self._best["score"]
        better = (power > 0) & (along * along > score.value * power)
        exact = along / power
        scale.value = k.select(better, exact, scale.value)
        score.value = k.select(better, exact * along, score.value)
        numbers = {"first": first, "second": second, "shift": k.const(i64, shift)}
        for name, number in numbers.items():
            place = self._place[name]
            place.value = k.select(better, k.splat(number.to(i32), LANES), place.value)

    def _levels_of_best(self) -> tuple[Value, Value]:
        """Store the level of each value; the scale, not negative, and the bits of the shifts."""
        k, order = self.k, self._sorted
        first, second, shift = (self._place[n].value for n in ("first", "second", "shift"))
        scale = self._best["scale"].value
        turned = scale < 0
        with k.loop(self.group) as i:
            place = k.splat(i.to(i32), LANES)
            level = (place >= first).to(u32) + (place >= second).to(u32)
            order.levels[i] = k.select(turned, 2 - level, level)
        with k.loop(self.group) as i, k.loop(LANES) as lane:
            at = i * LANES + lane
            self._levels.place[order.places.place[at].to(i64) * LANES + lane] = order.levels.place[
                at
            ]
        every = (1 << self.shifts) - 1
        return k.abs(scale), k.select(turned, every - shift, shift)

    def _snap(self, p: int, scale: Value, words: Column, down: Column) -> None:
        start = p * WIDTH
        self.rounding.to_points(
            [self._levels[start + c] for c in range(WIDTH)],
            self._values.start(start),
            self._weights.start(start),
            scale,
            words.start(p),
            lowest_level(down[p]),
        )

    def _refitted(self, scale: Value, words: Column, down: Column) -> Value:
        """The scale that suits the points best, where these are not the levels found before."""
        k = self.k
        off = words[0]
        along, power = splat(k, 0), splat(k, 0)
        for p in range(self.points):
            off = off | words[p]
            for c, step in enumerate(steps_of(words[p], down[p])):
                weighted = self._weights[p * WIDTH + c] * step
                along = along + weighted * self._values[p * WIDTH + c]
                power = power + weighted * step
        fits = (off >= OFF_GRID) & (along > 0) & (power > 0)
        return k.select(fits, along / power, scale)


class _Sorted:
    """A group in order of size, by Batcher's network, which compares the same places always."""

    def __init__(self, task: Task, group: int) -> None:
        scratch = task.scratch
        self.k, self.group = task.k, group
        self.values, self.weights = (scratch.column(f32, group) for _ in range(2))
        self.places = scratch.column(i32, group)
        """Where they come from."""
        self.levels = scratch.column(u32, group)

    def fill(self, values: Column, weights: Column) -> None:
        """Sort; of equal values the first one comes first."""
        k = self.k
        with k.loop(self.group) as i:
            self.values[i], self.weights[i] = values[i], weights[i]
            self.places[i] = k.splat(i.to(i32), LANES)
        pairs = np.array(list(_network(self.group)), np.int64)
        left, right = (k.table(i64, pairs[:, side]) for side in range(2))
        with k.loop(len(pairs)) as pair:
            self._in_order(left[pair], right[pair])

    def _in_order(self, i: Value, j: Value) -> None:
        k = self.k
        a, b = self.values[i], self.values[j]
        x, y = self.places[i], self.places[j]
        swap = (b < a) | (b.equals(a) & (y < x))
        for column in (self.values, self.weights, self.places):
            a, b = column[i], column[j]
            column[i], column[j] = k.select(swap, b, a), k.select(swap, a, b)


def _network(size: int) -> Iterator[tuple[int, int]]:
    """Places to compare, in order: odd-even merge sort (Batcher 1968), size a power of 2."""
    run = 1
    while run < size:
        step = run
        while step:
            for start in range(step % run, size - step, 2 * step):
                for i in range(start, min(start + step, size - step)):
                    if i // (2 * run) == (i + step) // (2 * run):
                        yield i, i + step
            step //= 2
        run *= 2


def lowest_level(down: Value) -> Value:
    """What level 0 stands for; down: u8."""
    k = down.k
    return k.select(down.differs(0), splat(k, float(DOWN[0])), splat(k, float(UP[0])))


def steps_of(word: Value, down: Value) -> Sequence[Value]:
    """The shifted levels of a point."""
    lowest = lowest_level(down)
    levels = (level_of(word, c).bits_as(i32 * LANES).to(f32) for c in range(WIDTH))
    return [lowest + level for level in levels]
