"""Perplexity and its standard error from the log-probabilities of tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Estimate:
    """Sums over tokens: of the negative log-probabilities, in nats, and of their squares."""

    count: int = 0
    nll: float = 0.0
    nll2: float = 0.0

    def plus(self, nll: NDArray[np.float64]) -> Estimate:
        """With (n,) more tokens."""
        more = float(nll.sum()), float((nll * nll).sum())
        return Estimate(self.count + len(nll), self.nll + more[0], self.nll2 + more[1])

    @property
    def mean(self) -> float:
        """Mean negative log-probability of at least one token."""
        return self.nll / self.count

    @property
    def mean_error(self) -> float:
        """Its standard error, from the spread of the tokens; 0 where that cannot be told."""
        return deviation(self.nll, self.nll2, self.count)

    @property
    def perplexity(self) -> float:
        """exp of the mean; infinite where that is too large for a number."""
        return exp(self.mean)

    @property
    def error(self) -> float:
        """Standard error of the perplexity, to first order."""
        return self.perplexity * self.mean_error


@dataclass(frozen=True)
class Measured:
    """A value and its standard error."""

    value: float
    error: float

    def scaled(self, factor: float) -> Measured:
        """Both times a factor."""
        return Measured(self.value * factor, self.error * factor)


def macro_average(results: Sequence[Measured]) -> Measured:
    """The mean of independent results, in which each counts the same."""
    n = len(results)
    value = sum(result.value for result in results) / n
    return Measured(value, math.sqrt(sum(result.error**2 for result in results)) / n)


def exp(value: float) -> float:
    """e**value, infinity where that is too large."""
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf


def deviation(total: float, squares: float, count: int) -> float:
    """Standard error of a mean from the sum of ``count`` numbers and that of their squares."""
    if count < 2:
        return 0.0
    variance = squares / count - (total / count) ** 2
    return math.sqrt(variance / (count - 1)) if variance > 0 else 0.0
