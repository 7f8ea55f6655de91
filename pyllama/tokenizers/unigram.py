"""SentencePiece's unigram model (``tokenizer.ggml.model`` = ``t5``).

The tokenization with the highest sum of scores, found by Viterbi's algorithm.
Source: Kudo 2018, "Subword Regularization"; SentencePiece for the details.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from pyllama.tokenizers.charsmap import CharacterMap
from pyllama.tokenizers.vocabulary import TokenType, Vocabulary
from pyllama.tokenizers.words import SPACE, fuse, remember_words, word_splitter

UNKNOWN_PENALTY = 10.0
_USED = frozenset({TokenType.NORMAL, TokenType.USER_DEFINED, TokenType.UNUSED})


class UnigramEncoder:
    """Encodes text that holds no special tokens."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        scores: Sequence[float],
        character_map: CharacterMap,
        *,
        unknown: int,
        space_prefix: bool,
        merge_spaces: bool,
    ) -> None:
        """``merge_spaces``: runs of spaces count as one, those at the ends not at all."""
        self._ids = vocabulary.ids
        self._scores = {
            text: 0.0 if kind == TokenType.USER_DEFINED else score
            for text, score, kind in zip(vocabulary.texts, scores, vocabulary.types, strict=True)
            if kind in _USED
        }
        normal = [
            score
            for score, kind in zip(scores, vocabulary.types, strict=True)
            if kind == TokenType.NORMAL
        ]
        self._unknown = unknown
        self._unknown_score = min(normal, default=0.0) - UNKNOWN_PENALTY
        self._longest = max(map(len, self._scores), default=1)
        self._normalize = character_map.normalize
        self._prefix = SPACE if space_prefix else ""
        self._merge_spaces = merge_spaces
        self._split = word_splitter(self._scores)
        self._encode_word = remember_words(self._best_path)

    def encode(self, text: str) -> list[int]:
        """The ids of ``text``; a run of unknown characters is one unknown token."""
        ids: list[int] = []
        for word in self._split(self._spaced(self._normalize(text))):
            ids += self._encode_word(word)
        return fuse(ids, self._unknown)

    def _spaced(self, text: str) -> str:
        """Spaces as U+2581, with the prefix and without the surplus ones."""
        if self._merge_spaces:
            return "".join(SPACE + word for word in text.split(" ") if word).rstrip(SPACE)
        return self._prefix + text.replace(" ", SPACE) if text else ""

    def _best_path(self, word: str) -> tuple[int, ...]:
        end = len(word)
        best = [0.0] + [-math.inf] * end
        came_from = [0] * (end + 1)
        token_to = [self._unknown] * (end + 1)
        for start in range(end):
            for stop in range(start + 1, min(end, start + self._longest) + 1):
                text = word[start:stop]
                score = self._scores.get(text)
                if score is not None and best[start] + score > best[stop]:
                    best[stop], came_from[stop] = best[start] + score, start
                    token_to[stop] = self._ids[text]
            unknown = best[start] + self._unknown_score
            if word[start] not in self._scores and unknown > best[start + 1]:
                best[start + 1], came_from[start + 1] = unknown, start
                token_to[start + 1] = self._unknown
        path: list[int] = []
        while end:
            path.append(token_to[end])
            end = came_from[end]
        return tuple(reversed(path))
