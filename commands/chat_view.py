"""An answer as it comes: plain text, or, at a terminal, rendered, with the thoughts dimmed."""

from __future__ import annotations

import sys
from time import perf_counter
from typing import Protocol

from pyllama.commands import output
from pyllama.commands.live_text import Line, LiveText
from pyllama.commands.report import visible
from pyllama.commands.terminal import terminal_size
from pyllama.conversation import Channel, Piece, Prompt

_PERIOD = 1 / 25
"""Seconds between two looks at what has come, at least: eyes are not quicker."""

_SHARE = 5
"""And at least so many times what the last look took, so that the model has most of the time."""

_LONG = 256
"""Tokens of a prompt from which on it is said that it is being read."""


class View(Protocol):
    """Where the pieces of an answer go."""

    def begin(self, prompt: Prompt, /) -> None:
        """Before the prompt is evaluated."""

    def add(self, piece: Piece) -> None:
        """Some more of the answer."""

    def end(self) -> None:
        """After the last piece, or after what ended the answer early."""


class PlainView:
    """The answer on stdout, and one newline after it; the thoughts, if they shall be seen, on
    stderr. Nothing but text on both.
    """

    def __init__(self, *, reasoning: bool) -> None:
        self._reasoning = reasoning
        self._channel = Channel.ANSWER

    def begin(self, _prompt: Prompt) -> None:
        """There is nothing to say."""
        self._channel = Channel.ANSWER

    def add(self, piece: Piece) -> None:
        """Write the text where it belongs."""
        if piece.channel is Channel.ANSWER:
            self._leave_thoughts()
            output.write(piece.text)
        elif self._reasoning and sys.stderr is not None:
            print(piece.text, end="", file=sys.stderr, flush=True)
        self._channel = piece.channel

    def end(self) -> None:
        """Write the newline."""
        self._leave_thoughts()
        output.write("\n")

    def _leave_thoughts(self) -> None:
        if self._channel is Channel.REASONING and self._reasoning:
            output.tell("")


class _Part(Protocol):
    """What shows one stretch of an answer, in one channel."""

    def add(self, text: str, /) -> None: ...

    def close(self) -> None: ...


class TerminalView:
    """The answer at a terminal: it stands at the beginning of a line when it begins and ends."""

    def __init__(self, *, markdown: bool, reasoning: bool, colours: bool) -> None:
        """``reasoning``: thoughts are shown; otherwise only that there are some."""
        self._markdown, self._reasoning, self._colours = markdown, reasoning, colours
        self._live = LiveText(output.write, terminal_size)
        self._channel: Channel | None = None
        self._part: _Part | None = None

    def begin(self, prompt: Prompt) -> None:
        """Say that a long prompt is being read."""
        new = len(prompt.tokens) - prompt.reused
        if new >= _LONG:
            self._live.update((), [_dim(f"reading {new:,} tokens ...")])

    def add(self, piece: Piece) -> None:
        """Show a piece."""
        if piece.channel is not self._channel:
            self._close()
            self._channel, self._part = piece.channel, self._open(piece.channel)
        assert self._part is not None
        self._part.add(visible(piece.text))

    def end(self) -> None:
        """Show what is left."""
        self._close()
        self._channel = None

    def _open(self, channel: Channel) -> _Part:
        if channel is Channel.ANSWER:
            return _Rendered(self._live, self._colours) if self._markdown else _Text()
        return _Thoughts() if self._reasoning else _Folded(self._live)

    def _close(self) -> None:
        if self._part is None:
            self._live.update(())
        else:
            self._part.close()
        self._part = None


class _Rendered:
    """Markdown."""

    def __init__(self, live: LiveText, colours: bool) -> None:
        from pyllama.commands.markdown import MarkdownStream

        self._live, self._stream = live, MarkdownStream(colours=colours)
        self._due = 0.0

    def add(self, text: str) -> None:
        self._stream.push(text)
        now = perf_counter()
        if now >= self._due:
            self._live.update(*self._stream.update(terminal_size().columns))
            self._due = now + max(_PERIOD, _SHARE * (perf_counter() - now))

    def close(self) -> None:
        self._live.update(self._stream.finish(terminal_size().columns))


class _Text:
    """Text as the model writes it."""

    def __init__(self) -> None:
        self._ends_line = True

    def add(self, text: str) -> None:
        output.write(text)
        self._ends_line = text.endswith("\n")

    def close(self) -> None:
        if not self._ends_line:
            output.write("\n")


class _Thoughts(_Text):
    """The same, dimmed."""

    def __init__(self) -> None:
        super().__init__()
        output.write("\x1b[2m[Start thinking]\n")

    def close(self) -> None:
        super().close()
        output.write("[End thinking]\x1b[0m\n\n")


class _Folded:
    """How long the model has been thinking."""

    def __init__(self, live: LiveText) -> None:
        self._live, self._started, self._shown = live, perf_counter(), -1.0

    def add(self, _text: str) -> None:
        if perf_counter() - self._shown >= 1:
            self._shown = perf_counter()
            self._live.update((), [_dim(f"thinking ... {self._seconds:.0f} s")])

    def close(self) -> None:
        folded = _dim(f"thought for {self._seconds:.1f} s (/reasoning shows it)")
        self._live.update([folded, Line("", 0)])

    @property
    def _seconds(self) -> float:
        return perf_counter() - self._started


def _dim(text: str) -> Line:
    return Line(f"\x1b[2m{text}\x1b[0m", len(text))
