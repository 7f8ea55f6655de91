"""The tokens of a model: their texts and what kind each of them is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from pyllama.gguf.wording import quoted
from pyllama.tokenizers.keys import PREFIX, Keys


class TokenType(IntEnum):
    """The kinds of token (``tokenizer.ggml.token_type``)."""

    UNDEFINED = 0
    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


SPECIAL = frozenset({TokenType.UNKNOWN, TokenType.CONTROL, TokenType.USER_DEFINED})
INVISIBLE = frozenset({TokenType.UNKNOWN, TokenType.CONTROL})
BYTE_TEXT = re.compile("<0x([0-9A-Fa-f]{2})>")


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """All tokens of a model, immutable.

    Attributes:
        texts: by id. Text that is not UTF-8 in the file carries lone surrogates
            (``surrogateescape``).
        ids: by text.
        types: by id, one ``TokenType`` a byte.
    """

    texts: Sequence[str]
    ids: Mapping[str, int]
    types: bytes

    def __len__(self) -> int:
        return len(self.texts)

    def byte_ids(self) -> tuple[int | None, ...]:
        """The ids of the 256 tokens ``<0x00>`` to ``<0xFF>``, ``None`` where there is no such."""
        return tuple(self.ids.get(f"<0x{byte:02X}>") for byte in range(256))


def read_vocabulary(keys: Keys) -> Vocabulary:
    """The tokens and their types; raises ``ModelError`` for a vocabulary that cannot be used."""
    texts = keys.strings("tokens")
    if not texts:
        state = "missing" if texts is None else "empty"
        raise keys.error(f"{PREFIX}tokens is {state}", "the model has no vocabulary")
    for empty in [i for i, text in enumerate(texts) if not text]:
        texts[empty] = f"[EMPTY_{empty}]"
    ids = dict(zip(texts, range(len(texts)), strict=True))
    if len(ids) < len(texts):
        first = next(i for i, text in enumerate(texts) if ids[text] != i)
        raise keys.error(f"tokens {first} and {ids[texts[first]]} are both {quoted(texts[first])}")
    vocabulary = Vocabulary(texts, ids, _read_types(keys, len(texts)))
    _check_bytes(keys, vocabulary)
    return vocabulary


def read_scores(keys: Keys, n_vocab: int) -> NDArray[np.float32]:
    """The score of each token, (n_vocab,); raises ``ModelError`` where one has none."""
    scores = keys.numbers("scores")
    if scores is None:
        raise keys.error(f"{PREFIX}scores is missing")
    if len(scores) < n_vocab:
        raise keys.error(f"{PREFIX}scores has {len(scores)} entries for {n_vocab} tokens")
    scores = scores[:n_vocab].astype(np.float32)
    if np.isnan(scores).any():
        raise keys.error(f"{PREFIX}scores has an entry that is not a number")
    return scores


def _read_types(keys: Keys, n_vocab: int) -> bytes:
    types = keys.numbers("token_type")
    if types is None:
        return bytes([TokenType.NORMAL]) * n_vocab
    if len(types) < n_vocab:
        raise keys.error(f"{PREFIX}token_type has {len(types)} entries for {n_vocab} tokens")
    types = types[:n_vocab]
    known = np.isin(types, list(TokenType))
    return np.where(known, types, TokenType.UNDEFINED).astype(np.uint8).tobytes()


def _check_bytes(keys: Keys, vocabulary: Vocabulary) -> None:
    types = np.frombuffer(vocabulary.types, np.uint8)
    for i in np.flatnonzero(types == TokenType.BYTE).tolist():
        if not BYTE_TEXT.fullmatch(vocabulary.texts[i]):
            name = quoted(vocabulary.texts[i])
            raise keys.error(f"token {i}, {name}, is a byte but not named <0xHH>")
