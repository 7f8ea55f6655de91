"""Generation over a session that is a table: which events, when it ends, what it evaluates."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from models.cases import CASES
from models.tiny import write_tiny
from numpy.typing import NDArray

from pyllama.errors import CapacityError, PromptError, UsageError
from pyllama.generation import (
    Finish,
    FinishReason,
    Generation,
    Limits,
    Logprobs,
    Prefilled,
    Token,
    generate,
)
from pyllama.model import Model
from pyllama.sampling import Sampler, SamplingParams
from pyllama.session import Session

END = 0
VOCABULARY = ["", "a", "b", "c", "d"]


class Stream:
    """A decoder that holds one token back."""

    def __init__(self, special: bool) -> None:
        assert not special
        self.held = ""

    def push(self, token: int) -> str:
        text, self.held = self.held, VOCABULARY[token]
        return text

    def finish(self) -> str:
        return self.held


class CountingSession:
    """After token t comes t + 1, after the last one END; it keeps what it was asked to evaluate."""

    def __init__(self, context: int = 100, past: int = 0) -> None:
        tokenizer = SimpleNamespace(stream=Stream, end_of_generation=frozenset({END}))
        self.model = SimpleNamespace(tokenizer=tokenizer)
        self.context = context
        self.n_past = past
        self.evaluated: list[list[int]] = []

    def truncate(self, length: int) -> None:
        assert length <= self.n_past
        self.n_past = length

    def evaluate(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        self.n_past += len(tokens)
        assert self.n_past <= self.context
        self.evaluated.append(list(tokens))
        logits = np.zeros(len(VOCABULARY), np.float32)
        logits[(tokens[-1] + 1) % len(VOCABULARY)] = 1
        return logits

    def advance(self, token: int) -> NDArray[np.float32]:
        return self.evaluate([token])


def greedy() -> Sampler:
    return Sampler.from_params(SamplingParams(temperature=0))


def start(session: CountingSession, prompt: Sequence[int], **options: Any) -> Generation:
    return generate(cast("Any", session), prompt, greedy(), **options)


def finish(events: Sequence[object]) -> Finish:
    assert isinstance(events[-1], Finish)
    return events[-1]


def test_it_ends_where_the_model_ends_the_text() -> None:
    session = CountingSession()
    events = list(start(session, [1, 2]))
    assert events[:-1] == [Prefilled(), Token(3, ""), Token(4, "c")]
    assert (finish(events).reason, finish(events).text) == (FinishReason.STOP, "d")
    assert session.evaluated == [[1, 2], [3], [4]]


@pytest.mark.parametrize("count", [1, 2])
def test_it_ends_after_as_many_tokens_as_asked_for(count: int) -> None:
    session = CountingSession()
    events = list(start(session, [1], max_tokens=count))
    assert [event.id for event in events if isinstance(event, Token)] == [2, 3][:count]
    assert finish(events).reason is FinishReason.LENGTH
    assert session.n_past == count, "the last token is not evaluated: nobody asked what follows"


def test_no_tokens_asked_for_only_evaluates_the_prompt() -> None:
    session = CountingSession()
    events = list(start(session, [1, 2], max_tokens=0))
    assert [type(event) for event in events] == [Prefilled, Finish]
    assert finish(events).reason is FinishReason.LENGTH
    assert session.evaluated == [[1, 2]]


def test_it_ends_where_the_context_is_full() -> None:
    session = CountingSession(context=3)
    events = list(start(session, [1, 2], stop=()))
    assert [event.id for event in events if isinstance(event, Token)] == [3, 4]
    assert finish(events).reason is FinishReason.CONTEXT
    assert session.n_past == 3


def test_stop_tokens_can_be_chosen() -> None:
    events = list(start(CountingSession(), [1], stop={4}))
    assert [event.id for event in events if isinstance(event, Token)] == [2, 3]


def test_a_prompt_may_fill_the_context_but_not_more() -> None:
    events = list(start(CountingSession(context=2), [1, 2]))
    assert len(events) == 3
    with pytest.raises(CapacityError, match=r"3 tokens.*room for 2.*-c"):
        start(CountingSession(context=2), [1, 2, 3])
    with pytest.raises(CapacityError, match="room for 1"):
        start(CountingSession(context=9, past=8), [1, 2])


def test_an_empty_prompt() -> None:
    with pytest.raises(PromptError, match="empty"):
        start(CountingSession(), [])


def test_the_sampler_sees_prompt_and_text() -> None:
    sampler = Sampler.from_params(SamplingParams(temperature=0, presence_penalty=9.0))
    events = generate(cast("Any", CountingSession()), [1, 2], sampler, 2)
    tokens = [event.id for event in events if isinstance(event, Token)]
    assert tokens == [3, 4]
    repeated = list(generate(cast("Any", CountingSession()), [3, 2], sampler, 1))
    assert finish(repeated).reason is FinishReason.STOP, "3 is penalized, so the rest ties: id 0"


def test_timings_count_tokens_and_can_be_read_under_way() -> None:
    generation = start(CountingSession(), [1, 2], max_tokens=2)
    assert isinstance(next(generation), Prefilled)
    next(generation)
    early = generation.timings
    timings = finish(list(generation)).timings
    assert (early.prompt.tokens, early.eval.tokens, early.samplers.tokens) == (2, 0, 1)
    assert (timings.prompt.tokens, timings.eval.tokens, timings.samplers.tokens) == (2, 1, 2)
    parts = timings.prompt.seconds + timings.eval.seconds + timings.sampling.seconds
    assert 0 < parts <= timings.total
    assert timings.samplers.seconds <= timings.sampling.seconds


def texts(events: Sequence[Any]) -> str:
    return "".join(event.text for event in events)


def test_a_stop_string_ends_the_text_before_it() -> None:
    session = CountingSession()
    events = list(start(session, [0], limits=Limits(stop_tokens=(), stop_strings=["cd"])))
    assert texts(events) == "ab"
    assert finish(events).reason is FinishReason.STOP_STRING
    assert [event.text for event in events if isinstance(event, Token)] == ["", "a", "b", "", ""]


def test_what_only_might_have_become_a_stop_string_is_written_at_the_end() -> None:
    limits = Limits(max_tokens=3, stop_strings=["cx"])
    events = list(start(CountingSession(), [0], limits=limits))
    assert texts(events) == "abc"
    assert finish(events).reason is FinishReason.LENGTH


def test_a_full_context_forgets_half_of_what_need_not_be_kept() -> None:
    session = CountingSession(context=6)
    limits = Limits(max_tokens=6, stop_tokens=(), shifts=True, keep=1)
    generation = start(session, [1, 2, 3], limits=limits)
    events = list(generation)
    assert finish(events).reason is FinishReason.LENGTH
    shifted = [4, 0, 1]  # of 1 2 3 4 0 1 stays 1, and of the other five the last three
    assert session.evaluated == [[1, 2, 3], [4], [0], [1], shifted, [2], [3]]
    assert generation.tokens == [1, 4, 0, 1, 2, 3]
    assert len(generation.tokens) == session.n_past


@pytest.mark.parametrize("limits", [Limits(stop_tokens=()), Limits(-1, (), shifts=True, keep=4)])
def test_nothing_to_forget_is_the_end(limits: Limits) -> None:
    events = list(start(CountingSession(context=4), [1, 2, 3, 4], limits=limits))
    assert finish(events).reason is FinishReason.CONTEXT


def test_only_a_session_of_one_text_can_forget_half_of_it() -> None:
    with pytest.raises(UsageError, match="shift"):
        start(CountingSession(past=3), [1], limits=Limits(shifts=True))


def test_what_the_session_holds_of_the_prompt_is_not_evaluated_again() -> None:
    session = CountingSession(past=2)
    generation = start(session, [1, 2, 3], max_tokens=1, cached=2)
    list(generation)
    assert session.evaluated == [[3]]
    assert generation.tokens == [1, 2, 3]
    with pytest.raises(CapacityError, match="room for 4"):
        start(CountingSession(context=4, past=2), [1] * 5, cached=2)


def test_log_probabilities_are_the_model_s_own() -> None:
    events = list(start(CountingSession(), [1], max_tokens=1, logprobs=2))
    [known] = [event.logprobs for event in events if isinstance(event, Token)]
    assert known is not None
    norm = np.log(np.e + 4)
    assert known.chosen == pytest.approx(1 - norm)
    assert known.top == ((2, pytest.approx(1 - norm)), (0, pytest.approx(-norm)))
    assert Logprobs.of(np.zeros(4, np.float32), 3, 0).top == ()
    assert len(Logprobs.of(np.zeros(4, np.float32), 3, 9).top) == 4


def test_sessions_of_one_model_do_not_disturb_each_other(tmp_path: Path) -> None:
    write_tiny(next(case for case in CASES if case.name == "llama_gqa"), tmp_path / "tiny.gguf")
    model = Model.load(tmp_path / "tiny.gguf")

    def text(prompt: int) -> list[int]:
        session = Session(model, context=128, threads=2)
        sampler = Sampler.from_params(SamplingParams(seed=prompt))
        events = generate(session, [1, prompt], sampler, 60, stop=())
        return [event.id for event in events if isinstance(event, Token)]

    prompts = [5, 6, 7, 8]
    one_after_the_other = [text(prompt) for prompt in prompts]
    with ThreadPoolExecutor(len(prompts)) as threads:
        assert list(threads.map(text, prompts)) == one_after_the_other
    assert len({tuple(tokens) for tokens in one_after_the_other}) == len(prompts)


def test_timings_survive_an_error() -> None:
    class Broken(CountingSession):
        def evaluate(self, tokens: Sequence[int]) -> NDArray[np.float32]:
            if self.evaluated:
                raise KeyboardInterrupt
            return super().evaluate(tokens)

    generation = start(Broken(), [1, 2])
    with pytest.raises(KeyboardInterrupt):
        list(generation)
    assert generation.timings.prompt.tokens == 2
    assert generation.timings.eval.tokens == 0
