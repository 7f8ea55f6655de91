"""Programs that take turns, so that a machine whose speed drifts treats them alike."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

Measured = TypeVar("Measured")


class Named(Protocol):
    """Something that takes turns."""

    @property
    def name(self) -> str:
        """What it is called."""


Program = TypeVar("Program", bound=Named)


def take_turns(
    programs: Sequence[Program], run: Callable[[Program], Measured], rounds: int
) -> Iterator[tuple[Measured, ...]]:
    """What ``run`` returns for all programs, round by round; who comes first changes."""
    for number in range(rounds):
        order = programs if number % 2 == 0 else programs[::-1]
        measured = {program.name: run(program) for program in order}
        print(f"round {number + 1} of {rounds} done", file=sys.stderr)
        yield tuple(measured[program.name] for program in programs)


def spread(values: Sequence[float]) -> str:
    """The median, and the least and the greatest."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"
