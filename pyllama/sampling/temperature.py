"""Filters that sharpen or flatten the distribution."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pyllama.sampling.candidates import Candidates
from pyllama.sampling.filters import Filter


@dataclass(frozen=True)
class Temperature(Filter):
    """Divides the logits by ``value``; 0 or less keeps only the largest logit (greedy).

    So does a value so small that the quotient could leave float32's range.
    """

    value: float
    name: ClassVar[str] = "temp"

    @property
    def is_greedy(self) -> bool:
        """Whether it keeps one candidate alone."""
        return self.value < 1e-6

    def __call__(self, candidates: Candidates) -> Candidates:
        """Sharpen (below 1) or flatten (above 1) the distribution."""
        if self.is_greedy:
            best = int(candidates.logits.argmax())
            return candidates.between(best, best + 1).rank()
        scaled = candidates.logits / np.float32(self.value)
        return candidates.replace_logits(scaled, ranked=candidates.ranked)


@dataclass(frozen=True)
class DynamicTemperature(Filter):
    """A temperature between ``value - reach`` and ``value + reach``, by how sure the model is.

    temperature = lowest + (highest - lowest) * (entropy / log(n)) ** exponent, where n is the
    number of candidates and ``lowest`` is not below 0.
    """

    value: float
    reach: float
    exponent: float
    name: ClassVar[str] = "temp-ext"

    def __call__(self, candidates: Candidates) -> Candidates:
        """Divide by the temperature that fits the entropy; ranked."""
        if len(candidates) <= 1:
            return candidates
        probabilities = candidates.probabilities()
        # The logarithm of 0 would be -inf, and 0 * -inf no number.
        logs = np.maximum(probabilities, np.float32(1e-45))
        np.log(logs, out=logs)
        entropy = max(-float(np.dot(probabilities, logs)), 0.0)
        share = min(entropy / math.log(len(candidates)), 1.0)
        lowest, highest = max(0.0, self.value - self.reach), self.value + self.reach
        value = lowest + (highest - lowest) * share**self.exponent
        return Temperature(value)(candidates.rank())
