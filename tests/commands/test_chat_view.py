"""How answers look: plain text without a terminal, and nothing that could steer one with it."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
from test_live_text import Screen

from pyllama.commands import chat_view
from pyllama.commands.chat_view import PlainView, TerminalView, View
from pyllama.conversation import Channel, Piece

THOUGHTS = [Piece(Channel.REASONING, "Hm,\n"), Piece(Channel.REASONING, "well.")]
ANSWER = [Piece(Channel.ANSWER, "**Ye"), Piece(Channel.ANSWER, "s**")]
PROMPT = cast("Any", SimpleNamespace(tokens=[1] * 2000, reused=100))


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Screen]:
    """What stdout and the terminal's size are."""
    screen = Screen(60, 20)
    monkeypatch.setattr("pyllama.commands.output.write", screen.write)
    monkeypatch.setattr(chat_view, "terminal_size", screen.size)
    yield screen
    assert screen.screen.cursor.x == 0, "a view ends at the beginning of a line"


def show(view: View, pieces: Sequence[Piece]) -> None:
    view.begin(PROMPT)
    for piece in pieces:
        view.add(piece)
    view.end()


def test_markdown_and_thoughts(screen: Screen) -> None:
    show(TerminalView(markdown=True, reasoning=True, colours=True), THOUGHTS + ANSWER)
    assert screen.lines == ["[Start thinking]", "Hm,", "well.", "[End thinking]", "", "Yes"]
    written = "".join(screen.written)
    assert "\x1b[2m[Start thinking]" in written
    assert written.index("[End thinking]\x1b[0m") < written.index("\x1b[1mYes")


def test_folded_thoughts(screen: Screen) -> None:
    show(TerminalView(markdown=True, reasoning=False, colours=True), THOUGHTS + ANSWER)
    assert screen.lines[0].startswith("thought for 0.")
    assert screen.lines[1:] == ["", "Yes"]
    assert "thinking ... 0 s" in "".join(screen.written)


def test_text_as_it_is(screen: Screen) -> None:
    view = TerminalView(markdown=False, reasoning=True, colours=True)
    show(view, ANSWER)
    show(view, [Piece(Channel.ANSWER, "a\n")])
    assert screen.lines == ["**Yes**", "a"]


def test_a_long_prompt_is_announced_and_then_forgotten(screen: Screen) -> None:
    view = TerminalView(markdown=True, reasoning=True, colours=True)
    view.begin(PROMPT)
    assert screen.lines == ["reading 1,900 tokens ..."]
    view.end()
    assert screen.lines == []


@pytest.mark.parametrize("markdown", [True, False])
def test_a_model_cannot_steer_the_terminal(screen: Screen, markdown: bool) -> None:
    evil = "a\x1b[2J\x1b]0;title\x07b\r\x9bc\u0000 \x7f"
    view = TerminalView(markdown=markdown, reasoning=True, colours=False)
    show(view, [Piece(Channel.REASONING, evil), Piece(Channel.ANSWER, evil)])
    shown = r"a\x1b[2J\x1b]0;title\x07b\x9bc\x00 \x7f"
    assert screen.lines[1] == shown
    assert screen.lines[-1] == shown


def test_plain_text_separates_answer_and_thoughts(monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = io.BytesIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, write_through=True))
    monkeypatch.setattr(sys, "stderr", err)
    show(PlainView(reasoning=True), THOUGHTS + ANSWER)
    assert (out.getvalue(), err.getvalue()) == (b"**Yes**\n", "Hm,\nwell.\n")
    show(PlainView(reasoning=False), THOUGHTS + ANSWER)
    assert (out.getvalue(), err.getvalue()) == (b"**Yes**\n" * 2, "Hm,\nwell.\n")
