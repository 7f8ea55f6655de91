"""From ids back to bytes and text."""

from __future__ import annotations

import re
from codecs import getincrementaldecoder
from collections.abc import Callable

from pyllama.tokenizers.bytelevel import to_bytes
from pyllama.tokenizers.vocabulary import INVISIBLE, TokenType, Vocabulary
from pyllama.tokenizers.words import SPACE

_VERBATIM = INVISIBLE | {TokenType.USER_DEFINED}
_SPACE_CLEANING = ((" (?=[?!.,])", ""), (" ' ", "'"), (" (?='(?:[sm]|re|ve))", ""))


class Pieces:
    """The bytes that each token stands for."""

    def __init__(self, vocabulary: Vocabulary, *, byte_level: bool) -> None:
        """``byte_level``: ordinary tokens are spelled as GPT-2 spells bytes."""
        self._vocabulary = vocabulary
        self._spelling = to_bytes if byte_level else _unescaped

    def piece(self, token: int, *, special: bool) -> bytes:
        """The bytes of a token in range; control and unknown tokens are empty unless ``special``.

        Unused and undefined tokens are always empty.
        """
        kind, text = self._vocabulary.types[token], self._vocabulary.texts[token]
        if kind == TokenType.NORMAL:
            return self._spelling(text)
        if kind in _VERBATIM:
            visible = special or kind == TokenType.USER_DEFINED
            return text.encode("utf-8", "surrogateescape") if visible else b""
        return bytes([int(text[3:5], 16)]) if kind == TokenType.BYTE else b""


class StreamDecoder:
    """Turns ids into text one by one, holding back the beginning of an unfinished character.

    Bytes that are no UTF-8 come out as U+FFFD. The pieces are not changed: a first word keeps the
    space before it, because a stream usually continues a text.
    """

    def __init__(self, piece: Callable[[int], bytes]) -> None:
        self._piece = piece
        self._decoder = getincrementaldecoder("utf-8")("replace")
        self._is_between = True  # characters
        self._whole: dict[int, str] = {}

    def push(self, token: int) -> str:
        """The text that ``token`` completes, often empty."""
        if self._is_between and token in self._whole:
            return self._whole[token]
        was_between = self._is_between
        text = self._decoder.decode(self._piece(token))
        self._is_between = not self._decoder.getstate()[0]
        if was_between and self._is_between:
            self._whole[token] = text
        return text

    def finish(self) -> str:
        """What is left of an unfinished character: U+FFFD or nothing. The decoder starts anew."""
        rest = self._decoder.decode(b"", final=True)
        self._decoder.reset()
        self._is_between = True
        return rest


def clean_spaces(text: str) -> str:
    """``text`` without the spaces before punctuation and English contractions."""
    for pattern, replacement in _SPACE_CLEANING:
        text = re.sub(pattern, replacement, text)
    return text


def _unescaped(text: str) -> bytes:
    return text.replace(SPACE, " ").encode("utf-8", "surrogateescape")
