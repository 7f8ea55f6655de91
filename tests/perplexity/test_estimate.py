"""Perplexity and its standard error."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pyllama.perplexity.estimate import Estimate, Measured, macro_average


def test_formulas() -> None:
    nll = np.random.default_rng(0).gamma(2, 1, 500)
    estimate = Estimate().plus(nll[:200]).plus(nll[200:])
    assert estimate.count == 500
    assert estimate.mean == pytest.approx(nll.mean())
    assert estimate.perplexity == pytest.approx(math.exp(nll.mean()))
    # the variance is that of the population, divided by one less than there are
    assert estimate.mean_error == pytest.approx(math.sqrt(nll.var() / 499))
    assert estimate.error == pytest.approx(estimate.perplexity * estimate.mean_error)


def test_what_cannot_be_told() -> None:
    assert Estimate().plus(np.array([1.0])).mean_error == 0
    assert Estimate().plus(np.array([2.0, 2.0])).error == 0


def test_beyond_all_numbers() -> None:
    assert Estimate().plus(np.array([800.0, 900.0])).perplexity == math.inf


def test_every_text_counts_the_same() -> None:
    average = macro_average([Measured(4.0, 0.3), Measured(8.0, 0.4)])
    assert average.value == 6
    assert average.error == pytest.approx(0.25)
