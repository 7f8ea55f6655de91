"""Text generation: tokens go in, events come out. Nothing is printed here."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from enum import StrEnum
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pyllama.errors import CapacityError, PromptError

if TYPE_CHECKING:
    from pyllama.sampling import Sampler
    from pyllama.session import Session


class FinishReason(StrEnum):
    """Why a generation ended."""

    STOP = "stop"
    """The model chose an end-of-generation token."""
    LENGTH = "length"
    """There are as many tokens as were asked for."""
    CONTEXT = "context"
    """The context is full."""


@dataclass(slots=True)
class Span:
    """Time spent on one kind of work, and the number of tokens that it was spent on."""

    seconds: float = 0.0
    tokens: int = 0

    @contextmanager
    def measure(self, tokens: int = 1) -> Iterator[None]:
        """Add what the block takes; the tokens count where it succeeds."""
        start = perf_counter()
        try:
            yield
            self.tokens += tokens
        finally:
            self.seconds += perf_counter() - start


@dataclass(slots=True)
class Timings:
    """Where the time of a generation went."""

    prompt: Span = field(default_factory=Span)
    """Evaluating the prompt."""
    eval: Span = field(default_factory=Span)
    """Evaluating generated tokens, one at a time."""
    sampling: Span = field(default_factory=Span)
    """All that has to do with sampling: the draws, and showing the text to the sampler."""
    samplers: Span = field(default_factory=Span)
    """The draws alone: the filter chain and the random choice."""
    total: float = 0.0
    """Seconds since the generation began."""


@dataclass(frozen=True, slots=True)
class Token:
    """One token of the result. Its text is empty until the character it belongs to is complete."""

    id: int
    text: str


@dataclass(frozen=True, slots=True)
class Finish:
    """The end: why, the text that was still held back, and where the time went."""

    reason: FinishReason
    text: str
    timings: Timings


Event = Token | Finish


class Generation(Iterator[Event]):
    """A generation under way: an iterator of one Token for each token, then one Finish.

    Raises, while iterating, what ``Session.evaluate`` and ``Sampler.sample`` raise. ``timings``
    can be read at any time, also after an error.
    """

    def __init__(
        self,
        session: Session,
        prompt: Sequence[int],
        sampler: Sampler,
        max_tokens: int,
        stop: Collection[int] | None,
    ) -> None:
        self._session = session
        self._sampler = sampler
        self._text = session.model.tokenizer.stream()
        self._stop = session.model.tokenizer.end_of_generation if stop is None else stop
        self._timings = Timings()
        self._started = perf_counter()
        self._events = self._run(prompt, max_tokens)

    def __next__(self) -> Event:
        return next(self._events)

    @property
    def timings(self) -> Timings:
        """Where the time went until now: a copy, which later steps leave alone."""
        timings = deepcopy(self._timings)
        timings.total = perf_counter() - self._started
        return timings

    def _run(self, prompt: Sequence[int], max_tokens: int) -> Iterator[Event]:
        with self._timings.sampling.measure(0):
            self._sampler.accept(*prompt)
        with self._timings.prompt.measure(len(prompt)):
            logits = self._session.evaluate(prompt)
        reason = FinishReason.LENGTH
        remaining = max_tokens
        while remaining != 0:
            token = self._sample(logits)
            if token in self._stop:
                reason = FinishReason.STOP
                break
            yield Token(token, self._text.push(token))
            remaining -= 1
            if remaining == 0:
                break
            if self._session.n_past >= self._session.context:
                reason = FinishReason.CONTEXT
                break
            with self._timings.eval.measure():
                logits = self._session.evaluate([token])
        yield Finish(reason, self._text.finish(), self.timings)

    def _sample(self, logits: NDArray[np.float32]) -> int:
        with self._timings.sampling.measure():
            with self._timings.samplers.measure():
                token = self._sampler.sample(logits)
            self._sampler.accept(token)
        return token


def generate(
    session: Session,
    prompt: Sequence[int],
    sampler: Sampler,
    max_tokens: int = -1,
    stop: Collection[int] | None = None,
) -> Generation:
    """Continue a prompt token by token.

    prompt: token ids, appended to what the session already holds. max_tokens: how many tokens at
    most; negative for as many as the context takes. stop: the tokens that end the text, without
    being part of it; by default the tokenizer's end-of-generation tokens. The last token drawn is
    not evaluated: the session holds everything before it.

    Raises PromptError for a prompt of no tokens, CapacityError for one that does not fit.
    """
    if len(prompt) == 0:
        raise PromptError(
            "the prompt is empty and the model has no beginning-of-sequence token to start from; "
            "give at least one character"
        )
    room = session.context - session.n_past
    if len(prompt) > room:
        raise CapacityError(
            f"the prompt has {len(prompt)} tokens, but the context has room for {room}; "
            "shorten it or ask for a larger context (-c)"
        )
    return Generation(session, prompt, sampler, max_tokens, stop)
