"""Lists of values as llama-bench reads them: ``16,32``, ranges, options given several times.

first-last          every number
first-last+step     in steps
first-last*factor   in multiples
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pyllama.errors import UsageError

MAX_NUMBER = 2**31 - 1
MAX_VALUES = 10_000

_RANGE = re.compile(r"(\d+)(?:-(\d+)(?:([+*])(\d+))?)?", re.ASCII)


def numbers(name: str, given: Sequence[str] | None) -> tuple[int, ...] | None:
    """All numbers that an option was given; None where it was not. UsageError for what is none."""
    if given is None:
        return None
    found: list[int] = []
    for text in given:
        for item in text.split(","):
            for number in _range(name, item):
                found.append(number)
                if len(found) > MAX_VALUES:
                    raise UsageError(f"{name} {text}: at most {MAX_VALUES} values are possible")
    return tuple(found)


def pairs(name: str, given: Sequence[str] | None) -> tuple[tuple[int, int], ...]:
    """Pairs ``512,128``, one for each time that the option was given. UsageError for others."""
    found = []
    for text in given or ():
        both = [_number(item) for item in text.split(",")]
        if len(both) != 2 or None in both:
            raise _invalid(name, text, "give two numbers: 512,128")
        found.append((both[0] or 0, both[1] or 0))
    return tuple(found)


def words(given: Sequence[str] | None) -> tuple[str, ...] | None:
    """All words that an option was given; None where it was not."""
    return None if given is None else tuple(item for text in given for item in text.split(","))


def _range(name: str, text: str) -> Iterator[int]:
    match = _RANGE.fullmatch(text)
    if match is None:
        raise _invalid(name, text, "give numbers and ranges: 16,64-512*2,1024")
    first, last, operator, step = match.groups("")
    number, end, size = _number(first), _number(last or first), _number(step or "1")
    if number is None or end is None or size is None:
        raise _invalid(name, text, f"numbers may be at most {MAX_NUMBER}")
    while number <= end:
        yield number
        following = number * size if operator == "*" else number + size
        if following <= number:
            raise _invalid(name, text, "the range does not grow")
        number = following


def _number(text: str) -> int | None:
    is_number = text.isascii() and text.isdigit() and len(text) <= len(str(MAX_NUMBER))
    return int(text) if is_number and int(text) <= MAX_NUMBER else None


def _invalid(name: str, text: str, remedy: str) -> UsageError:
    return UsageError(f"invalid parameter for argument: {name} {text}; {remedy}")
