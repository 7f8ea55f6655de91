"""Text that grows: the screen is right after every step, and little is written over."""

from __future__ import annotations

import random

import pyte
import pytest

from pyllama.commands.live_text import Line, LiveText, Size


class Screen:
    """A terminal, and all that was written to it."""

    def __init__(self, columns: int, rows: int) -> None:
        self.screen = pyte.HistoryScreen(columns, rows, history=1000)
        self.screen.set_mode(pyte.modes.LNM)
        self._stream = pyte.Stream(self.screen)
        self.written: list[str] = []

    def write(self, text: str) -> None:
        self.written.append(text)
        self._stream.feed(text)

    def size(self) -> Size:
        return Size(self.screen.columns, self.screen.lines)

    @property
    def lines(self) -> list[str]:
        past = ["".join(line[n].data for n in sorted(line)) for line in self.screen.history.top]
        lines = [line.rstrip() for line in (*past, *self.screen.display)]
        while lines and not lines[-1]:
            lines.pop()
        return lines


def line(text: str) -> Line:
    return Line(text, len(text))


@pytest.mark.parametrize("rows", [4, 10, 40])
def test_what_is_done_stays_and_the_tail_changes(rows: int) -> None:
    draw = random.Random(rows)
    screen = Screen(20, rows)
    live = LiveText(screen.write, screen.size)
    expected: list[str] = []
    for step in range(200):
        done = [line(f"{step} done {n}") for n in range(draw.choice([0, 0, 0, 1, 3]))]
        tail = [line("~" * draw.randrange(1, 20)) for n in range(draw.randrange(0, 6))]
        live.update(done, tail)
        expected += [text.text for text in done]
        shown = [text.text for text in tail[-(rows - 1) :]]
        assert screen.lines == expected + shown
    live.update(())
    assert screen.lines == expected
    assert screen.screen.cursor.x == 0


def test_only_what_changed_is_written() -> None:
    screen = Screen(40, 10)
    live = LiveText(screen.write, screen.size)
    first, second = line("the first line"), line("the second")
    live.update((), [first, second])
    screen.written.clear()
    live.update((), [first, second])
    assert screen.written == []
    live.update((), [first, line("the second line")])
    assert "first" not in "".join(screen.written)
    screen.written.clear()
    live.update([first], [line("the second line")])
    assert screen.written == [], "what was in the tail is already where it belongs"
    live.update([line("the second line")])
    assert screen.written == ["\n"]


def test_each_update_is_written_in_one_piece() -> None:
    screen = Screen(40, 10)
    live = LiveText(screen.write, screen.size)
    for n in range(5):
        live.update([line(f"done {n}")], [line("tail"), line(f"tail {n}")])
    assert len(screen.written) == 5


def test_a_long_line_and_a_window_that_became_narrower() -> None:
    """The terminal wraps the tail; all of its rows are then written over."""
    screen = Screen(20, 12)
    live = LiveText(screen.write, screen.size)
    live.update([line("above")], [line("x" * 30)])
    assert screen.lines == ["above", "x" * 20, "x" * 10]
    live.update((), [line("y" * 15), line("z")])
    assert screen.lines == ["above", "y" * 15, "z"]
    narrow = Screen(10, 12)  # as a terminal that reflows shows the same
    narrow.write("above\n" + "y" * 15 + "\nz")
    live._write, live._size = narrow.write, narrow.size
    live.update([line("done")])
    assert narrow.lines == ["above", "done"]
