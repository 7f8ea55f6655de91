"""The result of a generation on stdout: the text as it is made, or one JSON object at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from pyllama.commands import output
from pyllama.commands.report import to_json
from pyllama.generation import Finish, Logprobs, Span, Timings, Token

if TYPE_CHECKING:
    from pyllama.commands.perf import Loading
    from pyllama.generation import Event
    from pyllama.tokenizers import Tokenizer


class Writer(Protocol):
    """Where the events of a generation go."""

    def begin(self) -> None:
        """Before the prompt is evaluated."""

    def add(self, event: Event) -> None:
        """An event."""

    def end(self) -> None:
        """After the last event, or after what ended the generation early."""


@dataclass(frozen=True)
class TextWriter:
    """Writes text as it is made, and always one newline after it."""

    echo: str

    def begin(self) -> None:
        """Write what comes before the text."""
        output.write(self.echo)

    def add(self, event: Event) -> None:
        """Write the text of an event."""
        output.write(event.text)

    def end(self) -> None:
        """Write the newline."""
        output.write("\n")


@dataclass
class JsonWriter:
    """Writes one object, when the generation is finished; one that is not leaves nothing."""

    tokenizer: Tokenizer
    about: dict[str, Any]
    """What is known before: model, prompt and so on."""
    loading: Loading
    """Of the model, before."""
    _tokens: list[Token] = field(default_factory=list)
    _text: list[str] = field(default_factory=list)
    _finish: Finish | None = None

    def begin(self) -> None:
        """There is nothing to write yet."""

    def add(self, event: Event) -> None:
        """Remember an event."""
        self._text.append(event.text)
        if isinstance(event, Token):
            self._tokens.append(event)
        elif isinstance(event, Finish):
            self._finish = event

    def end(self) -> None:
        """Write the object."""
        if self._finish is None:
            return
        document = self.about | {
            "text": "".join(self._text),
            "tokens": [token.id for token in self._tokens],
            "finish_reason": self._finish.reason.value,
            "timings": _timings(self._finish.timings, self.loading),
        }
        known = [(token.id, token.logprobs) for token in self._tokens]
        if known and known[0][1] is not None:
            document["logprobs"] = [self._logprobs(id, p) for id, p in known if p is not None]
        output.write(to_json(document))

    def _logprobs(self, id: int, logprobs: Logprobs) -> dict[str, Any]:
        top = [self._token(other, value) for other, value in logprobs.top]
        return self._token(id, logprobs.chosen) | {"top": top}

    def _token(self, id: int, logprob: float) -> dict[str, Any]:
        text = self.tokenizer.piece(id, special=True).decode("utf-8", "replace")
        return {"token": id, "text": text, "logprob": max(logprob, _LOWEST)}


_LOWEST = -1e30
"""Instead of minus infinity, which JSON does not have."""


def _timings(timings: Timings, loading: Loading) -> dict[str, Any]:
    return {
        "load_seconds": loading.seconds,
        "prompt": _span(timings.prompt),
        "eval": _span(timings.eval),
        "sampling": _span(timings.sampling),
        "total_seconds": loading.elapsed(),
    }


def _span(span: Span) -> dict[str, Any]:
    speed = span.tokens / span.seconds if span.seconds else None
    return {"tokens": span.tokens, "seconds": span.seconds, "tokens_per_second": speed}


def listing(tokenizer: Tokenizer, tokens: Sequence[int]) -> str:
    """The lines of ``--verbose-prompt``."""
    pieces = (tokenizer.piece(id, special=True).decode("utf-8", "replace") for id in tokens)
    lines = [f"{id:6d} -> '{piece}'" for id, piece in zip(tokens, pieces, strict=True)]
    return "\n".join((f"number of tokens in prompt = {len(tokens)}", *lines))
