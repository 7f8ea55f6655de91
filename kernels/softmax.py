"""An online softmax over rows of scores that come some cells at a time.

Milakov and Gimelshein 2018. For each row it keeps the largest score so far and the sum of the
weights relative to it; when a larger score turns up, what was summed before is scaled down.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pyllama.kernels.functions import exp
from pyllama.kernels.language import Builder, Pointer, Value
from pyllama.kernels.score_changes import ScoreChange
from pyllama.kernels.types import f32, i32, u32

STRIDE = 64
"""Cells whose weights are made together."""

LOWEST = -1e30
"""Stands for minus infinity: exp of it is negligible, and differences of it are finite."""


@dataclass(frozen=True)
class Scores:
    """Scores of a row with neighbouring cells, the first of them being number ``first``.

    place: (cells,) f32, the last stride whole. Cells after ``position``, and those that lie
    ``window`` or more before it, are not seen; ``all_seen`` promises that there are none.
    """

    place: Pointer
    cells: Value | int
    first: Value
    position: Value
    window: Value
    all_seen: bool = False

    def change(self, changed: ScoreChange) -> None:
        """Let them become others."""
        k = self.place.k
        with k.loop(0, self.cells, STRIDE) as c:
            for i in range(0, STRIDE, k.f32_lanes):
                scores = self.place.load(c + i, k.f32_lanes)
                self.place.store(c + i, changed(scores, self._numbers(c + i)))

    def seen(self, c: Value) -> list[Value]:
        """A stride of them, as vectors; ``LOWEST`` where a cell is not seen."""
        k = self.place.k
        lowest = k.const(f32 * k.f32_lanes, LOWEST)
        seen = []
        for i in range(0, STRIDE, k.f32_lanes):
            scores = self.place.load(c + i, k.f32_lanes)
            if not self.all_seen:
                age = k.splat(self.position.to(i32), k.f32_lanes) - self._numbers(c + i)
                is_seen = age.to(u32) < self.window.to(u32)  # as unsigned, what is to come is old
                scores = k.select(is_seen, scores, lowest)
            seen.append(scores)
        return seen

    def _numbers(self, c: Value) -> Value:
        k = self.place.k
        return k.vector(i32, range(k.f32_lanes)) + (self.first + c).to(i32)


class OnlineSoftmax:
    """The state of ``rows`` rows in scratch memory: ``FLOATS_PER_ROW`` float32 each.

    For the next scores ``find_largest`` of each row comes first, then ``rescale_rows``, then
    ``weigh`` for each row: rows do not wait for what takes long to know of one of them.
    """

    FLOATS_PER_ROW = 3

    def __init__(self, k: Builder, memory: Pointer, rows: int) -> None:
        self.k = k
        self.lanes = min(k.f32_lanes, rows & -rows)
        self.largest, self.total, self.rescale = (memory.at(i * rows) for i in range(3))

    def start(self, row: Value, sink: Value | None = None) -> None:
        """Nothing was seen yet, but a score that stands for no cell where there is a sink."""
        nothing = self.k.const(f32, LOWEST)
        self.largest[row] = nothing if sink is None else sink
        self.total[row] = self.k.const(f32, 0 if sink is None else 1)

    def find_largest(self, row: Value, scores: Scores) -> None:
        """Keep the largest of a row's next scores, where ``rescale_rows`` looks for it."""
        k = self.k
        largest = k.variable(k.const(f32 * k.f32_lanes, LOWEST))
        with k.loop(0, scores.cells, STRIDE) as c:
            for score in scores.seen(c):
                largest.value = k.max(largest.value, score)
        self.rescale[row] = largest.value.max()

    def rescale_rows(self, first: Value | int, count: int) -> None:
        """``rescale`` becomes the factor of what was summed before, of ``count`` rows."""
        k = self.k
        start = k.integer(first)
        with k.loop(start, start + count, self.lanes) as row:
            before = self.largest.load(row, self.lanes)
            after = k.max(self.rescale.load(row, self.lanes), before)
            rescale = exp(k, before - after)
            self.largest.store(row, after)
            self.rescale.store(row, rescale)
            self.total.store(row, self.total.load(row, self.lanes) * rescale)

    def weigh(
        self, row: Value, scores: Scores, store: Callable[[Value, list[Value]], None]
    ) -> None:
        """Turn a row's next scores into weights, ``STRIDE`` at a time.

        ``store`` is given the place among the cells and the weights from there on, as vectors.
        """
        k, largest = self.k, self.largest[row]
        total = k.variable(k.zero(f32 * k.f32_lanes))
        with k.loop(0, scores.cells, STRIDE) as c:
            weights = [exp(k, score - largest) for score in scores.seen(c)]
            total.value = total.value + _sum(weights)
            store(c, weights)
        self.total[row] = self.total[row] + total.value.sum()


def _sum(values: list[Value]) -> Value:
    result = values[0]
    for value in values[1:]:
        result = result + value
    return result
