"""The sampler: seeds, distribution, memory, and logits that no token can be drawn from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from pyllama.errors import PyllamaError
from pyllama.sampling import Sampler, SamplingParams

Params = Callable[..., SamplingParams]


def logits(size: int = 50) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.random.default_rng(3).normal(size=size).astype(np.float32)


def test_the_same_seed_draws_the_same_tokens(make_params: Params) -> None:
    sampler, again = (Sampler.from_params(make_params(seed=99)) for _ in range(2))
    drawn = [sampler.sample(logits()) for _ in range(50)]
    assert [again.sample(logits()) for _ in range(50)] == drawn
    sampler.reset()
    assert [sampler.sample(logits()) for _ in range(50)] == drawn
    other = Sampler.from_params(make_params(seed=100))
    assert [other.sample(logits()) for _ in range(50)] != drawn
    assert len(set(drawn)) > 5


def test_a_random_seed_is_reported_and_repeats_the_run(make_params: Params) -> None:
    sampler = Sampler.from_params(make_params(seed=-1))
    drawn = [sampler.sample(logits()) for _ in range(50)]
    again = Sampler.from_params(make_params(seed=sampler.seed))
    assert [again.sample(logits()) for _ in range(50)] == drawn


def test_draws_follow_the_probabilities(make_params: Params) -> None:
    probabilities = np.array([0.5, 0.3, 0.15, 0.05], np.float32)
    sampler = Sampler.from_params(make_params(top_k=0, top_p=1.0, min_p=0.0, temperature=1.0))
    counts = Counter(sampler.sample(np.log(probabilities)) for _ in range(4000))
    for token, probability in enumerate(probabilities):
        assert counts[token] / 4000 == pytest.approx(probability, abs=0.03)


def test_the_draw_is_the_inverse_of_the_cumulative_distribution(
    make_params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    sampler = Sampler.from_params(make_params(temperature=1.0))
    for drawn, expected in ((0.0, 2), (0.49, 2), (0.51, 0), (0.79, 0), (0.81, 1), (0.9999, 1)):
        monkeypatch.setattr(sampler._random, "uniform", lambda value=drawn: value)
        assert sampler.sample(np.log(np.array([0.3, 0.2, 0.5], np.float32))) == expected


def test_greedy_takes_the_largest_and_needs_no_seed(make_params: Params) -> None:
    drawn = {
        Sampler.from_params(make_params(temperature=0, seed=-1)).sample(logits()) for _ in range(9)
    }
    assert drawn == {int(logits().argmax())}


def test_banned_tokens_are_never_drawn(make_params: Params) -> None:
    banned = {int(logits().argmax()), 7}
    sampler = Sampler.from_params(make_params(top_k=0, top_p=1.0, min_p=0.0), banned=banned)
    assert banned.isdisjoint(sampler.sample(logits()) for _ in range(500))


def test_penalties_remember_what_was_accepted(make_params: Params) -> None:
    sampler = Sampler.from_params(make_params(temperature=0, presence_penalty=100.0))
    drawn = []
    for _ in range(50):
        drawn.append(sampler.sample(logits()))
        sampler.accept(drawn[-1])
    assert sorted(drawn) == list(range(50))
    sampler.reset()
    assert sampler.sample(logits()) == drawn[0]


def test_the_chain_names_only_what_it_does(make_params: Params) -> None:
    assert str(Sampler.from_params(make_params())) == (
        "logits -> top-k -> top-p -> min-p -> temp -> dist"
    )
    everything = make_params(repeat_penalty=1.1, top_k=0, temperature=1.0)
    assert str(Sampler.from_params(everything, banned=[1])) == (
        "logits -> logit-bias -> penalties -> top-p -> min-p -> dist"
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("temperature", [0, 0.8])
def test_logits_that_are_no_numbers(make_params: Params, bad: float, temperature: float) -> None:
    broken = logits()
    broken[20] = bad
    with pytest.raises(PyllamaError, match="damaged"):
        Sampler.from_params(make_params(temperature=temperature)).sample(broken)


def test_no_possible_token(make_params: Params) -> None:
    with pytest.raises(PyllamaError, match="no token"):
        Sampler.from_params(make_params(), banned=range(50)).sample(logits())


def test_options_so_extreme_that_the_logits_overflow(make_params: Params) -> None:
    sampler = Sampler.from_params(make_params(repeat_penalty=1e-6))
    sampler.accept(0)
    with pytest.raises(PyllamaError, match="extreme"):
        sampler.sample(np.full(50, 1e38, np.float32))
