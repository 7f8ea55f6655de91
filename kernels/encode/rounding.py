"""Rounding vectors of levels to the points of a grid: see ``grid_tables``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyllama.kernels.encode.grid_tables import CHUNK, COUNT_BITS
from pyllama.kernels.encode.lanes import LANES, Column, Scratch, codes_of, rounded, splat, where
from pyllama.kernels.language import Builder, Pointer, Value
from pyllama.kernels.types import f32, i32, i64, u32

OFF_GRID = 1 << 31
"""Bit of a word: the vector that was wanted is no point."""

_LEVELS = 8
"""So many levels ``ISA.pick`` can tell apart; no grid has more."""

_FAR = 1 << 30


@dataclass(frozen=True)
class Grid:
    """A grid in a kernel: the tables of ``GridTables``, and what vectors are made of."""

    indices: Pointer
    entries: Pointer
    neighbours: Pointer
    levels: int
    width: int


class GridRounding:
    """Replaces vectors by points.

    Level l stands for ``2 l + 1``, or, if ``shifted``, for a number that is given plus l.
    """

    def __init__(self, k: Builder, grid: Grid, scratch: Scratch, *, shifted: bool = False) -> None:
        self.k, self.grid = k, grid
        self._numbers, self._scales = scratch.column(u32, 1), scratch.column(f32, 1)
        self._lowest = scratch.column(f32, 1) if shifted else None

    def to_points(
        self,
        levels: Sequence[Value],
        values: Column,
        weights: Column,
        scale: Value,
        words: Column,
        lowest: Value | None = None,
    ) -> None:
        """Round one vector of each lane to ``words[0]``.

        levels: u32, in range. A vector that is no point is replaced by its best neighbour, by
        weighted squares, and the word gets ``OFF_GRID``. ``lowest``: what level 0 stands for.
        """
        k, grid = self.k, self.grid
        number, word = k.zero(u32 * LANES), k.zero(u32 * LANES)
        for c, level in enumerate(levels):
            number = number + level * grid.levels**c
            word = word | level << 4 * c
        words[0], self._numbers[0], self._scales[0] = word, number, scale
        if self._lowest is not None and lowest is not None:
            self._lowest[0] = lowest
        with k.loop(LANES) as lane:
            entry = grid.entries[self._numbers.place[lane]]
            with k.when(entry.differs(0)):
                errors = self._errors(lane, values, weights)
                words.place[lane] = self._nearest(entry, errors) | OFF_GRID

    def index(self, word: Value) -> Value:
        """u16 indices of points."""
        k, grid = self.k, self.grid
        number = k.zero(u32 * LANES)
        for c in range(grid.width):
            number = number + level_of(word, c) * grid.levels**c
        return k.concat([grid.indices[number[lane]] for lane in range(LANES)])

    def _errors(self, lane: Value, values: Column, weights: Column) -> list[Value]:
        """For each component the errors of all levels, (8,) f32."""
        k = self.k
        if self._lowest is None:
            near = k.vector(f32, range(1, 2 * _LEVELS, 2))
        else:
            near = k.vector(f32, range(_LEVELS)) + self._lowest.place[lane]
        scaled = near * self._scales.place[lane]
        errors = []
        for c in range(self.grid.width):
            miss = scaled - values.place[lane + c * LANES]
            errors.append(miss * weights.place[lane + c * LANES] * miss)
        return errors

    def _nearest(self, entry: Value, errors: Sequence[Value]) -> Value:
        """The word of the neighbour of least error, the first one of several."""
        k, neighbours = self.k, self.grid.neighbours
        start = (entry >> COUNT_BITS).to(i64) * CHUNK
        count = (entry & (1 << COUNT_BITS) - 1).to(i64) * CHUNK
        best = k.variable(k.const(f32 * CHUNK, float("inf")))
        place = k.variable(k.zero(i32 * CHUNK))
        with k.loop(0, count, CHUNK) as i:
            words = neighbours.load(start + i, CHUNK)
            total = k.zero(f32 * CHUNK)
            for c, error in enumerate(errors):
                total = total + k.isa.pick(k, error, words >> 4 * c)
            better = total < best.value
            best.value = k.select(better, total, best.value)
            place.value = k.select(better, k.splat(i.to(i32), CHUNK), place.value)
        least = -(-best.value).max()
        before = -(place.value + k.vector(i32, range(CHUNK)))
        first = -k.select(best.value.equals(least), before, k.const(before.type, -_FAR)).max()
        return neighbours[start + k.min(first.to(i64), count - 1)]


def level_of(word: Value, component: int) -> Value:
    """A component of words, u32."""
    return word >> 4 * component & _LEVELS - 1


def code_odd_scales(
    k: Builder, scales: Column, coded: Column, groups: int, top: int
) -> tuple[Value, Value]:
    """Code scales as odd multiples ``2 code + 1`` of a unit, codes 0..top.

    The unit, and which blocks have any scale above 0: all others get codes 0.
    """
    peak = k.variable(scales[0])
    with k.loop(1, groups) as g:
        peak.value = k.max(scales[g], peak.value)
    unit = peak.value / (2 * top + 1)
    inverse = splat(k, 1) / unit
    alive = unit > 0
    with k.loop(groups) as g:
        code = rounded(k, (inverse * scales[g] - 1) * 0.5, 0, top)
        coded[g] = codes_of(where(alive, code))
    return unit, alive
