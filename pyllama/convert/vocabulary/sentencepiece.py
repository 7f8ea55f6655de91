"""A tokenizer from SentencePiece's own file, without a ``tokenizer.json``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pyllama.convert.vocabulary.document import AGAIN
from pyllama.convert.vocabulary.sentencepiece_model import BPE, UNIGRAM, SentencePieceModel
from pyllama.convert.vocabulary.source import Reading
from pyllama.convert.vocabulary.tokens import Token
from pyllama.errors import ConversionError
from pyllama.tokenizers.charsmap import parse_character_map
from pyllama.tokenizers.vocabulary import TokenType
from pyllama.tokenizers.words import SPACE

_KINDS = {BPE: "llama", UNIGRAM: "t5"}


def read_sentencepiece(path: Path, model: SentencePieceModel) -> Reading:
    """The tokenizer in GGUF's terms; ``ConversionError`` for a model of whole words or characters.

    GGUF has no normalization for ``llama``, so that a BPE model that normalizes gets a warning.
    """
    if model.model_type not in _KINDS:
        raise ConversionError(
            path, "is neither a BPE nor a unigram model", "GGUF has no tokenizer of other kinds"
        )
    tokens = {id: _unescaped(token) for id, token in enumerate(model.tokens)}
    roles = {role: id for role, id in model.ids.items() if 0 <= id < len(tokens)}
    keys: dict[str, Any] = {"add_space_prefix": model.add_dummy_prefix}
    warnings: list[str] = []
    if model.model_type == UNIGRAM:
        keys["remove_extra_whitespaces"] = model.remove_extra_whitespaces
        keys |= _character_map(path, model)
        if any(token.type is TokenType.BYTE for token in model.tokens):
            warnings.append(
                "the original spells unknown characters in bytes, which GGUF cannot say of a"
                " unigram model"
            )
    else:
        if model.character_map:
            warnings.append(
                f"the original normalizes text ({model.normalization}), which GGUF cannot say"
            )
        if model.remove_extra_whitespaces:
            warnings.append("the original takes runs of spaces as one, which GGUF cannot say")
    return Reading(
        model=_KINDS[model.model_type],
        tokens=tokens,
        scored=True,
        escaped_spaces=True,
        keys=keys,
        roles=roles,
        warnings=tuple(warnings),
    )


def _unescaped(token: Token) -> Token:
    """User-defined tokens are looked for before spaces are escaped."""
    if token.type is TokenType.USER_DEFINED:
        return token._replace(text=token.text.replace(SPACE, " "))
    return token


def _character_map(path: Path, model: SentencePieceModel) -> dict[str, Any]:
    if not model.character_map:
        return {}
    try:
        parse_character_map(model.character_map)
    except ValueError as error:
        raise ConversionError(path, f"its character map {error}", AGAIN) from error
    return {"precompiled_charsmap": np.frombuffer(model.character_map, np.uint8)}
