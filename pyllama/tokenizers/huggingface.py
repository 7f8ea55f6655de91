"""A whole tokenizer of the Hugging Face library (``tokenizer.huggingface.json``).

GGUF names a tokenizer by its kind and its pre-tokenizer. What no name describes is stored as its
own JSON, and encoded by the library that the JSON is written for: exactly the original's ids.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pyllama.gguf.wording import quoted
from pyllama.tokenizers.charsmap import decode_character_map
from pyllama.tokenizers.keys import Keys
from pyllama.tokenizers.vocabulary import INVISIBLE, Vocabulary

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Library

KEY = "tokenizer.huggingface.json"


class HuggingFaceEncoder:
    """Encodes whole texts, special tokens included; safe to share between threads."""

    def __init__(self, document: Mapping[str, Any], vocabulary: Vocabulary) -> None:
        """``document``: the parsed JSON. Raises ``ValueError`` where it fits no such vocabulary."""
        _check_character_maps(document)
        self._json = json.dumps(_with_control_tokens(document, vocabulary))
        self._load = lru_cache(self._loaded)
        ids = self._load(True).get_vocab()
        largest = max(ids.values(), default=0)
        if largest >= len(vocabulary):
            raise ValueError(f"has a token {largest}, the model has {len(vocabulary)} tokens")

    def encode(self, text: str, *, parse_special: bool) -> list[int]:
        """The ids of ``text``, which is valid Unicode."""
        ids: list[int] = self._load(parse_special).encode(text, add_special_tokens=False).ids
        return ids

    def _loaded(self, parse_special: bool) -> Library:
        library = _load(self._json)
        library.encode_special_tokens = not parse_special
        return library


def read_huggingface_encoder(keys: Keys, vocabulary: Vocabulary) -> HuggingFaceEncoder | None:
    """The encoder of a model that has the key; ``ModelError`` for a JSON that cannot be used."""
    text = keys.metadata.get(KEY)
    if text is None:
        return None
    if not isinstance(text, str):
        raise keys.error(f"{KEY} is not a string")
    try:
        document = json.loads(text)
        if not isinstance(document, dict):
            raise ValueError("is no JSON object")
        return HuggingFaceEncoder(document, vocabulary)
    except (ValueError, RecursionError) as error:
        raise keys.error(f"{KEY} cannot be used: {error}") from error


def load(document: Mapping[str, Any]) -> Library:
    """The library's tokenizer, which neither cuts nor pads; ``ValueError`` for a malformed one."""
    _check_character_maps(document)
    return _load(json.dumps(document))


def _load(text: str) -> Library:
    # Imported here, because it takes longer than the rest of the package.
    from tokenizers import Tokenizer as Library

    try:
        library = Library.from_str(text)
    except BaseException as error:  # the library panics on some inputs: no subclass of Exception
        if isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit | MemoryError):
            raise
        raise ValueError(f"the tokenizers library does not read it: {quoted(str(error))}") from None
    library.no_truncation()
    library.no_padding()
    return library


def _check_character_maps(document: Mapping[str, Any]) -> None:
    """The library does not survive a malformed map; ``ValueError`` for one."""
    waiting = [document.get("normalizer")]
    while waiting:
        step = waiting.pop()
        if isinstance(step, list):
            waiting += step
        elif isinstance(step, dict):
            waiting += step.values()
            if step.get("type") == "Precompiled":
                decode_character_map(step.get("precompiled_charsmap"))


def _with_control_tokens(document: Mapping[str, Any], vocabulary: Vocabulary) -> dict[str, Any]:
    """``document`` with those added tokens special that the vocabulary calls control tokens."""
    added = document.get("added_tokens") or []
    if not isinstance(added, list) or not all(isinstance(token, dict) for token in added):
        raise ValueError("added_tokens is no list of objects")
    control = {text for text, id in vocabulary.ids.items() if vocabulary.types[id] in INVISIBLE}
    marked = [token | {"special": str(token.get("content")) in control} for token in added]
    return {**document, "added_tokens": marked}
