"""What llama-perplexity says about the divergence of two models."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyllama.perplexity.estimate import Measured, deviation, exp
from pyllama.perplexity.measure import Record

FEWEST = 10
"""Values below which no spread is told."""

KLD_QUANTILES = (0.999, 0.99, 0.95, 0.9, 0.5, 0.1, 0.05, 0.01, 0.001)
P_DIFF_QUANTILES = (0.999, 0.99, 0.95, 0.9, 0.75, 0.5, 0.25, 0.1, 0.05, 0.01, 0.001)


@dataclass(frozen=True)
class Divergence:
    """Sums over the tokens so far, from which all means follow.

    sums: of nll, nll_base, their squares and product; of kld and its square; of p_diff, its square
    and fourth power; of same_top.
    """

    count: int = 0
    sums: tuple[float, ...] = (0.0,) * 11

    def plus(self, record: Record) -> Divergence:
        """With the tokens of another window."""
        nll, base, kld, p_diff, same = (
            record[name] for name in ("nll", "nll_base", "kld", "p_diff", "same_top")
        )
        terms = (
            *(nll, base, nll * nll, base * base, nll * base),
            *(kld, kld * kld, p_diff, p_diff**2, p_diff**4, same),
        )
        sums = (a + float(term.sum()) for a, term in zip(self.sums, terms, strict=True))
        return Divergence(self.count + len(nll), tuple(sums))

    @property
    def log_ppl(self) -> Measured:
        """Mean negative log-probability by the model."""
        return self._mean(0, 2)

    @property
    def log_ppl_base(self) -> Measured:
        """The same by the base."""
        return self._mean(1, 3)

    @property
    def log_ratio(self) -> Measured:
        """Their difference: the logarithm of the ratio of the perplexities."""
        a, b = self.log_ppl, self.log_ppl_base
        return Measured(a.value - b.value, _difference_error(a.error, b.error, self._covariance))

    @property
    def correlation(self) -> float:
        """Of the two, between -1 and 1; NaN where there is no spread."""
        spread = self.log_ppl.error * self.log_ppl_base.error
        return self._covariance / spread if spread else math.nan

    @property
    def ppl(self) -> Measured:
        """Perplexity of the model."""
        return exponential(self.log_ppl)

    @property
    def ppl_base(self) -> Measured:
        """Perplexity of the base."""
        return exponential(self.log_ppl_base)

    @property
    def ppl_ratio(self) -> Measured:
        """The former by the latter."""
        return exponential(self.log_ratio)

    @property
    def ppl_difference(self) -> Measured:
        """The former less the latter."""
        a, b = self.ppl, self.ppl_base
        covariance = a.value * b.value * self._covariance
        return Measured(a.value - b.value, _difference_error(a.error, b.error, covariance))

    @property
    def kld(self) -> Measured:
        """Kullback-Leibler divergence, in nats."""
        return self._mean(5, 6)

    @property
    def p_diff(self) -> Measured:
        """Difference of the probabilities of the tokens."""
        return self._mean(7, 8)

    @property
    def p_diff_rms(self) -> Measured:
        """Root of the mean square of the differences."""
        square = self._mean(8, 9)
        root = math.sqrt(square.value)
        return Measured(root, 0.5 / root * square.error if root else 0.0)

    @property
    def same_top(self) -> Measured:
        """Share of the tokens for which both hold the same token the likeliest."""
        share = self.sums[10] / self.count
        return Measured(share, math.sqrt(share * (1 - share) / max(self.count - 1, 1)))

    def _mean(self, of: int, squares: int) -> Measured:
        total, n = self.sums[of], self.count
        return Measured(total / n, deviation(total, self.sums[squares], n) if n > FEWEST else 0.0)

    @property
    def _covariance(self) -> float:
        n = self.count
        if n < FEWEST:
            return 0.0
        a, b, product = (self.sums[i] / n for i in (0, 1, 4))
        return (product - a * b) / (n - 1)


def exponential(log: Measured) -> Measured:
    """The same of e to the value, to first order."""
    value = exp(log.value)
    return Measured(value, value * log.error)


def _difference_error(a: float, b: float, covariance: float) -> float:
    return math.sqrt(max(0.0, a * a + b * b - 2 * covariance))


def quantiles(values: NDArray[np.float64], shares: Sequence[float]) -> dict[float, float]:
    """Of (n,) values: those below which the shares lie, with the smallest (0) and largest (1)."""
    wanted = (1.0, *shares, 0.0)
    found = np.quantile(values, wanted)
    return {share: float(value) for share, value in zip(wanted, found, strict=True)}
