"""The tokens that may come next, and their logits: what every filter takes and returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pyllama.sampling.selection import RunningSum, falling_order, largest, stretch


@dataclass(frozen=True, slots=True)
class Candidates:
    """Token ids with their logits.

    ids: int32 (n,), distinct; logits: float32 (n,), none of them NaN or +inf. Filters never change
    the arrays in place: the logits of the first candidates are a view into a session's buffer.

    The order matters, because a random number means a place in it. With ``distances``, float32
    (n,) that fall and then rise, the candidates are not to be read as they stand but from the least
    distance on: to sort a large vocabulary takes longer than all else, and is in vain where the
    next filter wants another order.
    """

    ids: NDArray[np.int32]
    logits: NDArray[np.float32]
    ranked: bool = False
    """The logits are known to fall, as the candidates stand."""
    distances: NDArray[np.float32] | None = None
    whole: bool = False
    """The ids are known to be 0, 1, 2 and so on."""

    @classmethod
    def of(cls, logits: NDArray[np.float32]) -> Candidates:
        """Every token of the vocabulary, in the order of the ids."""
        return cls(np.arange(len(logits), dtype=np.int32), logits, whole=True)

    def __len__(self) -> int:
        return len(self.ids)

    def first(self, count: int) -> Candidates:
        """The first ``count``, as they stand."""
        return self.between(0, count)

    def between(self, start: int, stop: int) -> Candidates:
        """Those from position ``start`` up to ``stop``, as they stand."""
        distances = None if self.distances is None else self.distances[start:stop]
        return Candidates(self.ids[start:stop], self.logits[start:stop], self.ranked, distances)

    def take(self, positions: NDArray[np.int64], *, ranked: bool = False) -> Candidates:
        """Those at the ``positions`` (m,), in that order."""
        distances = None if self.distances is None else self.distances.take(positions)
        ids = positions.astype(np.int32) if self.whole else self.ids.take(positions)
        return Candidates(ids, self.logits.take(positions), ranked, distances)

    def where(self, keep: NDArray[np.bool_]) -> Candidates:
        """Those that ``keep`` (n,) marks, as they stand."""
        if keep.all():
            return self
        # Positions first: NumPy copies by position five times as fast as by a mask.
        return self.take(np.flatnonzero(keep), ranked=self.ranked)

    def replace_logits(self, logits: NDArray[np.float32], *, ranked: bool = False) -> Candidates:
        """The same tokens with other logits."""
        return Candidates(self.ids, logits, ranked, self.distances, self.whole)

    def in_order(self) -> Candidates:
        """The same, standing in the order in which they are to be read."""
        if self.distances is None:
            return self
        return replace(self.take(falling_order(-self.distances)), distances=None)

    def reach(self, weights: NDArray[np.float32], share: float) -> int:
        """The position at which ``weights`` (n,), in order, add up to a share of their sum."""
        sums = RunningSum(weights)
        target = share * sums.total
        if self.distances is None:
            return sums.reach(target)
        start, stop = stretch(self.distances, weights, target)
        return start if self.distances[start] > self.distances[stop - 1] else stop - 1

    def spread(self, values: Mapping[int, float]) -> NDArray[np.float32]:
        """Each candidate's entry of a small ``token -> value`` table, 0 without: float32 (n,)."""
        table = np.zeros(int(self.ids.max()) + 1, np.float32)
        for token, value in values.items():
            if 0 <= token < len(table):
                table[token] = value
        return table if self.whole else table.take(self.ids)

    def top(self, count: int) -> Candidates:
        """The ``count`` with the largest logits, ranked; among equals the first one wins.

        A partition finds the smallest logit that can be among them, so only few are sorted.
        """
        if self.ranked:
            return replace(self.first(count), distances=None)
        chosen = self
        if count < len(self):
            chosen = self.where(self.logits >= largest(self.logits, count).min())
        return replace(
            chosen.take(falling_order(chosen.logits)[:count], ranked=True), distances=None
        )

    def rank(self) -> Candidates:
        """All of them, ranked."""
        return self.top(len(self))

    def weights(self) -> NDArray[np.float32]:
        """The probabilities up to a common factor: exp(logit - largest logit), float32 (n,)."""
        weights: NDArray[np.float32] = np.exp(self.logits - self.logits.max())
        return weights

    def probabilities(self) -> NDArray[np.float32]:
        """The probabilities, float32 (n,): a softmax of the logits."""
        weights = self.weights()
        weights /= np.float32(weights.sum(dtype=np.float64))
        return weights


def keep_freed_memory() -> None:
    """Let the C library keep the arrays that are freed, rather than return them to the system.

    The arrays of a large vocabulary (0.5 to 1 MB) are at a size that glibc maps anew each time,
    and touching new pages takes as long as computing what they hold. It stops to do so once it has
    seen one larger block freed. Elsewhere this does nothing.
    """
    np.empty(16 << 20, np.uint8)  # freed at once; never touched, so it takes no memory
