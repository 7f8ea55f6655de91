"""Where a prompt comes from, and its bytes turned into text."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

from pyllama.commands.words import together
from pyllama.errors import FileError, PromptError, UsageError

_ESCAPE = re.compile(rb"""\\(?:([nrt'"\\])|x([0-9A-Fa-f]{2}))""")
_CONTROL = {b"n": b"\n", b"r": b"\r", b"t": b"\t"}


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt, and a name for where it came from."""

    text: str
    source: str


def read_prompt(
    text: str | None, file: Path | None, *, escape: bool, binary_file: Path | None = None
) -> Prompt:
    """The prompt from ``-p``, ``-f`` or ``-bf``, or from stdin where that is not a terminal.

    Of a file and of stdin one newline at the end is dropped, but a binary file is taken as it is,
    escapes included. Raises UsageError where there is no prompt or more than one, FileError for an
    unreadable file, PromptError for bad UTF-8.
    """
    named = {"-p": text, "-f": file, "-bf": binary_file}
    given = [name for name, value in named.items() if value is not None]
    if len(given) > 1:
        raise UsageError(f"{together(given)} give the prompt; leave one of them")
    if binary_file is not None:
        data, source = read_file(binary_file)
        return Prompt(decode(data, source), source)
    if text is not None:
        data, source = argument_bytes(text), "-p"
    else:
        data, source = read_file(file) if file is not None else _read_stdin()
        data = data.removesuffix(b"\n")
    prompt = decode(data, source)
    return Prompt(
        decode(unescape(data), f"{source}, escapes replaced") if escape else prompt, source
    )


def argument_text(text: str, source: str, *, escape: bool) -> str:
    """An option's text, with escapes replaced; PromptError for bad UTF-8."""
    data = argument_bytes(text)
    return decode(unescape(data) if escape else data, source)


def argument_bytes(text: str) -> bytes:
    """The bytes of an argument: those that are no UTF-8 arrive as surrogates."""
    return text.encode("utf-8", "surrogateescape")


def unescape(data: bytes) -> bytes:
    r"""Replace ``\n \r \t \' \" \\`` and ``\xHH`` (a byte); other backslashes stay."""

    def replacement(match: re.Match[bytes]) -> bytes:
        letter, digits = match.groups()
        return bytes.fromhex(digits.decode()) if digits else _CONTROL.get(letter, letter)

    return _ESCAPE.sub(replacement, data)


def decode(data: bytes, source: str) -> str:
    """UTF-8 to text; raises PromptError that names the source and the first bad byte."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        bad = f"byte {error.start} (0x{data[error.start]:02x})"
        raise PromptError(f"{source}: not UTF-8 at {bad}; convert the text to UTF-8") from error


def read_file(path: Path) -> tuple[bytes, str]:
    """The bytes of a file, and its name; FileError where it cannot be read."""
    try:
        return path.read_bytes(), str(path)
    except OSError as error:
        raise FileError.from_os_error(path, error) from error


def _read_stdin() -> tuple[bytes, str]:
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError("no prompt; give -p TEXT, -f FILE, or pipe it to standard input")
    return sys.stdin.buffer.read(), "standard input"
