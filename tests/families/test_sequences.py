"""Sequences of models that remember more than keys and values, or in another form."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from models.golden import relative_error

from families.case import CONTEXT
from families.tiny import convert_case
from pyllama.errors import UsageError
from pyllama.model import Model
from pyllama.session import Session

SAME = 1e-5
TOKENS = [3, 14, 15, 92, 65, 35, 89, 79, 32, 38, 46, 26, 43, 38, 32, 79, 50, 28, 84, 19]

Make = Callable[..., Session]


@pytest.fixture(scope="module", params=["lfm2", "gpt_oss", "deepseek2_lite"])
def make(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Make:
    model = Model.load(convert_case(request.param, tmp_path_factory.mktemp(request.param))[1])

    def session(sequences: int = 1, cache_type: str = "f32") -> Session:
        return Session(
            model, context=CONTEXT, threads=2, cache_type=cache_type, sequences=sequences
        )

    return session


@pytest.fixture(scope="module")
def expected(make: Make) -> np.ndarray:
    """Logits after each of the tokens."""
    return make().evaluate(TOKENS, all_logits=True)


@pytest.mark.parametrize("length", [0, 1, 2, 7, 19])
def test_what_follows_a_truncated_sequence(make: Make, expected: np.ndarray, length: int) -> None:
    session = make()
    session.evaluate([*TOKENS[:length], 7, 7, 7])
    session.truncate(length)
    logits = session.evaluate(TOKENS[length:], all_logits=True)
    assert relative_error(logits, expected[length:]) < SAME


def test_tokens_one_by_one_and_some_at_a_time(make: Make, expected: np.ndarray) -> None:
    session, rows, at = make(), [], 0
    for count in (1, 1, 5, 1, 2, 9, 1):
        rows.append(session.evaluate(TOKENS[at : at + count]))
        at += count
    ends = np.cumsum([1, 1, 5, 1, 2, 9, 1]) - 1
    assert relative_error(np.stack(rows), expected[ends]) < SAME


def test_sequences_do_not_see_each_other(make: Make, expected: np.ndarray) -> None:
    session = make(sequences=2)
    for at, token in enumerate(TOKENS):
        logits = session.evaluate([token], sequence=1)
        session.evaluate([5 + at], sequence=0)
    assert relative_error(logits, expected[-1]) < SAME


@pytest.mark.parametrize("length", [1, 9, 17])
def test_another_session_goes_on_from_a_saved_state(
    make: Make, expected: np.ndarray, length: int
) -> None:
    first, second = make(), make()
    first.evaluate(TOKENS)
    second.restore(length, [piece.copy() for piece in first.state(length)])
    logits = second.evaluate(TOKENS[length:], all_logits=True)
    assert relative_error(logits, expected[length:]) < SAME


@pytest.mark.parametrize("cache_type", ["f16", "bf16"])
def test_what_is_remembered_in_fewer_bits(
    make: Make, expected: np.ndarray, cache_type: str
) -> None:
    session = make(cache_type=cache_type)
    session.evaluate(TOKENS[:-1])
    error = relative_error(session.evaluate(TOKENS[-1:]), expected[-1])
    assert 0 < error < 0.1


def test_the_memory_counts_what_is_convolved(tmp_path: Path) -> None:
    model = Model.load(convert_case("lfm2", tmp_path)[1])
    session = Session(model, context=64, threads=1, cache_type="f16")
    attention, convolutions = 64 * 2 * 2 * 16 * 2, 2 * 64 * 64 * 2
    assert session.cache_bytes == attention + convolutions


def test_latents_are_kept_once(tmp_path: Path) -> None:
    """Values are part of the keys; what types they would have does not matter."""
    model = Model.load(convert_case("deepseek2_lite", tmp_path)[1])
    session = Session(model, context=64, threads=1, cache_type="f16", cache_type_v="f32")
    layers, latent, rotated = 3, 32, 8
    assert session.cache_bytes == 64 * layers * (latent + rotated) * 2
    with pytest.raises(UsageError, match="a q8_0 cache needs heads of a multiple of 32 elements"):
        Session(model, context=64, cache_type="q8_0")
