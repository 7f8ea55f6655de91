"""Text generation: tokens go in, events come out. Nothing is printed here."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from enum import StrEnum
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyllama.errors import CapacityError, PromptError, UsageError
from pyllama.stop_strings import StopStrings

if TYPE_CHECKING:
    from pyllama.sampling import Sampler
    from pyllama.session import Session


class FinishReason(StrEnum):
    """Why a generation ended."""

    STOP = "stop"
    """The model chose an end-of-generation token, or nothing more fits the grammar."""
    STOP_STRING = "stop_string"
    """The text contains a stop string."""
    LENGTH = "length"
    """There are as many tokens as were asked for."""
    CONTEXT = "context"
    """The context is full."""


@dataclass(slots=True)
class Span:
    """Time spent on one kind of work, and the number of tokens that it was spent on."""

    seconds: float = 0.0
    tokens: int = 0

    def add(self, seconds: float, tokens: int = 1) -> None:
        """Count work that is done."""
        self.seconds += seconds
        self.tokens += tokens


@dataclass(slots=True)
class Timings:
    """Where the time of a generation went."""

    prompt: Span = field(default_factory=Span)
    """Evaluating the prompt, and what a shift of the context evaluates again."""
    eval: Span = field(default_factory=Span)
    """Evaluating generated tokens, one at a time."""
    sampling: Span = field(default_factory=Span)
    """All that has to do with sampling: the draws, and showing the text to the sampler."""
    samplers: Span = field(default_factory=Span)
    """The draws alone: the filter chain and the random choice."""
    total: float = 0.0
    """Seconds since the generation began."""


@dataclass(frozen=True, slots=True)
class Prefilled:
    """The prompt has been evaluated: the session holds it, and nothing else yet."""

    text: str = ""
    """Always empty."""


@dataclass(frozen=True, slots=True)
class Logprobs:
    """Natural logarithms of the probabilities that the model itself gave, before any filter."""

    chosen: float
    """Of the token that was taken."""
    top: tuple[tuple[int, float], ...]
    """The likeliest tokens, the likeliest first, with theirs."""

    @classmethod
    def of(cls, logits: NDArray[np.float32], token: int, count: int) -> Logprobs:
        """Those of ``token`` and of the ``count`` likeliest. logits: float32 (n_vocab,)."""
        values = logits.astype(np.float64)
        values -= values.max()
        values -= np.log(np.exp(values).sum())
        count = min(count, len(values))
        some = np.argpartition(-values, count - 1)[:count] if count else np.empty(0, np.int64)
        ranked = sorted(some.tolist(), key=lambda id: (-values[id], id))
        return cls(float(values[token]), tuple((id, float(values[id])) for id in ranked))


class Token(NamedTuple):
    """One token of the result. Its text is empty until the character it belongs to is complete,
    and as long as it may be the beginning of a stop string.
    """

    id: int
    text: str
    logprobs: Logprobs | None = None
    """Where they were asked for."""


@dataclass(frozen=True, slots=True)
class Finish:
    """The end: why, the text that was still held back, and where the time went."""

    reason: FinishReason
    text: str
    timings: Timings


Event = Prefilled | Token | Finish


@dataclass(frozen=True, slots=True)
class Limits:
    """When a generation ends, and what it may do about it."""

    max_tokens: int = -1
    """Tokens at most; negative for as many as the context takes."""
    stop_tokens: Collection[int] | None = None
    """Tokens that end the text, without being part of it; None for the tokenizer's."""
    stop_strings: Collection[str] = ()
    """Texts that end the text, without being part of it."""
    shifts: bool = False
    """Forget the older half of a full context instead of ending; the prompt and what follows it
    must be all that the session holds."""
    keep: int = 0
    """Tokens at the beginning of the prompt that are never forgotten."""


class Generation(Iterator[Event]):
    """A generation under way: an iterator of Prefilled, one Token for each token, then one Finish.

    Raises, while iterating, what ``Session.evaluate`` and ``Sampler.sample`` raise. ``timings``
    can be read at any time, also after an error. ``tokens`` are those that the session holds.
    """

    def __init__(
        self,
        session: Session,
        prompt: Sequence[int],
        sampler: Sampler,
        limits: Limits,
        *,
        cached: int,
        logprobs: int | None,
        special: bool,
    ) -> None:
        """Use ``generate``."""
        self._session = session
        self._sampler = sampler
        self._limits = limits
        self._logprobs = logprobs
        tokenizer = session.model.tokenizer
        self._text = tokenizer.stream(special=special)
        self._ends = (
            tokenizer.end_of_generation if limits.stop_tokens is None else limits.stop_tokens
        )
        self._stop = StopStrings(limits.stop_strings)
        self._timings = Timings()
        self._started = perf_counter()
        self.tokens = list(prompt[:cached])
        self._events = self._run(prompt, cached)

    def __iter__(self) -> Iterator[Event]:
        """The events themselves: a loop need not come through ``__next__``."""
        return self._events

    def __next__(self) -> Event:
        return next(self._events)

    @property
    def timings(self) -> Timings:
        """Where the time went until now: a copy, which later steps leave alone."""
        timings = deepcopy(self._timings)
        timings.total = perf_counter() - self._started
        return timings

    def _run(self, prompt: Sequence[int], cached: int) -> Iterator[Event]:
        begun = perf_counter()
        self._sampler.accept(*prompt)
        self._timings.sampling.add(perf_counter() - begun, tokens=0)
        logits = self._evaluate(prompt[cached:])
        yield Prefilled()
        reason = FinishReason.LENGTH
        remaining = self._limits.max_tokens
        while remaining != 0:
            token = self._sample(logits)
            if token in self._ends:
                reason = FinishReason.STOP
                break
            yield self._token(token, logits)
            remaining -= 1
            if self._stop.found:
                reason = FinishReason.STOP_STRING
                break
            if self._sampler.grammar is not None and self._sampler.grammar.is_finished:
                reason = FinishReason.STOP
                break
            if remaining == 0:
                break
            if self._session.n_past >= self._session.context and not self._shift():
                reason = FinishReason.CONTEXT
                break
            logits = self._advance(token)
        rest = self._stop.push(self._text.finish()) + self._stop.finish()
        yield Finish(reason, rest, self.timings)

    def _evaluate(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        done, begun = 0, perf_counter()
        try:
            logits = self._session.evaluate(tokens)
            done = len(tokens)
        finally:  # it may take long, and be interrupted
            self._timings.prompt.add(perf_counter() - begun, done)
        self.tokens += tokens
        return logits

    def _advance(self, token: int) -> NDArray[np.float32]:
        begun = perf_counter()
        logits = self._session.advance(token)
        self._timings.eval.add(perf_counter() - begun)
        self.tokens.append(token)
        return logits

    def _sample(self, logits: NDArray[np.float32]) -> int:
        begun = perf_counter()
        token = self._sampler.sample(logits)
        drawn = perf_counter()
        self._sampler.accept(token)
        self._timings.samplers.add(drawn - begun)
        self._timings.sampling.add(perf_counter() - begun)
        return token

    def _token(self, token: int, logits: NDArray[np.float32]) -> Token:
        wanted = self._logprobs
        known = None if wanted is None else Logprobs.of(logits, token, wanted)
        return Token(token, self._stop.push(self._text.push(token)), known)

    def _shift(self) -> bool:
        """Make room by forgetting the older half of what need not be kept; False where there is
        none. What remains behind it is evaluated again, at its new positions, because keys and
        values depend on all that came before: that takes as long as a prompt of so many tokens.
        """
        keep = self._limits.keep
        discarded = (len(self.tokens) - keep) // 2
        if not self._limits.shifts or discarded < 1:
            return False
        tail = self.tokens[keep + discarded :]
        self._session.truncate(keep)
        del self.tokens[keep:]
        self._evaluate(tail)
        return True


def generate(
    session: Session,
    prompt: Sequence[int],
    sampler: Sampler,
    max_tokens: int = -1,
    stop: Collection[int] | None = None,
    *,
    limits: Limits | None = None,
    cached: int = 0,
    logprobs: int | None = None,
    special: bool = False,
) -> Generation:
    """Continue a prompt token by token.

    prompt: token ids, of which the session holds the first ``cached`` already (at least one must
    be left). max_tokens, stop: the first two of ``limits``, which is for those who need more of
    them. logprobs: with each token, its log-probability and those of so many of the likeliest.
    special: show control tokens in the text. The last token drawn is not evaluated: the session
    holds everything before it.

    Raises PromptError for a prompt of no tokens, CapacityError for one that does not fit,
    UsageError for an empty stop string, and for shifts in a session that holds other text.
    """
    if len(prompt) == 0:
        raise PromptError(
            "the prompt is empty and the model has no beginning-of-sequence token to start from; "
            "give at least one character"
        )
    assert 0 <= cached < len(prompt), "of a prompt that is all cached, the last token is evaluated"
    room = session.context - session.n_past
    if len(prompt) - cached > room:
        raise CapacityError(
            f"the prompt has {len(prompt)} tokens, but the context has room for {room + cached}; "
            "shorten it or ask for a larger context (-c)"
        )
    limits = limits or Limits(max_tokens, stop)
    if limits.shifts and session.n_past != cached:
        raise UsageError("a context can be shifted only where its session holds one text")
    return Generation(
        session, prompt, sampler, limits, cached=cached, logprobs=logprobs, special=special
    )
