"""A line on stderr that says what is being done.

At a terminal one line that is written anew each time; elsewhere, where it was asked for, a line for
each step. It needs no more than a carriage return, and blanks where the old line was longer.
"""

from __future__ import annotations

import shutil
import sys


class StatusLine:
    """The line; ``is_shown`` says whether there is one at all."""

    def __init__(self, wanted: bool | None = None) -> None:
        """wanted: None shows it where stderr is a terminal."""
        self._is_terminal = sys.stderr is not None and sys.stderr.isatty()
        self.is_shown = sys.stderr is not None and (self._is_terminal if wanted is None else wanted)
        self._width = 0

    def write(self, text: str) -> None:
        """Say something else, where it is shown."""
        if not self.is_shown:
            return
        if not self._is_terminal:
            print(text, file=sys.stderr, flush=True)
            return
        text = text[: shutil.get_terminal_size().columns - 1]
        print("\r" + text.ljust(self._width), end="", file=sys.stderr, flush=True)
        self._width = len(text)

    def clear(self) -> None:
        """Take the line away: something else is about to be written, or this is the end."""
        if self._width:
            print("\r" + " " * self._width + "\r", end="", file=sys.stderr, flush=True)
            self._width = 0


def pace(tokens: float, seconds: float, left: float) -> str:
    """For people: ``153.2 tokens per second, 3 min 20 s left``; seconds that passed and remain."""
    return f"{tokens / seconds:.1f} tokens per second, {duration(left)} left"


def spent(tokens: float, seconds: float, peak_bytes: int | None) -> str:
    """For people: what is said of a work that is done, and of its memory where that is known."""
    text = f"{tokens:.0f} tokens in {seconds:.2f} s, {tokens / seconds:.2f} tokens per second"
    memory = "" if peak_bytes is None else f", peak memory {peak_bytes / 2**20:.0f} MiB"
    return text + memory


def duration(seconds: float) -> str:
    """For people: ``3 min 20 s``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
