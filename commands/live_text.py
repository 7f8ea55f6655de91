"""Text at a terminal that grows without flicker.

What is done is written once and never touched again: it scrolls away as any text does. Only the
tail, which may still change, is written anew, from its first line that did change, in one piece.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple


class Line(NamedTuple):
    """A line with its styles, and how many cells of the terminal it covers."""

    text: str
    cells: int


class Size(NamedTuple):
    """Of a terminal, in cells."""

    columns: int
    rows: int


_ERASE_BELOW = "\x1b[J"


class LiveText:
    """Lines at the cursor, of which the last ones change.

    Behind the tail the cursor stands at the end of its last line; where there is none, at the
    beginning of a line.
    """

    def __init__(self, write: Callable[[str], None], size: Callable[[], Size]) -> None:
        """``size`` is asked each time: people drag windows, and a terminal that became narrower
        has wrapped the tail by then.
        """
        self._write, self._size = write, size
        self._tail: Sequence[Line] = ()

    def update(self, done: Sequence[Line], tail: Sequence[Line] = ()) -> None:
        """Show ``done`` for good in the place of the tail, and a new tail behind it.

        Of a tail that is higher than the terminal only the end is shown.
        """
        size = self._size()
        tail = _end(tail, size)
        old, new = self._tail, [*done, *tail]
        pairs = zip(old, new, strict=False)
        same = next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(old), len(new)))
        parts = []
        if same < len(old):
            up = sum(_rows(line, size) for line in old[same:]) - 1
            parts.append((f"\x1b[{up}A" if up else "") + "\r" + _ERASE_BELOW)
        elif old and same < len(new):
            parts.append("\n")
        parts.append("\n".join(line.text for line in new[same:]))
        if done and not tail:
            parts.append("\n")
        self._tail = tail
        if text := "".join(parts):
            self._write(text)


def _rows(line: Line, size: Size) -> int:
    return max(1, -(-line.cells // size.columns))


def _end(lines: Sequence[Line], size: Size) -> Sequence[Line]:
    """As many of the last lines as leave a row free."""
    room = size.rows - 1
    for start in reversed(range(len(lines))):
        room -= _rows(lines[start], size)
        if room < 0:
            return lines[start + 1 :]
    return lines
