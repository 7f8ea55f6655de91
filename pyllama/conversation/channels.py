"""What a model thinks and what it answers, told apart by the tokens that stand between the two.

Models that think mark it: ``<think>`` ... ``</think>``, or, in Harmony (gpt-oss), a header that
names the channel of what follows. A marker is a sequence of tokens, mostly of one, that a model
was trained to write; the same letters in a text that it quotes are other tokens.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import product
from typing import TYPE_CHECKING

from pyllama.stop_strings import StopStrings

if TYPE_CHECKING:
    from pyllama.tokenizers import Tokenizer


class Channel(StrEnum):
    """To whom the model speaks."""

    ANSWER = "answer"
    REASONING = "reasoning"


@dataclass(frozen=True, slots=True)
class Piece:
    """Some text in one of the channels."""

    channel: Channel
    text: str


Markers = Mapping[tuple[int, ...], Channel]
"""Tokens, and the channel that begins behind them. None of them is shown."""

_FORMATS: tuple[Mapping[str, Channel], ...] = (
    {"<think>": Channel.REASONING, "</think>": Channel.ANSWER},
    {"[THINK]": Channel.REASONING, "[/THINK]": Channel.ANSWER},
    {"<seed:think>": Channel.REASONING, "</seed:think>": Channel.ANSWER},
    {
        "<|START_THINKING|>": Channel.REASONING,
        "<|END_THINKING|>": Channel.ANSWER,
        "<|START_RESPONSE|>": Channel.ANSWER,
        "<|END_RESPONSE|>": Channel.ANSWER,
    },
    {
        "<|channel|>analysis<|message|>": Channel.REASONING,
        "<|channel|>commentary<|message|>": Channel.ANSWER,
        "<|channel|>final<|message|>": Channel.ANSWER,
        "<|end|><|start|>assistant": Channel.ANSWER,
    },
)
_AROUND = ("", "\n", "\n\n")
"""Line ends that a tokenizer may join with a marker that is no token of its own."""


def find_markers(tokenizer: Tokenizer, template: str) -> Markers:
    """The markers of a model: of each known format that its vocabulary or its template has."""
    found: dict[tuple[int, ...], Channel] = {}
    for format in _FORMATS:
        if any(text in tokenizer.vocabulary.ids or text in template for text in format):
            for text, channel in format.items():
                found |= dict.fromkeys(_spellings(tokenizer, text), channel)
    return found


def _spellings(tokenizer: Tokenizer, text: str) -> Iterator[tuple[int, ...]]:
    """The token of a marker, or the sequences that it may be."""
    if text in tokenizer.vocabulary.ids:
        yield (tokenizer.vocabulary.ids[text],)
        return
    for before, after in product(_AROUND, _AROUND):
        head, whole = (
            tuple(tokenizer.encode(part, add_special=False, parse_special=True))
            for part in (before, before + text + after)
        )
        yield whole
        if whole[: len(head)] == head:  # SentencePiece puts a space before any text
            yield whole[len(head) :]


class Splitter:
    """Tokens in, pieces of text out, each in its channel.

    Line ends between a marker and the thoughts, and between it and the answer, are not shown.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        markers: Markers,
        channel: Channel = Channel.ANSWER,
        stop_strings: Collection[str] = (),
    ) -> None:
        """Begin in ``channel``. stop_strings: the text ends before the first of them."""
        self.channel = channel
        self._markers = markers
        self._text = tokenizer.stream()
        self._stop = StopStrings(stop_strings)
        self._pending: tuple[int, ...] = ()
        self._skips = channel is not Channel.ANSWER
        self._line_ends = ""  # of thoughts: they may be the last ones

    def push(self, *tokens: int) -> Iterator[Piece]:
        """What these tokens show."""
        for token in tokens:
            self._pending += (token,)
            while self._pending and not self._is_begun_marker():
                if self._pending in self._markers:
                    yield from self._switch()
                else:
                    first, *others = self._pending
                    self._pending = tuple(others)
                    yield from self._show(self._decode(first))

    def finish(self) -> Iterator[Piece]:
        """What is still held back, when no more tokens come."""
        text = "".join(self._decode(token) for token in self._pending)
        self._pending = ()
        yield from self._show(text + self._rest())

    def _is_begun_marker(self) -> bool:
        """Whether the pending tokens are the beginning of a marker, and not yet one."""
        n = len(self._pending)
        begins = any(marker[:n] == self._pending for marker in self._markers)
        return begins and self._pending not in self._markers

    def _switch(self) -> Iterator[Piece]:
        yield from self._show(self._rest())
        self.channel, self._pending = self._markers[self._pending], ()
        self._skips, self._line_ends = True, ""

    def _show(self, text: str) -> Iterator[Piece]:
        if self._skips:
            text = text.lstrip("\n")
            self._skips = not text
        if self.channel is Channel.REASONING:
            text = self._line_ends + text
            self._line_ends = text[len(text.rstrip("\n")) :]
            text = text.removesuffix(self._line_ends)
        if text:
            yield Piece(self.channel, text)

    def _decode(self, token: int) -> str:
        return self._stop.push(self._text.push(token))

    def _rest(self) -> str:
        return self._stop.push(self._text.finish()) + self._stop.finish()


def channel_after(tokenizer: Tokenizer, markers: Markers, tokens: Sequence[int]) -> Channel:
    """The channel in which a model goes on after these tokens, such as those that ask for an
    answer: some templates let the model think by writing the first marker themselves.
    """
    splitter = Splitter(tokenizer, markers)
    for _ in splitter.push(*tokens):
        pass
    return splitter.channel
