"""Builds the encoder that a model's vocabulary calls for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from pyllama.gguf.wording import quoted
from pyllama.tokenizers.bpe import BpeEncoder
from pyllama.tokenizers.charsmap import read_character_map
from pyllama.tokenizers.keys import PREFIX, Keys
from pyllama.tokenizers.partition import Partition
from pyllama.tokenizers.policy import Policy
from pyllama.tokenizers.pretokenizers import PreTokenizer
from pyllama.tokenizers.spm import SpmEncoder
from pyllama.tokenizers.unigram import UnigramEncoder
from pyllama.tokenizers.vocabulary import Vocabulary, read_scores
from pyllama.tokenizers.wordpiece import WordPieceEncoder


class Encoder(Protocol):
    """Encodes text that holds no special tokens; safe to share between threads."""

    def encode(self, text: str) -> list[int]:
        """The ids of ``text``, which is valid Unicode and not empty."""


@dataclass(frozen=True, slots=True)
class PartsEncoder:
    """Encodes a text part by part: the special tokens in it, and what stands between them."""

    partition: Partition
    encoder: Encoder

    def encode(self, text: str, *, parse_special: bool) -> list[int]:
        """The ids of ``text``, which is valid Unicode."""
        ids: list[int] = []
        for part in self.partition.split(text, parse_special=parse_special):
            ids += self.encoder.encode(part) if isinstance(part, str) else (part,)
        return ids


@dataclass(frozen=True, slots=True)
class Parts:
    """What encoders are made of; ``rules`` are those of the pre-tokenizer, if there is one."""

    keys: Keys
    vocabulary: Vocabulary
    policy: Policy
    rules: PreTokenizer | None

    def unknown(self) -> int:
        """The unknown token, which this kind of tokenizer cannot do without."""
        token = self.policy.roles.unk
        if token is None:
            raise self.keys.error(f"{PREFIX}unknown_token_id is missing")
        return token


def _spm(parts: Parts) -> Encoder:
    return SpmEncoder(
        parts.vocabulary,
        read_scores(parts.keys, len(parts.vocabulary)).tolist(),
        space_prefix=parts.policy.space_prefix,
        unknown=parts.policy.roles.unk,
    )


def _bpe(parts: Parts) -> Encoder:
    merges = parts.keys.strings("merges")
    if merges is None:
        raise parts.keys.error(f"{PREFIX}merges is missing")
    malformed = next((i for i, pair in enumerate(merges) if " " not in pair[1:-1]), None)
    if malformed is not None:
        pair = quoted(merges[malformed])
        raise parts.keys.error(f"merge {malformed}, {pair}, is not a pair of tokens")
    assert parts.rules is not None, "the caller looks the pre-tokenizer up"
    return BpeEncoder(parts.vocabulary, merges, parts.rules)


def _wordpiece(parts: Parts) -> Encoder:
    lowercase = parts.keys.flag("normalizer.lowercase") is not False
    strip_accents = parts.keys.flag("normalizer.strip_accents")
    return WordPieceEncoder(
        parts.vocabulary,
        unknown=parts.unknown(),
        lowercase=lowercase,
        strip_accents=lowercase if strip_accents is None else strip_accents,
    )


def _unigram(parts: Parts) -> Encoder:
    return UnigramEncoder(
        parts.vocabulary,
        read_scores(parts.keys, len(parts.vocabulary)).tolist(),
        read_character_map(parts.keys),
        unknown=parts.unknown(),
        space_prefix=parts.policy.space_prefix,
        merge_spaces=parts.policy.merge_spaces,
    )


BUILDERS: dict[str, Callable[[Parts], Encoder]] = {
    "llama": _spm,
    "gpt2": _bpe,
    "gemma4": _bpe,
    "bert": _wordpiece,
    "t5": _unigram,
}
