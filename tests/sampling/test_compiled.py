"""Chains whose end is compiled: which ones, and that the same tokens are drawn as without."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pyllama.errors import PyllamaError
from pyllama.kernels.draw import MOST_KEPT
from pyllama.kernels.jit import Library
from pyllama.kernels.target import select
from pyllama.sampling import Sampler, SamplingParams
from pyllama.sampling.compiled import Ending, find_ending

SIZE = 300

Logits = NDArray[np.float32]


@pytest.fixture(scope="module")
def library() -> Library:
    return Library(select())


def logits_of(seed: int, size: int = SIZE) -> Logits:
    return np.random.default_rng(seed).normal(0, 3, size).astype(np.float32)


@pytest.mark.parametrize(
    ("options", "start", "keep", "steps"),
    [
        ({}, 0, 40, ["top_p", "min_p", "temperature"]),
        ({"temperature": 0}, 0, 1, []),
        ({"temperature": 0, "logit_bias": ((3, 1.0),)}, 1, 1, []),
        ({"temperature": 1, "min_p": 0.0}, 0, 40, ["top_p"]),
        (
            {"repeat_penalty": 1.1, "dry_multiplier": 0.5, "dry_sequence_breakers": ()},
            2, 40, ["top_p", "min_p", "temperature"],
        ),
        ({"samplers": ("top_k", "temperature", "top_p")}, 0, 40, ["temperature", "top_p"]),
        ({"top_k": MOST_KEPT, "samplers": ("top_k",)}, 0, MOST_KEPT, []),
    ],
)  # fmt: skip
def test_what_is_compiled(
    options: dict[str, Any], start: int, keep: int, steps: list[str], library: Library
) -> None:
    sampler = Sampler.from_params(SamplingParams(**options), library=library)
    ending = find_ending(sampler.filters, sampler.choice)
    assert isinstance(ending, Ending)
    assert (ending.start, ending.keep, [name for name, _ in ending.steps]) == (start, keep, steps)


@pytest.mark.parametrize(
    "options",
    [
        {"top_k": 0},
        {"top_k": MOST_KEPT + 1},
        {"typical_p": 0.9},
        {"xtc_probability": 0.5},
        {"dynatemp_range": 0.5},
        {"mirostat": 2},
        {"adaptive_target": 0.5},
        {"samplers": ("temperature", "top_k")},
        {"samplers": ("top_k", "penalties"), "repeat_penalty": 1.1},
        {"samplers": ()},
    ],
)
def test_what_is_not_compiled(options: dict[str, Any]) -> None:
    sampler = Sampler.from_params(SamplingParams(**options))
    assert find_ending(sampler.filters, sampler.choice) is None


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"temperature": 0},
        {"temperature": 0, "presence_penalty": 1.0},
        {"repeat_penalty": 1.3, "dry_multiplier": 0.5, "dry_sequence_breakers": ()},
        {"samplers": ("min_p", "top_k", "temperature", "top_p"), "min_p": 0.0},
        {"top_k": 100_000, "temperature": 1.3},
    ],
)
def test_the_same_tokens_are_drawn(options: dict[str, Any], library: Library) -> None:
    params = SamplingParams(seed=11, **options)
    native = Sampler.from_params(params, banned=[0, 7], library=library)
    meaning = Sampler.from_params(params, banned=[0, 7])
    buffer = np.empty(SIZE, np.float32)
    for _ in range(2):
        for step in range(60):
            buffer[:] = logits_of(step)  # as a session does it
            token = native.sample(buffer)
            assert token == meaning.sample(buffer)
            for sampler in (native, meaning):
                sampler.accept(token)
        for sampler in (native, meaning):
            sampler.reset()


def test_logits_of_any_layout_are_read(library: Library) -> None:
    native = Sampler.from_params(SamplingParams(seed=3), library=library)
    meaning = Sampler.from_params(SamplingParams(seed=3))
    wide = np.zeros((SIZE, 2), np.float32)
    for step in range(20):
        wide[:, 0] = logits_of(step)
        for logits in (wide[:, 0], wide[::-1, 0], logits_of(step, size=5 + step)):
            assert native.sample(logits) == meaning.sample(logits)


@pytest.mark.parametrize("wrong", [np.nan, -np.nan, np.inf])
@pytest.mark.parametrize("place", [0, 17, SIZE - 1])
@pytest.mark.parametrize("temperature", [0, 0.8])
def test_no_token_is_drawn_from_what_is_no_number(
    wrong: float, place: int, temperature: float, library: Library
) -> None:
    sampler = Sampler.from_params(SamplingParams(temperature=temperature, seed=1), library=library)
    again = Sampler.from_params(SamplingParams(temperature=temperature, seed=1))
    logits = logits_of(0)
    logits[place] = wrong
    with pytest.raises(PyllamaError, match=r"the largest logit is (nan|inf)"):
        sampler.sample(logits)
    assert sampler.sample(logits_of(1)) == again.sample(logits_of(1)), "no random number was taken"


def test_a_temperature_that_leaves_float32_is_an_error(library: Library) -> None:
    params = SamplingParams(temperature=1e-5)
    sampler = Sampler.from_params(params, library=library)
    with pytest.raises(PyllamaError, match="the largest logit is inf"):
        sampler.sample(np.full(50, 1e36, np.float32))


def test_where_no_token_is_possible_none_is_drawn(library: Library) -> None:
    sampler = Sampler.from_params(SamplingParams(), library=library)
    with pytest.raises(PyllamaError, match="the largest logit is -inf"):
        sampler.sample(np.full(50, -np.inf, np.float32))
    one = np.full(50, -np.inf, np.float32)
    one[33] = -5.0
    assert {sampler.sample(one) for _ in range(20)} == {33}
