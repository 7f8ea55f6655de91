"""The tokens that may come next, and their logits: what every filter takes and returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pyllama.sampling.ids import Ids, Picked, Range, Ranked
from pyllama.sampling.selection import RunningSum, falling_order, largest, stretch


@dataclass(frozen=True)
class Candidates:
    """Tokens, all different, with their logits.

    logits: float32 (n,), none of them NaN or +inf. Filters never change the array in place: that
    of the first candidates is a session's buffer.

    The order matters, because a random number means a place in it. With ``distances``, float32
    (n,) that fall and then rise, the candidates are not to be read as they stand but from the least
    distance on: to sort a large vocabulary takes longer than all else, and is in vain where the
    next filter wants another order.
    """

    names: Ids
    logits: NDArray[np.float32]
    ranked: bool = False
    """The logits are known to fall, as the candidates stand."""
    distances: NDArray[np.float32] | None = None

    @classmethod
    def of(cls, logits: NDArray[np.float32]) -> Candidates:
        """Every token of the vocabulary, in the order of the ids."""
        return cls(Range(), logits)

    def __len__(self) -> int:
        return len(self.logits)

    @property
    def largest(self) -> np.float32:
        """The largest logit; NaN where any is NaN."""
        largest: np.float32 = self.logits[0] if self.ranked else self.logits.max()
        return largest

    @property
    def weights(self) -> NDArray[np.float32]:
        """The probabilities up to a common factor: exp(logit - largest logit), float32 (n,)."""
        return self.sums.weights

    @cached_property
    def sums(self) -> RunningSum:
        """The running sum of the weights, as the candidates stand."""
        weights = self.logits - self.largest
        np.exp(weights, out=weights)
        return RunningSum.of(weights)

    def probabilities(self) -> NDArray[np.float32]:
        """The probabilities, float32 (n,): a softmax of the logits."""
        return self.weights / np.float32(self.sums.total)

    @property
    def ids(self) -> NDArray[np.int64]:
        """The tokens, as they stand: int64 (n,). To know them all may take a sort."""
        return self.names.take(np.arange(len(self)))

    def token(self, position: int) -> int:
        """The one at a position."""
        return int(self.names.take(np.array([position]))[0])

    def first(self, count: int) -> Candidates:
        """The first ``count``, as they stand."""
        if count >= len(self):
            return self
        some = self.between(0, count)
        if self.ranked and "sums" in vars(self):  # the largest logit is still the same
            vars(some)["sums"] = self.sums.first(count)
        return some

    def between(self, start: int, stop: int) -> Candidates:
        """Those from position ``start`` up to ``stop``, as they stand."""
        distances = None if self.distances is None else self.distances[start:stop]
        return Candidates(self.names.after(start), self.logits[start:stop], self.ranked, distances)

    def take(self, positions: NDArray[np.int64], *, ranked: bool = False) -> Candidates:
        """Those at the ``positions`` (m,), m > 0, in that order."""
        distances = None if self.distances is None else self.distances.take(positions)
        names = Picked(self.names, positions)
        return Candidates(names, self.logits.take(positions), ranked, distances)

    def where(self, keep: NDArray[np.bool_]) -> Candidates:
        """Those that ``keep`` (n,) marks, at least one, as they stand."""
        if keep.all():
            return self
        # Positions first: NumPy copies by position five times as fast as by a mask.
        return self.take(keep.nonzero()[0], ranked=self.ranked)

    def replace_logits(self, logits: NDArray[np.float32], *, ranked: bool = False) -> Candidates:
        """The same tokens with other logits."""
        return Candidates(self.names, logits, ranked, self.distances)

    def in_order(self) -> Candidates:
        """The same, written out and standing in the order in which they are to be read."""
        if self.distances is None:
            return replace(self, names=Picked(Range(), self.ids))
        return replace(self.take(falling_order(-self.distances)), distances=None).in_order()

    def reach(self, share: float) -> int:
        """The position at which the weights, in order, add up to a share of their sum."""
        target = share * self.sums.total
        if self.distances is None:
            return self.sums.reach(target)
        start, stop = stretch(self.distances, self.sums, target)
        return start if self.distances[start] > self.distances[stop - 1] else stop - 1

    def find(self, table: Mapping[int, float]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Positions (m,) and values (m,) of the candidates that a ``token -> value`` table has."""
        tokens = np.fromiter(table.keys(), np.int64, len(table))
        values = np.fromiter(table.values(), np.float32, len(table))
        positions = self.names.find(tokens, len(self))
        there = positions >= 0
        return positions[there], values[there]

    def top(self, count: int) -> Candidates:
        """The ``count`` with the largest logits, ranked; among equals the first one wins.

        A partition finds the smallest logit that can be among them, so only few are sorted.
        """
        if self.ranked:
            some = self.first(count)
            return some if some.distances is None else replace(some, distances=None)
        chosen = self
        if count < len(self) // 2:
            chosen = self.where(self.logits >= largest(self.logits, count).min())
        falling = -chosen.logits
        falling.sort()
        np.negative(falling, out=falling)
        names = Ranked(chosen.names, chosen.logits, falling)
        return Candidates(names, falling[:count], ranked=True)

    def rank(self) -> Candidates:
        """All of them, ranked."""
        return self.top(len(self))


def keep_freed_memory() -> None:
    """Let the C library keep the arrays that are freed, rather than return them to the system.

    The arrays of a large vocabulary (0.5 to 1 MB) are at a size that glibc maps anew each time,
    and touching new pages takes as long as computing what they hold. It stops to do so once it has
    seen one larger block freed. Elsewhere this does nothing.
    """
    np.empty(16 << 20, np.uint8)  # freed at once; never touched, so it takes no memory
