"""SentencePiece's BPE (``tokenizer.ggml.model`` = ``llama``): merges ranked by the result's score.

Exactly the ids of SentencePiece and, apart from two differences, of llama.cpp: text never becomes
a control token by merging, and a lone surrogate counts as U+FFFD.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyllama.tokenizers.merging import merge
from pyllama.tokenizers.vocabulary import TokenType, Vocabulary
from pyllama.tokenizers.words import SPACE, fuse, remember_words, word_splitter

_MERGED = frozenset({TokenType.NORMAL, TokenType.USER_DEFINED, TokenType.UNUSED})


class SpmEncoder:
    """Encodes text that holds no special tokens."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        scores: Sequence[float],
        *,
        space_prefix: bool,
        unknown: int | None,
    ) -> None:
        """``scores``: the higher, the sooner; ``unknown`` stands for what no token covers."""
        self._ids = vocabulary.ids
        self._ranks = {
            text: -score
            for text, score, kind in zip(vocabulary.texts, scores, vocabulary.types, strict=True)
            if kind in _MERGED
        }
        self._byte_ids = vocabulary.byte_ids()
        self._prefix = SPACE if space_prefix else ""
        self._unknown = unknown
        self._split = word_splitter(self._ranks)
        self._encode_word = remember_words(self._merge_word)

    def encode(self, text: str) -> list[int]:
        """The ids of ``text``, which is not empty."""
        ids: list[int] = []
        for word in self._split(self._prefix + text.replace(" ", SPACE)):
            ids += self._encode_word(word)
        return fuse(ids, self._unknown)

    def _merge_word(self, word: str) -> tuple[int, ...]:
        ids: list[int] = []
        for symbol in merge(list(word), self._ranks, ""):
            ids += (self._ids[symbol],) if symbol in self._ranks else self._fallback(symbol)
        return tuple(ids)

    def _fallback(self, character: str) -> tuple[int, ...]:
        """The bytes of a character that is no token, or the unknown token."""
        ids = [self._byte_ids[byte] for byte in character.encode()]
        known = tuple(i for i in ids if i is not None)
        if len(known) == len(ids):
            return known
        return () if self._unknown is None else (self._unknown,)
