"""What a benchmark is doing and how long it will take, on stderr."""

from __future__ import annotations

from pyllama.bench import Benchmark, Event, Finished, Started
from pyllama.bench.forecast import Forecast
from pyllama.commands.status_line import StatusLine, duration


class Progress:
    """Told of every event, it says so."""

    def __init__(self, benchmark: Benchmark, wanted: bool | None) -> None:
        """wanted: None shows it where stderr is a terminal."""
        self._line = StatusLine(wanted)
        self._forecast = Forecast(benchmark)

    def show(self, event: Event) -> None:
        """Say what begins with an event."""
        self._forecast.observe(event)
        if isinstance(event, Started | Finished):
            return
        number = f" {event.number}/{event.of}" if event.of > 1 else ""
        text = f"benchmark {event.index}/{event.count}, {event.trial.name}: {event.name}{number}"
        left = self._forecast.seconds_left
        self._line.write(text if left is None else f"{text}, {duration(left)} left")

    def clear(self) -> None:
        """Take the line away: something else is about to be written, or this is the end."""
        self._line.clear()
