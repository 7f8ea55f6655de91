"""The tokens that may come next, and their logits: what every filter takes and returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# A float's sign bit, and the other 31 bits, of its IEEE 754 pattern.
_SIGN = np.uint32(0x8000_0000)
_MAGNITUDE = np.uint32(0x7FFF_FFFF)


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

    def where(self, keep: NDArray[np.bool_]) -> Candidates:
        """Those that ``keep`` (n,) marks, in the present order."""
        return Candidates(self.ids[keep], self.logits[keep], self.ranked)

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
            threshold = np.partition(self.logits, len(self) - count)[len(self) - count]
            chosen = self.where(self.logits >= threshold)
        order = falling_order(chosen.logits)[:count]
        return Candidates(chosen.ids[order], chosen.logits[order], ranked=True)

    def weights(self) -> NDArray[np.float32]:
        """The probabilities up to a common factor: exp(logit - largest logit), float32 (n,)."""
        weights: NDArray[np.float32] = np.exp(self.logits - self.logits.max())
        return weights


def falling_order(logits: NDArray[np.float32]) -> NDArray[np.int64]:
    """The stable order of falling logits: int64 indices (n,).

    Each logit becomes an integer that falls as the float rises, with its position in the low 32
    bits. NumPy sorts integers with vector instructions, five times as fast as a stable argsort,
    and because no two are equal the order is the same on every machine.
    """
    bits = (logits + np.float32(0)).view(np.uint32)  # + 0 makes -0.0 and 0.0 equal
    falling = bits ^ np.where(bits & _SIGN, np.uint32(0), _MAGNITUDE)
    keys = falling.astype(np.uint64) << np.uint64(32)
    keys |= np.arange(len(logits), dtype=np.uint64)
    keys.sort()
    return (keys & np.uint64(0xFFFF_FFFF)).astype(np.int64)
