"""A model that answers: a conversation becomes a prompt, and what the model writes its answer.

The session keeps what it has evaluated from turn to turn. A prompt is compared with that, and only
what is new is evaluated, be it after a question, an edited one, or one that is answered again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from pyllama.conversation.channels import (
    Channel,
    Markers,
    Piece,
    Splitter,
    channel_after,
    find_markers,
)
from pyllama.conversation.conversation import Conversation
from pyllama.conversation.prefix import common_prefix, spliced
from pyllama.conversation.records import ASSISTANT, USER, Message
from pyllama.errors import CapacityError, Interrupted
from pyllama.generation import Finish, Generation, Limits, Timings, Token, generate

if TYPE_CHECKING:
    from pyllama.sampling import Sampler
    from pyllama.session import Session
    from pyllama.templates import ChatTemplate

INTERRUPTED, FAILED = "interrupted", "failed"
"""Ends of an answer that no ``FinishReason`` names."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A conversation as the model is to read it.

    Attributes:
        text: what the template has made of it.
        tokens: the same as ids; where an answer is held, as the model wrote it.
        reused: how many of them the session holds.
        opening: how many come before the first question: the system message and what belongs to it.
        started: ``perf_counter`` when the work on it began.
    """

    text: str
    tokens: list[int]
    reused: int
    opening: int
    started: float = field(repr=False)


@dataclass(frozen=True, slots=True)
class Turn:
    """What it took to answer.

    Attributes:
        finish: why the answer ended: a ``FinishReason``, ``interrupted`` or ``failed``.
        reused, new: tokens of the prompt that the session held, and others.
        tokens: of the answer.
        reasoning: of these, how many were thoughts.
        first_token: seconds to the first of them; None where there was none.
        timings: of the generation.
    """

    finish: str
    reused: int
    new: int
    tokens: int
    reasoning: int
    first_token: float | None
    timings: Timings


class Chat:
    """A conversation, and the session that holds what was evaluated of it."""

    def __init__(
        self,
        session: Session,
        template: ChatTemplate,
        conversation: Conversation,
        variables: Mapping[str, Any] | None = None,
        *,
        shifts: bool = False,
    ) -> None:
        """The session must be empty, or be used by this chat alone.

        variables: of the template, such as ``enable_thinking``; they may be changed later.
        shifts: forget the oldest turns when the context is full, instead of refusing.
        """
        self.session, self.template, self.conversation = session, template, conversation
        self.variables: dict[str, Any] = dict(variables or {})
        self.shifts = shifts
        self.held: list[int] = []
        """The tokens that the session holds."""
        self.markers: Markers = find_markers(session.model.tokenizer, template.text)
        self._forgotten = 0

    def prompt(self) -> Prompt:
        """The prompt for an answer to the last question.

        Raises CapacityError for more than the context takes, and what the template raises.
        """
        started = perf_counter()
        room = self.session.context - 1
        self._forgotten = min(self._forgotten, self._last_start)
        text, tokens = self._render(self._forgotten)
        if len(tokens) > room and self.shifts:
            while len(tokens) > room // 2 and self._forgotten < self._last_start:
                self._forgotten += 2
                text, tokens = self._render(self._forgotten)
        if len(tokens) > room:
            raise CapacityError(self._too_long(len(tokens)))
        prompt, reused = spliced(self.held, tokens, self._piece)
        return Prompt(text, prompt, reused, self._opening(tokens), started)

    def answer(self, prompt: Prompt, sampler: Sampler, limits: Limits | None = None) -> Answer:
        """Let the model answer, in the ``with`` block of the result.

        limits: their ``keep`` grows to the prompt's opening. Raises what ``generate`` raises.
        """
        limits = limits or Limits(shifts=self.shifts)
        limits = replace(limits, keep=max(limits.keep, prompt.opening))
        self.session.truncate(prompt.reused)
        self.held = prompt.tokens[: prompt.reused]
        generation = generate(
            self.session, prompt.tokens, sampler, limits=limits, cached=prompt.reused
        )
        self.held = generation.tokens
        tokenizer = self.session.model.tokenizer
        splitter = Splitter(
            tokenizer,
            self.markers,
            Channel.ANSWER if sampler.grammar is not None else self._first_channel(prompt),
            limits.stop_strings,
        )
        return Answer(self.conversation, prompt, generation, splitter)

    def begin_anew(self, conversation: Conversation) -> None:
        """Go on with another conversation."""
        self.conversation, self._forgotten = conversation, 0

    @property
    def forgotten_turns(self) -> int:
        """How many turns of the conversation the model does not see any more."""
        return self._forgotten // 2

    @property
    def _last_start(self) -> int:
        return max(self.conversation.last_question, 0)

    def _opening(self, tokens: list[int]) -> int:
        """What the prompt has in common with that of another conversation."""
        return common_prefix(self._tokens(self._text([Message(USER, "?")])), tokens)

    def _render(self, since: int) -> tuple[str, list[int]]:
        text = self._text(self.conversation.messages[since:])
        return text, self._tokens(text)

    def _text(self, messages: Sequence[Message], *, asks: bool = True) -> str:
        system, template = self.conversation.system, self.template
        given = [] if system is None else [{"role": "system", "content": system}]
        given += [message.for_template() for message in messages]
        return template.render(template.adapt(given), add_generation_prompt=asks, **self.variables)

    def _tokens(self, text: str) -> list[int]:
        return self.session.model.tokenizer.encode(text, add_special=True, parse_special=True)

    def _piece(self, token: int) -> bytes:
        return self.session.model.tokenizer.piece(token, special=True)

    def _first_channel(self, prompt: Prompt) -> Channel:
        """Where the answer begins: the template may have opened the thoughts already."""
        if not self.markers:
            return Channel.ANSWER
        messages = self.conversation.messages[self._forgotten :]
        without = self._text(messages, asks=False)
        asked = prompt.text[common_prefix(without, prompt.text) :]
        tokenizer = self.session.model.tokenizer
        ask = tokenizer.encode(asked, add_special=False, parse_special=True)
        return channel_after(tokenizer, self.markers, ask)

    def _too_long(self, count: int) -> str:
        others = "ask for a larger one (-c), take turns back (/undo) or begin anew (/clear)"
        shift = "" if self.shifts else "; --context-shift forgets the oldest turns instead"
        context = self.session.context
        return f"{count} tokens of conversation fill the context of {context}; {others}{shift}"


class Answer(Iterator[Piece]):
    """An answer under way: an iterator of its pieces, used in a ``with`` block.

    However the block is left, the turn is then closed: what came of the answer is a message of the
    conversation. Where nothing came the question stays unanswered. Raises, while iterating, what
    ``Generation`` raises.
    """

    def __init__(
        self,
        conversation: Conversation,
        prompt: Prompt,
        generation: Generation,
        splitter: Splitter,
    ) -> None:
        """Use ``Chat.answer``."""
        self._conversation, self._prompt = conversation, prompt
        self._generation, self._splitter = generation, splitter
        self._said = dict.fromkeys(Channel, "")
        self._finish = ""
        self._tokens = self._thoughts = 0
        self._first_token: float | None = None
        self._pieces = self._run()

    def __next__(self) -> Piece:
        return next(self._pieces)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._finish:
            stopped = kind is None or issubclass(kind, KeyboardInterrupt | Interrupted)
            self._finish = INTERRUPTED if stopped else FAILED
            for piece in self._splitter.finish():
                self._said[piece.channel] += piece.text
            if not self._tokens:
                return
        thoughts = self._said[Channel.REASONING].strip("\n")
        content = self._said[Channel.ANSWER]
        self._conversation.answer(Message(ASSISTANT, content, thoughts, self._finish))

    @property
    def turn(self) -> Turn:
        """What it took until now."""
        return Turn(
            finish=self._finish,
            reused=self._prompt.reused,
            new=len(self._prompt.tokens) - self._prompt.reused,
            tokens=self._tokens,
            reasoning=self._thoughts,
            first_token=self._first_token,
            timings=self._generation.timings,
        )

    def _run(self) -> Iterator[Piece]:
        for event in self._generation:
            if isinstance(event, Token):
                self._count()
                pieces = self._splitter.push(event.id)
            elif isinstance(event, Finish):
                self._finish = event.reason.value
                pieces = self._splitter.finish()
            else:
                continue
            for piece in pieces:
                self._said[piece.channel] += piece.text
                yield piece

    def _count(self) -> None:
        if self._first_token is None:
            self._first_token = perf_counter() - self._prompt.started
        self._tokens += 1
        self._thoughts += self._splitter.channel is Channel.REASONING
