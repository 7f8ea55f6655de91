"""An online softmax over rows of scores that come some cells at a time.

Milakov and Gimelshein 2018. For each row it keeps the largest score so far and the sum of the
weights relative to it; when a larger score turns up, what was summed before is scaled down.
"""

from __future__ import annotations

from collections.abc import Callable

from pyllama.kernels.functions import exp
from pyllama.kernels.language import Builder, Pointer, Value
from pyllama.kernels.score_changes import ScoreChange
from pyllama.kernels.types import f32, i32

STRIDE = 64
"""Cells whose weights are made together."""

LOWEST = -1e30
"""Stands for minus infinity: exp of it is negligible, and differences of it are finite."""


class OnlineSoftmax:
    """The state of ``rows`` rows in scratch memory: ``FLOATS_PER_ROW`` float32 each."""

    FLOATS_PER_ROW = 3

    def __init__(self, k: Builder, memory: Pointer, rows: int) -> None:
        self.k = k
        self.largest, self.total, self.rescale = (memory.at(i * rows) for i in range(3))

    def start(self, row: Value, sink: Value | None = None) -> None:
        """Nothing was seen yet, but a score that stands for no cell where there is a sink."""
        nothing = self.k.const(f32, LOWEST)
        self.largest[row] = nothing if sink is None else sink
        self.total[row] = self.k.const(f32, 0 if sink is None else 1)

    def weigh(
        self,
        row: Value,
        scores: Pointer,
        cells: Value | int,
        first: Value,
        position: Value,
        window: Value,
        store: Callable[[Value, list[Value]], None],
        change: ScoreChange | None = None,
    ) -> None:
        """Turn the next ``cells`` scores of a row into weights, ``STRIDE`` at a time.

        scores: (cells,) f32, the last stride whole; first: which cell they begin with. Cells after
        ``position``, and those that lie ``window`` or more before it, weigh 0. ``store`` is given
        the place among the cells and the weights from there on, as vectors. ``rescale[row]`` is set
        to the factor of everything that was summed before. ``change``: what scores become first.
        """
        k, lanes = self.k, self.k.f32_lanes
        iota = k.vector(i32, range(lanes))
        newest, oldest = position.to(i32), (position - window).to(i32)
        lowest = k.splat(k.const(f32, LOWEST), lanes)
        largest = k.variable(lowest)

        if change:
            with k.loop(0, cells, STRIDE) as c:
                for i in range(0, STRIDE, lanes):
                    cell = iota + (first + c + i).to(i32)
                    scores.store(c + i, change(scores.load(c + i, lanes), cell))

        def masked(c: Value) -> list[Value]:
            cells_of = [iota + (first + c + i).to(i32) for i in range(0, STRIDE, lanes)]
            return [
                k.select((cell <= newest) & (cell > oldest), scores.load(c + i, lanes), lowest)
                for i, cell in zip(range(0, STRIDE, lanes), cells_of, strict=True)
            ]

        with k.loop(0, cells, STRIDE) as c:
            for score in masked(c):
                largest.value = k.max(largest.value, score)
        before = self.largest[row]
        after = k.max(largest.value.max(), before)
        total = k.variable(k.zero(f32 * lanes))
        with k.loop(0, cells, STRIDE) as c:
            weights = [exp(k, score - after) for score in masked(c)]
            total.value = total.value + _sum(weights)
            store(c, weights)
        rescale = exp(k, before - after)
        self.largest[row], self.rescale[row] = after, rescale
        self.total[row] = self.total[row] * rescale + total.value.sum()


def _sum(values: list[Value]) -> Value:
    result = values[0]
    for value in values[1:]:
        result = result + value
    return result
