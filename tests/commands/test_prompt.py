"""Where the prompt comes from: escapes, the newline at a file's end, and bytes that are no text."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from pyllama.commands.prompt import Prompt, read_prompt, unescape
from pyllama.errors import FileError, PromptError, UsageError


class Stdin(io.TextIOWrapper):
    def __init__(self, data: bytes, *, terminal: bool = False) -> None:
        super().__init__(io.BytesIO(data), encoding="ascii")
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (rb"a\nb\r\t", b"a\nb\r\t"),
        (rb"\'\"\\", b"'\"\\"),
        (rb"\\n", rb"\n"),
        (rb"\x41\x0a\xC3\xa9", b"A\n\xc3\xa9"),
        (rb"\x4 \xg1 \q \0 \u0041", rb"\x4 \xg1 \q \0 \u0041"),
        (b"end\\", b"end\\"),
        (rb"\x411", b"A1"),
    ],
)
def test_escapes(written: bytes, meant: bytes) -> None:
    assert unescape(written) == meant


def test_from_the_command_line() -> None:
    assert read_prompt("a\\tb\n", None, escape=True) == Prompt("a\tb\n", "-p")
    assert read_prompt("a\\tb", None, escape=False) == Prompt("a\\tb", "-p")
    assert read_prompt(r"\xc3\xa9", None, escape=True).text == "é"
    assert read_prompt("", None, escape=True).text == ""


@pytest.mark.parametrize(
    ("data", "text"),
    [(b"a\n", "a"), (b"a\n\n", "a\n"), (b"a", "a"), (b"", ""), (b"\n", ""), (b"a\r\n", "a\r")],
)
def test_one_newline_at_the_end_of_a_file_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes, text: str
) -> None:
    path = tmp_path / "prompt.txt"
    path.write_bytes(data)
    assert read_prompt(None, path, escape=True) == Prompt(text, str(path))
    monkeypatch.setattr(sys, "stdin", Stdin(data))
    assert read_prompt(None, None, escape=True) == Prompt(text, "standard input")


def test_a_written_newline_at_the_end_stays(tmp_path: Path) -> None:
    path = tmp_path / "prompt.txt"
    path.write_bytes(b"a\\n\n")
    assert read_prompt(None, path, escape=True).text == "a\n"


def test_bytes_that_are_no_utf8_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "prompt.txt"
    path.write_bytes(b"na\xefve\n")
    with pytest.raises(PromptError, match=r"prompt\.txt: not UTF-8 at byte 2 \(0xef\); convert"):
        read_prompt(None, path, escape=True)
    monkeypatch.setattr(sys, "stdin", Stdin(b"\xff"))
    with pytest.raises(PromptError, match=r"standard input: not UTF-8 at byte 0"):
        read_prompt(None, None, escape=True)
    with pytest.raises(PromptError, match=r"-p: not UTF-8 at byte 1 \(0xe9\)"):
        read_prompt("x\udce9", None, escape=True)
    with pytest.raises(PromptError, match=r"-p, escapes replaced: not UTF-8 at byte 1"):
        read_prompt(r"x\xff", None, escape=True)


def test_no_prompt_or_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"-p and -f"):
        read_prompt("a", tmp_path, escape=True)
    for stdin in (Stdin(b"", terminal=True), None):
        monkeypatch.setattr(sys, "stdin", stdin)
        with pytest.raises(UsageError, match="give -p TEXT, -f FILE"):
            read_prompt(None, None, escape=True)


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no such file"):
        read_prompt(None, tmp_path / "absent", escape=True)
    with pytest.raises(FileError, match="directory"):
        read_prompt(None, tmp_path, escape=True)
