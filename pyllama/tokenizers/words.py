"""Cuts text at the spaces that no merge can bridge, so that each word is worked out only once.

In a SentencePiece vocabulary a space is U+2581, and almost always begins a token. Where no token
contains "x" followed by a space, the two sides of "x | space" never meet in a merge, and can be
tokenized apart with exactly the same result.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

SPACE = "\u2581"
_INNER_SPACE = re.compile(f"([^{SPACE}]){SPACE}")
CACHED_WORDS = 1 << 15
CACHED_LENGTH = 64  # longer words hardly come back


def word_splitter(merged: Iterable[str]) -> Callable[[str], list[str]]:
    """A function that cuts text into words; ``merged``: every text that a merge can make."""
    bridged = {
        before
        for text in merged
        if SPACE in text.lstrip(SPACE)
        for before in _INNER_SPACE.findall(text)
    }
    unbridged = f"[^{SPACE}{re.escape(''.join(sorted(bridged)))}]"
    return re.compile(f"(?<={unbridged})(?={SPACE})").split


def remember_words(encode: Callable[[str], tuple[int, ...]]) -> Callable[[str], tuple[int, ...]]:
    """The same function with a bounded memory of short words; safe to share between threads."""
    remembered = lru_cache(CACHED_WORDS)(encode)
    return lambda word: remembered(word) if len(word) <= CACHED_LENGTH else encode(word)


def fuse(ids: list[int], unknown: int | None) -> list[int]:
    """Each run of the unknown token as one, which is how SentencePiece counts it."""
    if unknown not in ids:
        return ids
    return [token for i, token in enumerate(ids) if token != unknown or ids[i - 1 : i] != [token]]
