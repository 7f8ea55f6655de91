"""Each filter against hand-made cases, and the whole chain against the scalar reference."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from pyllama.sampling import (
    Candidates,
    Filter,
    LogitBias,
    MinP,
    Penalties,
    Sampler,
    SamplingParams,
    Temperature,
    TopK,
    TopP,
)
from pyllama.sampling.ids import Picked, Range

from . import reference


def logits_of(*probabilities: float) -> Candidates:
    return Candidates.of(np.log(np.array(probabilities, np.float32)))


def ids(candidates: Candidates) -> list[int]:
    return [int(token) for token in candidates.ids]


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (TopK(1), [3]),
        (TopK(3), [3, 2, 1]),
        (TopK(4), [3, 2, 1, 0]),
        (TopK(99), [3, 2, 1, 0]),
        (TopK(0), [0, 1, 2, 3]),
        (TopK(-1), [0, 1, 2, 3]),
        (TopP(0), [3]),
        (TopP(0.39), [3]),
        (TopP(0.69), [3, 2]),
        (TopP(0.71), [3, 2, 1]),
        (TopP(0.999), [3, 2, 1, 0]),
        (TopP(1), [0, 1, 2, 3]),
        (MinP(0), [0, 1, 2, 3]),
        (MinP(0.24), [0, 1, 2, 3]),
        (MinP(0.26), [1, 2, 3]),
        (MinP(0.76), [3]),
        (MinP(1), [3]),
        (Temperature(0), [3]),
        (Temperature(-1), [3]),
        (Temperature(1e-30), [3]),
        (Temperature(0.5), [0, 1, 2, 3]),
        (LogitBias({3: -math.inf, 9: 5.0, -1: 5.0}), [0, 1, 2, 3]),
    ],
)
def test_which_tokens_a_filter_keeps(step: Filter, expected: list[int]) -> None:
    candidates = logits_of(0.1, 0.2, 0.3, 0.4)
    before = candidates.logits.copy()
    assert ids(step(candidates)) == expected
    np.testing.assert_array_equal(candidates.logits, before, "the input must not change")


def test_temperature_divides_and_bias_adds() -> None:
    candidates = Candidates.of(np.array([1, -2, 3], np.float32))
    assert Temperature(0.5)(candidates).logits.tolist() == [2, -4, 6]
    assert LogitBias({1: 5.0, 2: -math.inf})(candidates).logits.tolist() == [1, 3, -math.inf]


def test_filters_work_on_what_others_left() -> None:
    candidates = LogitBias({2: 1.0})(TopK(2)(logits_of(0.1, 0.2, 0.3, 0.4)))
    assert ids(candidates) == [3, 2]
    assert ids(TopK(1)(candidates)) == [2]


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 300, 2049, 5000])
@pytest.mark.parametrize("scale", [0.0, 0.1, 1.0, 6.0])
def test_top_p_of_every_size_and_shape(size: int, scale: float) -> None:
    logits = (np.random.default_rng(size).normal(size=size) * scale).astype(np.float32)
    pairs = list(enumerate(logits.tolist()))
    for p in (0.1, 0.5, 0.951, 0.9999):
        kept = TopP(p)(Candidates.of(logits))
        expected = reference.top_p(pairs, p)
        # One token more or less where the sum meets p within float32's rounding.
        assert abs(len(kept) - len(expected)) <= 1
        assert ids(kept)[: len(expected)] == [token for token, _ in expected][: len(kept)]


def test_equal_logits_keep_the_order_of_the_ids() -> None:
    logits = np.array([0.0, 1.0, -0.0, 1.0, 0.0, 1.0], np.float32)
    assert ids(TopK(2)(Candidates.of(logits))) == [1, 3]
    assert ids(TopK(5)(Candidates.of(logits))) == [1, 3, 5, 0, 2]


def test_penalties_follow_the_formula_and_the_window() -> None:
    step = Penalties(window=3, repeat=2.0, presence=0.25, frequency=0.5)
    logits = np.array([4.0, 4.0, -4.0, 0.0], np.float32)
    for token in (0, 1, 2, 2):
        step.accept(token)
    assert step(Candidates.of(logits)).logits.tolist() == [
        4.0,  # left the window
        4.0 / 2 - 0.5 - 0.25,
        -4.0 * 2 - 2 * 0.5 - 0.25,
        0.0,  # never there
    ]
    step.reset()
    assert step(Candidates.of(logits)).logits.tolist() == logits.tolist()


def test_penalties_find_their_tokens_among_few_candidates() -> None:
    step = Penalties(window=8, repeat=1.0, presence=1.0, frequency=0.0)
    step.accept(3)
    step.accept(100)
    few = Candidates(
        Picked(Range(), np.array([3, 1])), np.array([2.0, 1.0], np.float32), ranked=True
    )
    changed = step(few)
    assert changed.logits.tolist() == [1.0, 1.0]
    assert not changed.ranked


CHAINS: list[dict[str, float]] = [
    {},
    {"temperature": 0},
    {"temperature": 1.3, "top_k": 7},
    {"top_k": 0},
    {"top_k": 0, "top_p": 1.0, "min_p": 0.0},
    {"top_k": 0, "top_p": 0.6, "min_p": 0.2},
    {"repeat_penalty": 1.3},
    {"repeat_penalty": 1.1, "presence_penalty": 0.4, "frequency_penalty": 0.2, "repeat_last_n": 9},
    {"repeat_penalty": 3.0, "repeat_last_n": 0},
]


@pytest.mark.parametrize("options", CHAINS, ids=str)
@pytest.mark.parametrize("size", [1, 33, 1000])
def test_the_chain_agrees_with_the_scalar_reference(
    options: dict[str, float], size: int, make_params: Callable[..., SamplingParams]
) -> None:
    random = np.random.default_rng(size)
    logits: NDArray[np.float32] = (random.normal(size=size) * 3).astype(np.float32)
    history: Sequence[int] = random.integers(0, size, 100).tolist()
    params = make_params(**options)
    sampler = Sampler.from_params(params)
    sampler.accept(*history)
    expected = reference.chain(logits.tolist(), list(history), params)
    result = sampler.candidates(logits)
    assert ids(result) == [token for token, _ in expected]
    np.testing.assert_allclose(result.logits, [logit for _, logit in expected], rtol=1e-5)
