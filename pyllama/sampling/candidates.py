"""The tokens that may come next, and their logits: what every filter takes and returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_BLOCK = 512
"""Weights summed at once; see ``RunningSum``."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Token ids with their logits.

    ids: int32 (n,), distinct; logits: float32 (n,), none of them NaN or +inf; ``ranked``: the
    logits are known to fall. Filters never change the arrays in place: the logits of the first
    candidates are a view into a session's buffer.
    """

    ids: NDArray[np.int32]
    logits: NDArray[np.float32]
    ranked: bool = False

    @classmethod
    def of(cls, logits: NDArray[np.float32]) -> Candidates:
        """Every token of the vocabulary, in the order of the ids."""
        return cls(np.arange(len(logits), dtype=np.int32), logits)

    def __len__(self) -> int:
        return len(self.ids)

    def first(self, count: int) -> Candidates:
        """The first ``count`` in the present order."""
        return Candidates(self.ids[:count], self.logits[:count], self.ranked)

    def take(self, order: NDArray[np.int64], *, ranked: bool = False) -> Candidates:
        """Those at the positions ``order`` (m,), in that order."""
        return Candidates(self.ids[order], self.logits[order], ranked)

    def where(self, keep: NDArray[np.bool_]) -> Candidates:
        """Those that ``keep`` (n,) marks, in the present order."""
        if keep.all():
            return self
        # Positions first: NumPy copies by position five times as fast as by a mask.
        return self.take(np.flatnonzero(keep), ranked=self.ranked)

    def replace_logits(self, logits: NDArray[np.float32], *, ranked: bool = False) -> Candidates:
        """The same tokens with other logits."""
        return Candidates(self.ids, logits, ranked)

    def spread(self, values: Mapping[int, float]) -> NDArray[np.float32]:
        """Each candidate's entry of a small ``token -> value`` table, 0 without: float32 (n,)."""
        table = np.zeros(int(self.ids.max()) + 1, np.float32)
        for token, value in values.items():
            if 0 <= token < len(table):
                table[token] = value
        return table[self.ids]

    def top(self, count: int) -> Candidates:
        """The ``count`` with the largest logits, ranked; among equals the first one wins.

        A partition finds the smallest logit that can be among them, so only few are sorted.
        """
        if self.ranked:
            return self.first(count)
        chosen = self
        if count < len(self):
            chosen = self.where(self.logits >= largest(self.logits, count).min())
        return chosen.take(falling_order(chosen.logits)[:count], ranked=True)

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


def largest(values: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """The ``count`` largest values, in no order."""
    start = len(values) - count
    return np.partition(values, start)[start:]


def falling_order(values: NDArray[np.float32]) -> NDArray[np.int64]:
    """The stable order of falling values, none of them NaN: int64 positions (n,).

    Each value becomes an integer that falls as the float rises, with its position in the low 32
    bits. NumPy sorts integers with vector instructions, ten times as fast as a stable argsort,
    and because no two are equal the order is the same on every machine.
    """
    bits = (values + np.float32(0)).view(np.int32)  # + 0 makes -0.0 and 0.0 equal
    # The pattern of a positive float grows with it, that of a negative one shrinks: flip the 31
    # bits of the magnitude of the positive ones, and read the whole as unsigned.
    bits ^= ~(bits >> 31) & np.int32(0x7FFF_FFFF)
    # In place: an array of this size that is made anew costs as much as what is computed in it.
    keys = np.left_shift(bits.view(np.uint32), np.uint64(32), dtype=np.uint64)
    keys |= np.arange(len(values), dtype=np.uint32)
    keys.sort()
    keys &= np.uint64(0xFFFF_FFFF)
    return keys.view(np.int64)


class RunningSum:
    """The running sum of float32 ``weights`` (n,), n > 0, and its ``total``, in float64.

    Only the block in which a target lies is summed weight by weight: a running sum over a whole
    vocabulary takes longer than the exponentials.
    """

    def __init__(self, weights: NDArray[np.float32]) -> None:
        self._weights = weights
        self._starts = np.arange(0, len(weights), _BLOCK)
        self._sums = np.cumsum(np.add.reduceat(weights, self._starts, dtype=np.float64))

    @property
    def total(self) -> float:
        """The sum of all weights."""
        return float(self._sums[-1])

    def reach(self, target: float) -> int:
        """The position at which the sum reaches ``target``; the last if rounding prevents it."""
        block = min(int(np.searchsorted(self._sums, target)), len(self._starts) - 1)
        start = int(self._starts[block])
        before = float(self._sums[block - 1]) if block else 0.0
        inside = before + np.cumsum(self._weights[start : start + _BLOCK], dtype=np.float64)
        return start + min(int(np.searchsorted(inside, target)), len(inside) - 1)
