"""BERT's WordPiece (``tokenizer.ggml.model`` = ``bert``): in each word the longest token first.

The file marks the beginning of a word with U+2581, where BERT's own vocabulary marks the
continuation with ``##``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from pyllama.tokenizers.vocabulary import Vocabulary
from pyllama.tokenizers.words import SPACE, remember_words


class WordPieceEncoder:
    """Encodes text that holds no special tokens."""

    def __init__(
        self, vocabulary: Vocabulary, *, unknown: int, lowercase: bool, strip_accents: bool
    ) -> None:
        """``unknown`` stands for each word that the tokens cannot make up."""
        self._vocabulary = vocabulary
        self._unknown = unknown
        self._lowercase, self._strip_accents = lowercase, strip_accents
        self._longest = max(map(len, vocabulary.texts))
        self._encode_word = remember_words(self._longest_matches)

    def encode(self, text: str) -> list[int]:
        """The ids of ``text``."""
        return [token for word in self._words(text) for token in self._encode_word(word)]

    @cached_property
    def _words(self) -> Callable[[str], list[str]]:
        """BERT's normalization and its split at white space, punctuation and ideographs."""
        from tokenizers.normalizers import BertNormalizer
        from tokenizers.pre_tokenizers import BertPreTokenizer

        normalize = BertNormalizer(
            clean_text=True,
            handle_chinese_chars=True,
            strip_accents=self._strip_accents,
            lowercase=self._lowercase,
        ).normalize_str
        split = BertPreTokenizer().pre_tokenize_str
        return lambda text: [word for word, _ in split(normalize(text))]

    def _longest_matches(self, word: str) -> tuple[int, ...]:
        rest, ids = SPACE + word, []
        while rest:
            for length in range(min(len(rest), self._longest), 0, -1):
                token = self._vocabulary.ids.get(rest[:length])
                if token is not None:
                    ids.append(token)
                    rest = rest[length:]
                    break
            else:
                return (self._unknown,)
        return tuple(ids)
