"""Tables and JSON for the result of a command: plain text, the same on a terminal as in a pipe."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from typing import Any

_GAP = "  "

# A file's text must not steer a terminal, and half a surrogate pair is no text.
_ESCAPES: dict[int, str] = {code: f"\\u{code:04x}" for code in range(0x7F, 0xA0)}
_ESCAPES |= dict.fromkeys(range(0xD800, 0xE000), "\\ufffd")


def table(titles: Sequence[str], rows: Iterable[Sequence[str]], right: Collection[str] = ()) -> str:
    """Lines of columns under their titles; those named in ``right`` are aligned to the right."""
    lines = [list(titles), *([printable(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    to_right = [title in right for title in titles]
    return "".join(_line(line, widths, to_right) for line in lines)


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """A line each: name and value."""
    named = list(pairs)
    width = max((len(name) for name, _ in named), default=0)
    return "".join(f"{name.ljust(width)}{_GAP}{printable(value)}\n" for name, value in named)


def printable(text: str) -> str:
    """The text in one line, with nothing that could steer a terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def visible(text: str) -> str:
    """The text with its lines and tabs, but with nothing else that could steer a terminal."""
    return text.translate(_VISIBLE)


_STEERING = {*range(0x20), *range(0x7F, 0xA0)} - {ord("\t"), ord("\n")}
_VISIBLE = {code: chr(code).encode("unicode_escape").decode() for code in _STEERING}
_VISIBLE[ord("\r")] = ""


def to_json(document: dict[str, Any]) -> str:
    """One line of JSON (RFC 8259). ValueError for numbers that it does not have: inf and nan."""
    text = json.dumps(document, ensure_ascii=False, allow_nan=False)
    return text.translate(_ESCAPES) + "\n"


def shape_text(shape: Sequence[int]) -> str:
    """A shape in NumPy's order as GGUF writes it, the row first: ``64 x 32``."""
    return " x ".join(map(str, reversed(shape))) or "1"


def size_text(n_bytes: float) -> str:
    """A size for people: ``1.25 GiB``."""
    unit = 0
    while n_bytes >= 1024 and unit < len(_UNITS) - 1:
        n_bytes, unit = n_bytes / 1024, unit + 1
    return f"{n_bytes:.2f} {_UNITS[unit]}" if unit else f"{n_bytes:.0f} bytes"


_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


def _line(cells: Sequence[str], widths: Sequence[int], to_right: Sequence[bool]) -> str:
    padded = (
        cell.rjust(width) if right else cell.ljust(width)
        for cell, width, right in zip(cells, widths, to_right, strict=True)
    )
    return _GAP.join(padded).rstrip() + "\n"
