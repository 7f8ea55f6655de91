"""Which token each candidate is, worked out no sooner than somebody asks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left
from dataclasses import dataclass, replace
from operator import neg

import numpy as np
from numpy.typing import NDArray

from pyllama.sampling.selection import falling_order


class Ids(ABC):
    """The token ids of candidates, by position."""

    @abstractmethod
    def after(self, start: int) -> Ids:
        """Those from position ``start`` on."""

    @abstractmethod
    def take(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those at the ``positions`` (m,), m > 0: int64 (m,)."""

    @abstractmethod
    def find(self, ids: NDArray[np.int64], count: int) -> NDArray[np.int64]:
        """The positions of ``ids`` (m,) among the first ``count``, -1 where they are not."""


@dataclass(frozen=True, slots=True)
class Range(Ids):
    """``first``, ``first + 1`` and so on."""

    first: int = 0

    def after(self, start: int) -> Ids:
        """Those from position ``start`` on."""
        return Range(self.first + start)

    def take(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those at the ``positions``: a sum."""
        return positions + self.first

    def find(self, ids: NDArray[np.int64], count: int) -> NDArray[np.int64]:
        """The positions: a difference."""
        return _within(ids - self.first, count)


@dataclass(frozen=True, slots=True)
class Picked(Ids):
    """Those of others at the ``positions``, int64 (n,), all different."""

    ids: Ids
    positions: NDArray[np.int64]

    def after(self, start: int) -> Ids:
        """Those from position ``start`` on."""
        return Picked(self.ids, self.positions[start:])

    def take(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those at the ``positions`` of these."""
        return self.ids.take(self.positions.take(positions))

    def find(self, ids: NDArray[np.int64], count: int) -> NDArray[np.int64]:
        """The positions, by a table of all."""
        positions = self.positions[:count]
        size = int(positions.max()) + 1
        table = np.full(size + 1, -1)  # the last entry is for what was not found
        table[positions] = np.arange(len(positions))
        return table[self.ids.find(ids, size)]


@dataclass(frozen=True, slots=True)
class Ranked(Ids):
    """Those of others in the order of falling ``values``; among equals the first one leads.

    To sort the values alone takes a third of the time that it takes with their positions, and
    mostly one position is asked for in the end, that of the token drawn: it is where the value of
    its rank stands.

    ids: in the order of ``values``, float32 (n,), none of them NaN; falling: the same values in
    falling order; start: the rank of the first of these ids.
    """

    ids: Ids
    values: NDArray[np.float32]
    falling: NDArray[np.float32]
    start: int = 0

    def after(self, start: int) -> Ids:
        """Those from position ``start`` on."""
        return replace(self, start=self.start + start)

    def take(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those at the ``positions``: only the values between the first and the last are sorted."""
        first = int(positions.min())
        places = self._places(self.start + first, self.start + int(positions.max()))
        return self.ids.take(places.take(positions - first))

    def find(self, ids: NDArray[np.int64], count: int) -> NDArray[np.int64]:
        """The positions: how many values are larger, or equal and in front."""
        places = self.ids.find(ids, len(self.values))
        there = places >= 0
        positions = np.full(len(ids), -1)
        positions[there] = self._ranks(places[there]) - self.start
        return _within(positions, count)

    def _places(self, first: int, last: int) -> NDArray[np.int64]:
        """Where the values of the ranks from ``first`` to ``last``, inclusive, stand."""
        high, low = self.falling[first], self.falling[last]
        if high == low:
            places = np.flatnonzero(self.values == high)
        else:
            places = np.flatnonzero((self.values <= high) & (self.values >= low))
            places = places[falling_order(self.values[places])]
        highest = bisect_left(self.falling, -high, hi=first, key=neg)  # the first of that value
        return places[first - highest : last - highest + 1]

    def _ranks(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """The ranks of the values that stand at the ``places``."""
        values = self.values[places]
        rising = -self.falling
        ranks = rising.searchsorted(-values)
        tied = rising.searchsorted(-values, "right") - ranks > 1
        for value in np.unique(values[tied]):
            same = values == value
            ranks[same] += np.flatnonzero(self.values == value).searchsorted(places[same])
        return ranks


def _within(positions: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """The positions as they are, -1 for those outside of the first ``count``."""
    return np.where((positions >= 0) & (positions < count), positions, -1)
