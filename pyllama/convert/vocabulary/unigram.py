"""SentencePiece's unigram models in ``tokenizer.json``: ``tokenizer.ggml.model`` = ``t5``.

The scores are logarithms of probabilities. SentencePiece's normalization is a map of characters
(``precompiled_charsmap``) and what becomes of spaces.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pyllama.convert.vocabulary.document import Document
from pyllama.convert.vocabulary.sentencepiece_bpe import NO_SECOND_SPACE, metaspace_prepends
from pyllama.convert.vocabulary.source import Reading
from pyllama.convert.vocabulary.tokens import Token
from pyllama.gguf.wording import quoted
from pyllama.tokenizers.charsmap import decode_character_map
from pyllama.tokenizers.vocabulary import TokenType
from pyllama.tokenizers.words import SPACE

_MERGING = ({"String": "  "}, {"Regex": " {2,}"})
"""The patterns with which tokenizers make one space out of a run."""


def read_unigram(document: Document) -> Reading:
    """The tokenizer; not exact where SentencePiece would not treat spaces as it does."""
    entries = document.model.get("vocab")
    if not isinstance(entries, list):
        raise document.error("model.vocab is no list of tokens and scores")
    unknown = document.model.get("unk_id")
    unknown = None if unknown is None else document.checked_id(unknown, "<unk>")
    tokens = {id: _token(document, id, entry, unknown) for id, entry in enumerate(entries)}
    keys = {**_spaces(document), **character_map(document)}
    exact = "add_space_prefix" in keys and not document.model.get("byte_fallback")
    adds_once = exact and keys["add_space_prefix"] and not keys["remove_extra_whitespaces"]
    return Reading(
        model="t5",
        tokens=tokens,
        scored=True,
        escaped_spaces=True,
        keys=keys,
        exact=exact,
        roles={} if unknown is None else {"unk": unknown},
        warnings=(NO_SECOND_SPACE,) if adds_once else (),
    )


def character_map(document: Document) -> dict[str, Any]:
    """The key with the map of characters, if there is one; ``ConversionError`` if malformed."""
    for step in document.normalizers:
        if step.get("type") == "Precompiled":
            try:
                blob = decode_character_map(step.get("precompiled_charsmap"))
            except ValueError as error:
                raise document.error(str(error)) from error
            return {"precompiled_charsmap": np.frombuffer(blob, np.uint8)}
    return {}


def _spaces(document: Document) -> dict[str, bool]:
    """What becomes of spaces; empty where it is nothing that GGUF can say.

    There those within a text are merged and those at its ends removed, or neither.
    """
    within, ends, prefix = False, False, None
    for step in (*document.normalizers, *document.pre_tokenizers):
        match step:
            case {"type": "Precompiled"}:
                continue
            case {"type": "Strip"}:
                ends = True
            case {"type": "Replace", "pattern": pattern} if pattern in _MERGING:
                within = True
            case {"type": "WhitespaceSplit"}:
                within = ends = True
            case {"type": "Metaspace", "replacement": replacement} if replacement == SPACE:
                prefix = metaspace_prepends(step)
            case _:
                return {}
    if prefix is None or within != ends:
        return {}
    return {"add_space_prefix": prefix, "remove_extra_whitespaces": within}


def _token(document: Document, id: int, entry: object, unknown: int | None) -> Token:
    match entry:
        case [str(text), int() | float() as score] if math.isfinite(score):
            type = TokenType.UNKNOWN if id == unknown else TokenType.NORMAL
            document.checked_id(id, text)
            return Token(text, type, float(score))
    raise document.error(f"{quoted(repr(entry))} is no token with its score")
