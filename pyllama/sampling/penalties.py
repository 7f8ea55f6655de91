"""Penalties on tokens that the recent text already holds."""

from __future__ import annotations

from collections import Counter, deque
from typing import ClassVar

import numpy as np

from pyllama.sampling.candidates import Candidates
from pyllama.sampling.filters import FilterWithMemory


class Penalties(FilterWithMemory):
    """Repetition, presence and frequency penalties over the last ``window`` accepted tokens.

    A token that occurs ``count`` times in the window gets

        logit = logit * repeat if logit <= 0 else logit / repeat       (Keskar et al. 2019, CTRL)
        logit = logit - count * frequency - presence

    so 1, 0 and 0 change nothing. The tokens of the prompt count too.
    """

    name: ClassVar[str] = "penalties"
    keeps_places: ClassVar[bool] = True

    def __init__(self, window: int, repeat: float, presence: float, frequency: float) -> None:
        self.window = window
        self._recent: deque[int] = deque(maxlen=window)
        self._counts: Counter[int] = Counter()
        self._repeat = np.float32(repeat)
        self._presence = np.float32(presence)
        self._frequency = np.float32(frequency)

    def __call__(self, candidates: Candidates) -> Candidates:
        """Change the logits of the tokens in the window."""
        if not self._counts:
            return candidates
        positions, counts = candidates.find(self._counts)
        logits = candidates.logits.copy()
        old = logits[positions]
        scaled = np.where(old <= 0, old * self._repeat, old / self._repeat)
        logits[positions] = scaled - counts * self._frequency - self._presence
        return candidates.replace_logits(logits)

    def accept(self, token: int) -> None:
        """Move the window on by one token."""
        if len(self._recent) == self._recent.maxlen:
            oldest = self._recent[0]
            self._counts[oldest] -= 1
            if not self._counts[oldest]:
                del self._counts[oldest]
        self._recent.append(token)
        self._counts[token] += 1

    def reset(self) -> None:
        """Empty the window."""
        self._recent.clear()
        self._counts.clear()
