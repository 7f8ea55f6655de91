"""The inputs and results that llama.cpp publishes for its samplers (tests/test-sampling.cpp)."""

from __future__ import annotations

from math import ceil, floor

import numpy as np
import pytest

from pyllama.sampling import (
    Candidates,
    Dry,
    DynamicTemperature,
    Filter,
    MinP,
    Penalties,
    Temperature,
    TopK,
    TopNSigma,
    TopP,
    Typical,
    Xtc,
)

TENTHS = (0.1, 0.2, 0.3, 0.4)
FALLING = (0.4, 0.3, 0.2, 0.1)
FIFTHS = (0.2,) * 5


def probabilities(step: Filter, given: tuple[float, ...], *, normal: bool = True) -> list[float]:
    """What a filter makes of probabilities; not ``normal``: those that stay, as they were."""
    candidates = step(Candidates.of(np.log(np.array(given, np.float32))))
    values = candidates.probabilities() if normal else np.exp(candidates.logits)
    return [float(value) for value in values]


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (Temperature(1), TENTHS),
        (Temperature(0), (1,)),
        (DynamicTemperature(1, 0, 1), (0.4, 0.3, 0.2, 0.1)),
        (TopK(1), (1,)),
        (TopK(3), (0.44444, 0.33333, 0.22222)),
        (TopK(4), FALLING),
        (TopK(0), TENTHS),
        (TopP(0), (1,)),
        (TopP(0.7), (0.571429, 0.428571)),
        (TopP(0.8), (0.44444, 0.33333, 0.22222)),
        (TopP(1), TENTHS),
        (MinP(0.00), TENTHS),
        (MinP(0.24), TENTHS),
        (MinP(0.26), (0.2 / 0.9, 0.3 / 0.9, 0.4 / 0.9)),
        (MinP(0.49), (0.2 / 0.9, 0.3 / 0.9, 0.4 / 0.9)),
        (MinP(0.51), (0.3 / 0.7, 0.4 / 0.7)),
        (MinP(0.74), (0.3 / 0.7, 0.4 / 0.7)),
        (MinP(0.76), (1,)),
        (MinP(1.00), (1,)),
        (MinP(1.05), (1,)),
        (TopNSigma(1), (0.571429, 0.428571, 0, 0)),
        (TopNSigma(0), TENTHS),
        (TopNSigma(3), FALLING),
    ],
    ids=str,
)
def test_a_filter_alone(step: Filter, expected: tuple[float, ...]) -> None:
    assert probabilities(step, TENTHS) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [(0.09, (0.1,)), (0.19, (0.2, 0.1)), (0.29, (0.3, 0.2, 0.1)), (0.39, FALLING)],
)
def test_xtc(threshold: float, expected: tuple[float, ...]) -> None:
    kept = probabilities(Xtc(0.99, threshold, seed=0), FALLING, normal=False)
    assert kept == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("given", "expected"),
    [((0.97, 0.01, 0.01, 0.01), (0.97,)), ((0.4, 0.2, 0.2, 0.2), (0.2, 0.2, 0.2))],
)
def test_typical(given: tuple[float, ...], expected: tuple[float, ...]) -> None:
    assert probabilities(Typical(0.5), given, normal=False) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("text", "repeat", "other", "expected"),
    [
        ((0,), 50, 0, (0, 0.25, 0.25, 0.25, 0.25)),
        ((0, 1, 2), 50, 0, (0, 0, 0, 0.5, 0.5)),
        ((0, 1, 2, 0, 0), 50, 0, (0, 0, 0, 0.5, 0.5)),
        ((0,), 1, 5, (0.000011, 0.249997, 0.249997, 0.249997, 0.249997)),
        ((0, 1, 2), 1, 5, (0.000023, 0.000023, 0.000023, 0.499966, 0.499966)),
        ((0, 1, 2, 0, 0), 1, 5, (0, 0.000023, 0.000023, 0.499977, 0.499977)),
    ],
)
def test_penalties(
    text: tuple[int, ...], repeat: float, other: float, expected: tuple[float, ...]
) -> None:
    step = Penalties(len(text), repeat, presence=other, frequency=other)
    for token in text:
        step.accept(token)
    assert probabilities(step, FIFTHS) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("text", "multiplier", "allowed", "breakers", "expected"),
    [
        ((0, 1), 1, 2, {}, (0.25,) * 4),
        ((0, 1, 2, 0, 1), 1, 2, {}, (0.296923, 0.296923, 0.109232, 0.296923)),
        ((0, 1, 3, 4, 0, 1), 1, 2, {3: [()]}, FIFTHS),
        ((0, 1, 2, 0, 1), 2, 2, {}, (0.241818, 0.241818, 0.032727, 0.241818, 0.241818)),
        ((0, 1, 2, 3, 4, 0, 1), 1, 4, {}, FIFTHS),
    ],
)
def test_dry(
    text: tuple[int, ...],
    multiplier: float,
    allowed: int,
    breakers: dict[int, list[tuple[int, ...]]],
    expected: tuple[float, ...],
) -> None:
    step = Dry(multiplier, 1.1, allowed, max(len(text), 4), breakers)
    for token in text:
        step.accept(token)
    given = (1 / len(expected),) * len(expected)
    assert probabilities(step, given) == pytest.approx(expected, abs=1e-5)


N_VOCAB = 10000
QUEUES: list[tuple[str, int, float, float]] = [
    ("k", 10000, 1.0, 1.0),
    ("k", 1, 1.0, 1.0),
    ("p", 10000, 1.0, 1.0),
    ("p", 10000, 0.0, 1.0),
    ("m", 10000, 1.0, 1.0),
    ("m", 10000, 1.0, 1e-12),
    ("k", 100, 1.0, 1.0),
    ("p", 10000, 0.0003, 1.0),
    ("p", 10000, 0.8, 1.0),
    ("m", 10000, 1.0, 9997.9 / 9999.0),
    ("m", 10000, 1.0, 0.1),
    *((q, 100, 0.8, 0.1) for q in ("kp", "km", "pk", "pm", "mk", "mp")),
    ("mp", 100, 0.8, 9997.9 / 9999.0),
    *((q, 100, 0.8, 0.1) for q in ("kpm", "kmp", "pkm", "pmk", "mkp", "mpk")),
]


@pytest.mark.parametrize(("queue", "k", "p", "q"), QUEUES)
def test_a_queue_over_ten_thousand_tokens(queue: str, k: int, p: float, q: float) -> None:
    """Token i has the probability i / sum: what stays is always lowest..9999, known by counting."""
    with np.errstate(divide="ignore"):
        candidates = Candidates.of(np.log(np.arange(N_VOCAB, dtype=np.float32)))
    lowest = 0
    for letter in queue:
        if letter == "k":
            candidates = TopK(k)(candidates)
            lowest = max(lowest, N_VOCAB - k)
        elif letter == "p":
            candidates = TopP(p)(candidates)
            lowest = lowest_of_nucleus(p, lowest)
        else:
            candidates = MinP(q)(candidates)
            lowest = max(lowest, 1, floor(q * N_VOCAB))
            lowest = min(lowest, N_VOCAB - 1)
        assert len(candidates) == N_VOCAB - lowest
        assert int(candidates.ids.min()) == lowest


def lowest_of_nucleus(p: float, lowest: int) -> int:
    if p >= 1:
        return lowest
    total = N_VOCAB * (N_VOCAB - 1) // 2 - lowest * (lowest - 1) // 2
    mass, token = 0, N_VOCAB
    while True:
        token -= 1
        mass += token
        if mass >= ceil(p * total):
            return token
