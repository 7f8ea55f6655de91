"""Where the user's messages come from: lines of stdin, or a line that is edited at a terminal."""

from __future__ import annotations

import os
import sys
from typing import Protocol

from pyllama.commands import output
from pyllama.commands.chat_options import DisplayOptions
from pyllama.commands.prompt import decode
from pyllama.commands.terminal import is_typed

PROMPT = "> "


class Lines(Protocol):
    """Messages, one after the other."""

    def read(self, default: str = "") -> str | None:
        """The next one, perhaps of several lines; None when there are no more.

        default: what can be edited instead of beginning with nothing. Raises KeyboardInterrupt
        where the user has enough.
        """


def open_lines(display: DisplayOptions, *, edits: bool, keeps: bool) -> Lines:
    """Where the messages come from.

    edits: there are some to be typed; keeps: what is typed is there in later chats, too. Raises
    FileError where it cannot be kept.
    """
    shown = any(stream is not None and stream.isatty() for stream in (sys.stdout, sys.stderr))
    is_plain = display.simple_io or os.environ.get("TERM") == "dumb"
    if is_plain or not (edits and is_typed() and shown):
        return PlainLines()
    from pyllama.commands.chat_commands import complete
    from pyllama.commands.chat_editor import Editor
    from pyllama.conversation.places import private_file, state_directory

    history = private_file(state_directory() / "history") if keeps else None
    return Editor(history, complete, colours=display.is_coloured)


class PlainLines:
    """Lines of stdin: one message each, unless a backslash at the end joins it with the next."""

    def __init__(self) -> None:
        self._number = 0

    def read(self, default: str = "") -> str | None:
        """The next message; PromptError, with the line's number, for one that is not UTF-8."""
        if sys.stdin is None:
            return None
        if default and is_typed():
            output.tell(f"was: {default}")
        parts: list[str] = []
        while (line := self._line()) is not None:
            parts.append(line.removesuffix("\\"))
            if not line.endswith("\\"):
                break
        return "\n".join(parts) if parts else None

    def _line(self) -> str | None:
        if is_typed():
            print(PROMPT, end="", file=sys.stderr, flush=True)
        data = sys.stdin.buffer.readline()
        self._number += 1
        if not data:
            return None
        return decode(data.rstrip(b"\r\n"), f"line {self._number} of standard input")
