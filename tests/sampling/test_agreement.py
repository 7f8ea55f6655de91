"""Every filter and choice against the scalar reference, on the same logits."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from pyllama.sampling import (
    AdaptiveP,
    Candidates,
    Dry,
    DynamicTemperature,
    Filter,
    MinP,
    Mirostat1,
    Mirostat2,
    Mt19937,
    TopK,
    TopNSigma,
    TopP,
    Typical,
    Xtc,
)

from . import reference

SIZES = (1, 2, 7, 511, 512, 513, 2048, 2049, 5000)
SCALES = (0.3, 1.0, 5.0)


def random_logits(size: int, scale: float) -> NDArray[np.float32]:
    return (np.random.default_rng(size).normal(size=size) * scale).astype(np.float32)


def pairs_of(candidates: Candidates) -> reference.Pairs:
    candidates = candidates.in_order()
    return list(zip(candidates.ids.tolist(), candidates.logits.tolist(), strict=True))


Case = tuple[Filter, Callable[[reference.Pairs], reference.Pairs]]

CASES: dict[str, Callable[[], Case]] = {
    "top-k": lambda: (TopK(40), lambda pairs: reference.top_k(pairs, 40)),
    "top-p": lambda: (TopP(0.9), lambda pairs: reference.top_p(pairs, 0.9)),
    "min-p": lambda: (MinP(0.1), lambda pairs: reference.min_p(pairs, 0.1)),
    "typical": lambda: (Typical(0.7), lambda pairs: reference.typical(pairs, 0.7)),
    "typical, most": lambda: (Typical(0.999), lambda pairs: reference.typical(pairs, 0.999)),
    "top-n-sigma": lambda: (TopNSigma(1.5), lambda pairs: reference.top_n_sigma(pairs, 1.5)),
    "xtc": lambda: (Xtc(1, 0.05, 3), lambda pairs: reference.xtc(pairs, 0.05)),
    "temp-ext": lambda: (
        DynamicTemperature(0.8, 0.5, 1.3),
        lambda pairs: reference.dynamic_temperature(pairs, 0.8, 0.5, 1.3),
    ),
}


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", CASES)
def test_a_filter_agrees(name: str, size: int, scale: float) -> None:
    step, expect = CASES[name]()
    logits = random_logits(size, scale)
    expected = expect(list(enumerate(logits.tolist())))
    result = pairs_of(step(Candidates.of(logits)))
    # Float32 may round a sum to the other side of p: one token more or less.
    shorter = min(len(result), len(expected))
    assert abs(len(result) - len(expected)) <= (1 if "p" in name else 0)
    finite = [token for token, logit in expected[:shorter] if logit > -math.inf]
    tokens = [token for token, _ in result[: len(finite)]]
    if name.startswith("typical"):  # distances may be equal in float32 and not in float64
        assert len(set(tokens) ^ set(finite)) <= 2
    else:
        assert tokens == finite
    wanted = dict(expected)
    for token, logit in result[:shorter]:
        assert logit == pytest.approx(wanted.get(token, logit), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_forbidden_tokens_change_nothing(name: str) -> None:
    """Minus infinity among the logits is neither kept as likely, nor turned into no number."""
    step, _ = CASES[name]()
    again, _ = CASES[name]()
    logits = random_logits(300, 2.0)
    some = np.concatenate((logits, np.full(50, -np.inf, np.float32)))
    with np.errstate(all="raise"):
        kept = step(Candidates.of(some))
    possible = kept.where(kept.logits > -np.inf)
    assert not np.isnan(kept.logits).any()
    if name not in ("temp-ext",):  # its measure is the number of candidates
        expected = again(Candidates.of(logits))
        expected = expected.where(expected.logits > -np.inf)
        assert possible.ids.tolist() == expected.ids.tolist()


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("size", [2, 50, 99, 100, 101, 3000])
@pytest.mark.parametrize("mu", [0.1, 3.0, 8.0, 40.0])
def test_mirostat_limits_as_the_reference(size: int, scale: float, mu: float) -> None:
    logits = random_logits(size, scale)
    pairs = list(enumerate(logits.tolist()))
    for choice, expect in (
        (Mirostat1(mu / 2, 0.1), reference.mirostat_1),
        (Mirostat2(mu / 2, 0.1), reference.mirostat_2),
    ):
        kept = [token for token, _ in pairs_of(choice.limit(Candidates.of(logits)))]
        expected = [token for token, _ in expect(pairs, mu)]
        assert abs(len(kept) - len(expected)) <= 1
        assert kept[: len(expected)] == expected[: len(kept)]


@pytest.mark.parametrize("logits", [np.zeros(9, np.float32), np.array([1, -np.inf], np.float32)])
def test_mirostat_of_what_has_no_slope(logits: NDArray[np.float32]) -> None:
    for choice in (Mirostat1(5.0, 0.1), Mirostat2(5.0, 0.1)):
        assert len(choice.limit(Candidates.of(logits))) >= 1


@pytest.mark.parametrize("kind", [Mirostat1, Mirostat2])
def test_mirostat_steers_to_its_target(kind: type[Mirostat1] | type[Mirostat2]) -> None:
    choice, random = kind(3.0, 0.1), Mt19937(5)
    candidates = Candidates.of(random_logits(2000, 2.0))
    probabilities = candidates.probabilities()
    surprises = []
    for _ in range(400):
        token = choice(candidates, random)
        choice.accept(token)
        surprises.append(-math.log2(probabilities[token]))
    assert choice.mu != 6.0
    # Surprise is measured after the cut, where it is lower than by the whole distribution.
    assert 2.5 < np.mean(surprises[100:]) < 6
    choice.reset()
    assert choice.mu == 6.0


def test_mirostat_learns_only_from_what_it_chose() -> None:
    choice = Mirostat2(3.0, 0.1)
    token = choice(Candidates.of(random_logits(50, 1.0)), Mt19937(5))
    choice.accept(token + 1)
    assert choice.mu == 6.0
    choice.accept(token)
    assert choice.mu == 6.0


def test_adaptive_p_follows_the_formula() -> None:
    """Drawn tokens have the reference's frequencies, and the target adapts to what was drawn."""
    choice, random = AdaptiveP(0.4, 0.5), Mt19937(1)
    candidates = Candidates.of(random_logits(6, 1.0))
    expected = reference.softmax(reference.adaptive_p(pairs_of(candidates), 0.4))
    counts = np.zeros(6)
    for _ in range(4000):
        counts[choice(candidates, random)] += 1
    np.testing.assert_allclose(counts / 4000, expected, atol=0.03)
    token = choice(candidates, random)
    drawn = float(candidates.probabilities()[token])
    choice.accept(token)
    # the weighted mean of one token on target (weight 2 * 0.5) and the new one (weight 1)
    adapted = 2 * 0.4 - (drawn + 0.5 * 0.8) / (1 + 0.5 * 2)
    expected = reference.softmax(
        reference.adaptive_p(pairs_of(candidates), min(max(adapted, 0.0), 1.0))
    )
    counts[:] = 0
    for _ in range(4000):
        counts[choice(candidates, random)] += 1
    np.testing.assert_allclose(counts / 4000, expected, atol=0.03)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("window", [1, 5, 20, 1000])
@pytest.mark.parametrize("allowed", [0, 1, 2, 4])
def test_dry_agrees_with_trying_everything(seed: int, window: int, allowed: int) -> None:
    random = np.random.default_rng(seed)
    text = random.integers(0, 3 + seed % 3, 120).tolist()
    breakers = [[], [[0]], [[0], [1, 2, 1], [1, 2]]][seed % 3]
    table: dict[int, list[tuple[int, ...]]] = {}
    for head, *tail in breakers:
        table.setdefault(head, []).append(tuple(tail))
    step = Dry(0.8, 1.5, allowed, window, table)
    for end, token in enumerate(text, 1):
        step.accept(token)
        expected = reference.dry(text[:end], 0.8, 1.5, allowed, window, breakers)
        assert step.penalties() == pytest.approx(expected)


def test_dry_never_leaves_float32() -> None:
    step = Dry(1.0, 4.0, 2, 1000, {})
    for _ in range(1000):
        step.accept(7)
    result = step(Candidates.of(np.zeros(10, np.float32)))
    assert np.isfinite(result.logits).all()
    assert result.logits.argmin() == 7
    step.reset()
    assert not step.penalties()
