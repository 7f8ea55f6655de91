"""Finds special tokens in text before anything else is tokenized."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pyllama.tokenizers.vocabulary import INVISIBLE, SPECIAL, Vocabulary

_WHITE_SPACE = " \t\n\v\f\r"
_STRIPPED_BEFORE_PRE = ("jina-v2-de", "jina-v2-es", "jina-v2-code")
_STRIPPED_BEFORE_ARCH = ("nomic-bert-moe", "jina-bert-v3")
_PHI3_KEEPS = ("<unk>", "<s>", "<|endoftext|>")


@dataclass(frozen=True, slots=True)
class SpecialText:
    """A special token as it is looked for in text.

    Attributes:
        text: what it looks like.
        token: its id.
        parsed: it counts only where special tokens are to be parsed.
        strip_left: it swallows the white space before it.
        strip_right: it swallows the white space after it.
    """

    text: str
    token: int
    parsed: bool
    strip_left: bool
    strip_right: bool


class Partition:
    """Cuts text into ids of special tokens and the plain text between them."""

    def __init__(self, vocabulary: Vocabulary, metadata: Mapping[str, Any]) -> None:
        """``metadata`` names the model, which decides what white space the tokens swallow."""
        types = np.frombuffer(vocabulary.types, np.uint8)
        strip_left, strip_right = _stripping(vocabulary, metadata)
        texts = [
            SpecialText(
                vocabulary.texts[token],
                token,
                vocabulary.types[token] in INVISIBLE,
                token in strip_left,
                token in strip_right,
            )
            for token in np.flatnonzero(np.isin(types, list(SPECIAL))).tolist()
        ]
        # The longest first, in bytes; equals by id.
        texts.sort(key=lambda s: -len(s.text.encode("utf-8", "surrogateescape")))
        self._all = tuple(texts)
        self._unparsed = tuple(special for special in texts if not special.parsed)

    def split(self, text: str, *, parse_special: bool) -> list[str | int]:
        """Ids and non-empty texts in order; no two texts follow each other."""
        fragments: list[str | int] = [text] if text else []
        for special in self._all if parse_special else self._unparsed:
            if special.text in text:
                fragments = [
                    part
                    for fragment in fragments
                    for part in (
                        _cut(fragment, special) if isinstance(fragment, str) else [fragment]
                    )
                ]
        return fragments


def _cut(text: str, special: SpecialText) -> list[str | int]:
    parts: list[str | int] = []
    between = text.split(special.text)
    for i, part in enumerate(between):
        if special.strip_right and i > 0:
            part = part.lstrip(_WHITE_SPACE)
        if special.strip_left and i < len(between) - 1:
            part = part.rstrip(_WHITE_SPACE)
        parts += [special.token] if i > 0 else []
        parts += [part] if part else []
    return parts


def _stripping(
    vocabulary: Vocabulary, metadata: Mapping[str, Any]
) -> tuple[frozenset[int], frozenset[int]]:
    """The tokens that swallow white space before and after them.

    GGUF files do not say so; it follows from the names of pre-tokenizer, architecture and model.
    """
    pre = str(metadata.get("tokenizer.ggml.pre"))
    arch = str(metadata.get("general.architecture"))
    name = str(metadata.get("general.name")).lower()
    none: frozenset[int] = frozenset()
    if pre in _STRIPPED_BEFORE_PRE or arch in _STRIPPED_BEFORE_ARCH:
        return _ids(vocabulary, "<mask>"), none
    if "phi-3" in name or "phi3" in name:
        special = frozenset(i for i, kind in enumerate(vocabulary.types) if kind in SPECIAL)
        return none, (special | _ids(vocabulary, "</s>")) - _ids(vocabulary, *_PHI3_KEEPS)
    if "modern-bert" in name:
        return _ids(vocabulary, "[MASK]"), none
    return none, none


def _ids(vocabulary: Vocabulary, *texts: str) -> frozenset[int]:
    return frozenset(vocabulary.ids[text] for text in texts if text in vocabulary.ids)
