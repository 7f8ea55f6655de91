"""Divergence of two models, and what is said about it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pyllama.perplexity.divergence import FIELDS, divergence, log_softmax
from pyllama.perplexity.measure import Record
from pyllama.perplexity.statistics import Divergence, quantiles


def test_numbers_of_a_token() -> None:
    rng = np.random.default_rng(0)
    logits, other = (rng.normal(0, 2, 50).astype(np.float32) for _ in range(2))
    base = log_softmax(other[None])[0]
    nll, nll_base, kld, p_diff, same = divergence(logits, base, 7)
    p, q = (
        np.exp(x.astype(np.float64)) / np.exp(x.astype(np.float64)).sum() for x in (other, logits)
    )
    assert nll == pytest.approx(-math.log(q[7]), rel=1e-5)
    assert nll_base == pytest.approx(-math.log(p[7]), rel=1e-5)
    assert kld == pytest.approx((p * np.log(p / q)).sum(), rel=1e-5)
    assert p_diff == pytest.approx(q[7] - p[7], rel=1e-4)
    assert same == (p.argmax() == q.argmax())


def test_a_model_does_not_diverge_from_itself() -> None:
    logits = np.random.default_rng(1).normal(0, 2, 50).astype(np.float32)
    _, _, kld, p_diff, same = divergence(logits, log_softmax(logits[None])[0], 3)
    assert (kld, p_diff) == pytest.approx((0, 0), abs=1e-6)
    assert same == 1


def test_the_improbable_does_not_count() -> None:
    logits = np.zeros(3, np.float32)
    base = np.array([np.log(0.5), np.log(0.5), -17], np.float32)
    kld = divergence(logits, base, 0)[2]
    assert kld == pytest.approx(math.log(1.5), rel=1e-6)


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_what_is_no_number_shows(value: float) -> None:
    logits = np.array([0, value, 1], np.float32)
    assert not np.isfinite(divergence(logits, log_softmax(np.zeros((1, 3), np.float32))[0], 0)[0])
    assert not np.isfinite(log_softmax(logits[None])).any()


def record(count: int, seed: int) -> Record:
    rng = np.random.default_rng(seed)
    base = rng.gamma(2, 1, count)
    nll = base + rng.normal(0, 0.1, count)
    arrays = (nll, base, rng.gamma(1, 0.1, count), np.exp(-nll) - np.exp(-base))
    return dict(zip(FIELDS, (*arrays, (rng.random(count) < 0.9) * 1.0), strict=True))


def test_statistics() -> None:
    parts = [record(200, 1), record(300, 2)]
    sums = Divergence().plus(parts[0]).plus(parts[1])
    nll, base, kld, p_diff, same = (
        np.concatenate([part[name] for part in parts]) for name in FIELDS
    )
    assert sums.log_ppl.value == pytest.approx(nll.mean())
    assert sums.log_ppl_base.error == pytest.approx(base.std() / math.sqrt(499))
    assert sums.log_ratio.value == pytest.approx((nll - base).mean())
    assert sums.log_ratio.error == pytest.approx((nll - base).std() / math.sqrt(499))
    assert sums.correlation == pytest.approx(np.corrcoef(nll, base)[0, 1])
    assert sums.ppl.value == pytest.approx(math.exp(nll.mean()))
    assert sums.ppl_ratio.value == pytest.approx(math.exp((nll - base).mean()))
    difference = math.exp(nll.mean()) - math.exp(base.mean())
    assert sums.ppl_difference.value == pytest.approx(difference)
    assert (sums.kld.value, sums.kld.error) == pytest.approx((kld.mean(), kld.std() / 499**0.5))
    assert sums.p_diff_rms.value == pytest.approx(math.sqrt((p_diff**2).mean()))
    assert sums.same_top.value == same.mean()
    assert sums.same_top.error == pytest.approx(math.sqrt(same.mean() * (1 - same.mean()) / 499))


def test_a_few_tokens_have_no_spread() -> None:
    sums = Divergence().plus(record(5, 3))
    assert sums.kld.error == 0
    assert math.isnan(sums.correlation)


def test_identical_models() -> None:
    part = record(50, 4)
    part |= {"nll_base": part["nll"], "p_diff": np.zeros(50), "kld": np.zeros(50)}
    sums = Divergence().plus(part)
    assert (sums.log_ratio.value, sums.p_diff_rms.value, sums.p_diff_rms.error) == (0, 0, 0)
    assert sums.log_ratio.error == pytest.approx(0, abs=1e-8)


def test_quantiles_lie_between_values() -> None:
    found = quantiles(np.arange(101.0)[::-1], (0.999, 0.5, 0.1))
    assert list(found) == [1.0, 0.999, 0.5, 0.1, 0.0]
    assert list(found.values()) == pytest.approx([100, 99.9, 50, 10, 0])
