"""An online softmax over rows of scores that come some cells at a time.

Milakov and Gimelshein 2018. For each row it keeps the largest score so far and the sum of the
weights relative to it; when a larger score turns up, what was summed before is scaled down.
"""

from __future__ import annotations

from collections.abc import Callable

from pyllama.kernels.functions import exp
from pyllama.kernels.language import Builder, Pointer, Value
from pyllama.kernels.types import f32, i32

LOWEST = -1e30
"""Stands for minus infinity: exp of it is negligible, and differences of it are finite."""


class OnlineSoftmax:
    """The state of ``rows`` rows in scratch memory: ``FLOATS_PER_ROW`` float32 each."""

    FLOATS_PER_ROW = 3

    def __init__(self, k: Builder, memory: Pointer, rows: int) -> None:
        self.k = k
        self.largest, self.total, self.rescale = (memory.at(i * rows) for i in range(3))

    def start(self, row: Value) -> None:
        """Nothing was seen yet."""
        self.largest[row] = self.k.const(f32, LOWEST)
        self.total[row] = self.k.zero(f32)

    def weigh(
        self, row: Value, scores: Pointer, cells: int, first: Value, position: Value, window: Value
    ) -> list[Value]:
        """Weights of the next ``cells`` cells of a row, as vectors.

        scores: (cells,) f32; first: which cell they begin with. Cells after ``position``, and those
        that lie ``window`` or more before it, weigh 0. ``rescale[row]`` is set to the factor of
        everything that was summed before.
        """
        k, lanes = self.k, self.k.f32_lanes
        iota = k.vector(i32, range(lanes))
        newest, oldest = position.to(i32), (position - window).to(i32)
        masked = []
        for i in range(0, cells, lanes):
            cell = iota + (first + i).to(i32)
            score = scores.load(i, lanes)
            seen = (cell <= newest) & (cell > oldest)
            masked.append(k.select(seen, score, k.const(score.type, LOWEST)))
        before = self.largest[row]
        largest = k.max(_reduced(masked, k.max).max(), before)
        weights = [exp(k, score - largest) for score in masked]
        rescale = exp(k, before - largest)
        self.largest[row], self.rescale[row] = largest, rescale
        self.total[row] = self.total[row] * rescale + _reduced(weights, _sum).sum()
        return weights


def _sum(a: Value, b: Value) -> Value:
    return a + b


def _reduced(values: list[Value], combine: Callable[[Value, Value], Value]) -> Value:
    """All vectors combined lane by lane."""
    result = values[0]
    for value in values[1:]:
        result = combine(result, value)
    return result
