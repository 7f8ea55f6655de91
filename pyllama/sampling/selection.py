"""Orders of many numbers, and where in an order a sum is reached: the arithmetic of the filters."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

_BLOCK = 512
"""Weights summed at once; see ``RunningSum``."""


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


@dataclass(frozen=True)
class RunningSum:
    """The running sum of float32 ``weights`` (n,), n > 0, and its ``total``, in float64.

    Only the block in which a target lies is summed weight by weight: a running sum over a whole
    vocabulary takes longer than the exponentials. blocks: the sum of each block of weights.
    """

    weights: NDArray[np.float32]
    blocks: NDArray[np.float64]

    @classmethod
    def of(cls, weights: NDArray[np.float32]) -> Self:
        """That of all ``weights``."""
        starts = np.arange(0, len(weights), _BLOCK)
        return cls(weights, np.add.reduceat(weights, starts, dtype=np.float64))

    def first(self, count: int) -> RunningSum:
        """That of the first ``count`` weights, count > 0: only the last block is summed anew."""
        whole = (count - 1) // _BLOCK
        weights = self.weights[:count]
        last = weights[whole * _BLOCK :].sum(dtype=np.float64, keepdims=True)
        return RunningSum(weights, np.concatenate((self.blocks[:whole], last)) if whole else last)

    @cached_property
    def _sums(self) -> NDArray[np.float64]:
        """The running sum at the end of each block."""
        return self.blocks.cumsum()

    @property
    def total(self) -> float:
        """The sum of all weights."""
        return float(self._sums[-1])

    def reach(self, target: float) -> int:
        """The position at which the sum reaches ``target``; the last if rounding prevents it."""
        block = min(int(self._sums.searchsorted(target)), len(self.blocks) - 1)
        start = block * _BLOCK
        inside = self.weights[start : start + _BLOCK].cumsum(dtype=np.float64)
        if block:
            inside += self._sums[block - 1]
        return start + min(int(inside.searchsorted(target)), len(inside) - 1)

    def before(self, position: int) -> float:
        """The sum of the weights before a position."""
        block = position // _BLOCK
        inside = self.weights[block * _BLOCK : position].sum(dtype=np.float64)
        return float(inside) + (float(self._sums[block - 1]) if block else 0.0)


def stretch(distances: NDArray[np.float32], sums: RunningSum, target: float) -> tuple[int, int]:
    """Start and stop of the nearest ones whose weights add up to ``target``, at least one.

    distances: float32 (n,), n > 0, that fall first and then rise; sums: of their weights. Of two
    that are as far, the one on the falling side comes first.
    """
    end, turn = len(distances), int(distances.argmin())
    nearness = -distances[:turn]  # of the falling side: it rises

    def start(stop: int) -> int:
        """That of the stretch in which the last before ``stop`` is the farthest."""
        return int(nearness.searchsorted(-distances[stop - 1]))

    def is_enough(stop: int) -> bool:
        return sums.before(stop) - sums.before(start(stop)) >= target

    stop = turn + 1 + bisect_left(range(turn + 1, end + 1), True, key=is_enough)
    longest = start(stop) if stop <= end else 0
    # Without the last one, the falling side may do it with fewer than came before that one.
    spare = sums.before(stop - 1) - target
    shortest = sums.reach(spare)
    if spare >= 0 and shortest >= longest:
        return min(shortest, turn), stop - 1
    return longest, min(stop, end)
