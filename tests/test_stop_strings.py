"""Stop strings in a stream: found however the text is cut, and nothing of them is shown."""

from __future__ import annotations

import pytest

from pyllama.errors import UsageError
from pyllama.stop_strings import StopStrings

CASES = [
    (["END"], "some text END more", "some text ", "END"),
    (["END"], "EN EEND", "EN E", "END"),
    (["END"], "never EN", "never EN", None),
    (["aab"], "aaab", "a", "aab"),
    (["b", "abc"], "xabd", "xa", "b"),
    (["b", "abc"], "xabc", "x", "abc"),
    (["b", "abc"], "xab", "xa", "b"),
    (["\n\n"], "a\nb\n\nc", "a\nb", "\n\n"),
    ([], "anything", "anything", None),
]


@pytest.mark.parametrize(("strings", "text", "shown", "found"), CASES)
@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_however_the_text_arrives(
    strings: list[str], text: str, shown: str, found: str | None, size: int
) -> None:
    stop = StopStrings(strings)
    seen = ""
    for start in range(0, len(text), size):
        seen += stop.push(text[start : start + size])
        if stop.found:
            break
    seen += stop.finish()
    assert (seen, stop.found) == (shown, found)


def test_text_is_held_back_only_as_long_as_needed() -> None:
    stop = StopStrings(["###"])
    assert [stop.push(piece) for piece in ("a#", "b", "##", "c")] == ["a", "#b", "", "##c"]


def test_an_empty_string_would_be_everywhere() -> None:
    with pytest.raises(UsageError, match="empty"):
        StopStrings(["a", ""])
