"""What a benchmark is doing and how long it will take, on stderr.

At a terminal one line that is written anew each time; elsewhere, where it was asked for, a line for
each step. It needs no more than a carriage return, and blanks where the old line was longer.
"""

from __future__ import annotations

import shutil
import sys

from pyllama.bench import Benchmark, Event, Finished, Started
from pyllama.bench.forecast import Forecast


class Progress:
    """Told of every event, it says so."""

    def __init__(self, benchmark: Benchmark, wanted: bool | None) -> None:
        """wanted: None shows it where stderr is a terminal."""
        is_terminal = sys.stderr is not None and sys.stderr.isatty()
        self._is_shown = sys.stderr is not None and (is_terminal if wanted is None else wanted)
        self._is_terminal = is_terminal
        self._forecast = Forecast(benchmark)
        self._width = 0

    def show(self, event: Event) -> None:
        """Say what begins with an event."""
        self._forecast.observe(event)
        if not self._is_shown or isinstance(event, Started | Finished):
            return
        number = f" {event.number}/{event.of}" if event.of > 1 else ""
        text = f"benchmark {event.index}/{event.count}, {event.trial.name}: {event.name}{number}"
        left = self._forecast.seconds_left
        self._write(text if left is None else f"{text}, {_duration(left)} left")

    def clear(self) -> None:
        """Take the line away: something else is about to be written, or this is the end."""
        if self._width:
            print("\r" + " " * self._width + "\r", end="", file=sys.stderr, flush=True)
            self._width = 0

    def _write(self, text: str) -> None:
        if not self._is_terminal:
            print(text, file=sys.stderr, flush=True)
            return
        text = text[: shutil.get_terminal_size().columns - 1]
        print("\r" + text.ljust(self._width), end="", file=sys.stderr, flush=True)
        self._width = len(text)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
