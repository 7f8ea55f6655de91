"""How large the result of one operation will be, before the operation runs.

Most operations make something about as large as what they are given, and it is enough to weigh
their result. These here can make much more out of little (``"a" * 10**12``), or take time with the
product of two lengths. Each guard takes what its operation takes and returns bytes, or raises
``LimitError``. A guard may be given nonsense: it then fails as the operation itself would.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sized

from pyllama.templates.limits import LimitError, Meter

Guard = Callable[..., int]

_CHARACTER = 4  # bytes of the widest
_PIECE = 64  # bytes of a short string
_WIDEST = 1000  # columns, in any kind of padding
_LONGEST_SEARCH = 1 << 30  # product of two lengths
_MOST_BITS = 4096

_SPACES = " \n\t\r\v\f"
_LINE_ENDS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"

_PERCENT = re.compile(r"%(?:\([^()]*\))?[-#0 +]*(\*|\d*)(?:\.(\*|\d*))?")
_NESTED_KEY = re.compile(r"%\([^()]*\(")
_DIGITS = re.compile(r"\d+")


def columns(width: object) -> int:
    """``width``, if it is one that someone can want; 0 if it is no number."""
    if isinstance(width, int) and abs(width) > _WIDEST:
        raise LimitError(f"it wanted a width or precision of more than {_WIDEST} characters")
    return width if isinstance(width, int) else 0


def specification(text: str) -> None:
    """Check the widths in a format specification such as ``>20.3f``."""
    for digits in _DIGITS.findall(text):
        columns(int(digits[:9]))


def _padded(text: str, width: object = 0, *_: object) -> int:
    return _CHARACTER * (len(text) + columns(width))


def _expanded(text: str, tabsize: object = 8) -> int:
    return _CHARACTER * (len(text) + text.count("\t") * columns(tabsize))


def _replaced(text: str, old: str, new: str, count: object = None) -> int:
    hits = text.count(old)
    if isinstance(count, int) and count >= 0:
        hits = min(hits, count)
    return _CHARACTER * (len(text) + hits * len(new))


def _split(text: str, sep: str | None = None, *_: object, **__: object) -> int:
    return _pieces(text, (sep,) if sep else _SPACES)


def _split_lines(text: str, *_: object, **__: object) -> int:
    return _pieces(text, _LINE_ENDS)


def _pieces(text: str, separators: Iterable[str]) -> int:
    count = 1 + sum(text.count(separator) for separator in separators)
    return _CHARACTER * len(text) + _PIECE * count


def _searched(text: str, chars: str | None = None, *_: object) -> int:
    """From the right, and for a set of characters, Python searches in the product of lengths."""
    if len(text) * len(chars or "") > _LONGEST_SEARCH:
        raise LimitError("it searched a long text for a long text, backwards")
    return 0


def _split_right(text: str, sep: str | None = None, *_: object, **__: object) -> int:
    return _searched(text, sep) + _split(text, sep)


TEXT_METHODS: dict[str, Guard] = {
    "center": _padded,
    "expandtabs": _expanded,
    "ljust": _padded,
    "lstrip": _searched,
    "replace": _replaced,
    "rfind": _searched,
    "rindex": _searched,
    "rjust": _padded,
    "rpartition": _searched,
    "rsplit": _split_right,
    "rstrip": _searched,
    "split": _split,
    "splitlines": _split_lines,
    "strip": _searched,
    "zfill": _padded,
}
"""Guards for the methods of strings by name; they take the string first."""


def joined(meter: Meter, glue: str, items: Iterable[object]) -> int:
    """Bytes of ``glue.join(items)``; ``items`` can be gone through twice."""
    count = len(items) if isinstance(items, Sized) else 0
    return meter.weigh(items) + _CHARACTER * len(glue) * count


def percent(meter: Meter, text: str, arguments: object) -> int:
    """Bytes of ``text % arguments``."""
    if _NESTED_KEY.search(text):
        raise LimitError("it has a format with brackets in brackets")
    for match in _PERCENT.finditer(text):
        for size in match.groups(""):
            if size == "*":
                raise LimitError("it has a format whose width is a variable")
            columns(int(size[:9] or 0))
    return _CHARACTER * len(text) + text.count("%") * (meter.weigh(arguments) + _WIDEST)


def operator(meter: Meter, symbol: str, left: object, right: object) -> int:
    """Bytes of ``left symbol right`` for ``+ - * / // % **``."""
    if isinstance(left, int) and isinstance(right, int):
        bits = left.bit_length() * (abs(right) if symbol == "**" else 2)
        if max(bits, right.bit_length()) > _MOST_BITS:
            raise LimitError("it calculated with a huge number")
        return 0
    if symbol == "*":
        return _repeated(left, right) or _repeated(right, left)
    if symbol == "%" and isinstance(left, str):
        return percent(meter, left, right)
    return 0


def _repeated(value: object, times: object) -> int:
    if not isinstance(times, int) or not isinstance(value, str | list | tuple):
        return 0
    return max(times, 0) * len(value) * (_CHARACTER if isinstance(value, str) else 8)
