"""GPT-2's BPE (``tokenizer.ggml.model`` = ``gpt2`` or ``gemma4``): merges ranked by pair.

A pre-tokenizer cuts the text into pieces; the merges join the characters of each piece. Exactly
the ids of llama.cpp.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

from pyllama.tokenizers.bytelevel import to_characters
from pyllama.tokenizers.merging import merge
from pyllama.tokenizers.pretokenizers import PreTokenizer
from pyllama.tokenizers.vocabulary import TokenType, Vocabulary
from pyllama.tokenizers.words import SPACE, remember_words, word_splitter


class BpeEncoder:
    """Encodes text that holds no special tokens."""

    def __init__(self, vocabulary: Vocabulary, merges: Sequence[str], rules: PreTokenizer) -> None:
        """``merges``: ``"left right"``, the best first; of equal ones the first counts."""
        self._vocabulary = vocabulary
        last = len(merges) - 1
        self._ranks = dict(zip(reversed(merges), range(last, -1, -1), strict=True))
        self._rules = rules
        self._byte_ids = () if rules.byte_level else vocabulary.byte_ids()
        self._encode_piece = remember_words(self._merge_piece)

    def encode(self, text: str) -> list[int]:
        """The ids of ``text``."""
        if self._rules.escape_spaces:
            text = text.replace(" ", SPACE)
        ids: list[int] = []
        for piece in self._split(text):
            ids += self._encode_piece(piece)
        return ids

    @cached_property
    def _split(self) -> Callable[[str], list[str]]:
        split = self._rules.splitter()
        if not self._rules.escape_spaces:
            return split
        split_words = word_splitter(pair.replace(" ", "") for pair in self._ranks)
        return lambda text: [word for piece in split(text) for word in split_words(piece)]

    def _merge_piece(self, piece: str) -> tuple[int, ...]:
        spelled = to_characters(piece) if self._rules.byte_level else piece
        whole = self._whole(spelled)
        if whole is not None:
            return (whole,)
        ids: list[int] = []
        for symbol in merge(list(spelled), self._ranks, " "):
            token = self._vocabulary.ids.get(symbol)
            ids += self._fallback(symbol) if token is None else (token,)
        return tuple(ids)

    def _whole(self, spelled: str) -> int | None:
        """The token that a piece is without any merging."""
        newlines = self._rules.whole_newlines and not spelled.strip("\n")
        if not (self._rules.ignore_merges or newlines):
            return None
        token = self._vocabulary.ids.get(spelled)
        normal = token is not None and self._vocabulary.types[token] == TokenType.NORMAL
        return token if normal else None

    def _fallback(self, symbol: str) -> list[int]:
        """The parts of a symbol that is no token, as far as they are tokens; the rest is lost."""
        if self._rules.byte_level:
            parts = [self._vocabulary.ids.get(character) for character in symbol]
        else:
            parts = [self._byte_ids[byte] for byte in symbol.encode()]
        return [token for token in parts if token is not None]
