"""SentencePiece's BPE as ``tokenizer.json`` has it: ``tokenizer.ggml.model`` = ``llama``.

There it is a BPE over characters, with spaces as U+2581 and ``<0xHH>`` tokens for the bytes of
characters that are no token. SentencePiece itself ranks tokens by a score, and so does GGUF; the
order of the merges gives it.
"""

from __future__ import annotations

from typing import Any

from pyllama.convert.vocabulary.document import Document, Step
from pyllama.convert.vocabulary.merges import read_merges, sentencepiece_ranks
from pyllama.convert.vocabulary.source import Reading
from pyllama.convert.vocabulary.tokens import Token
from pyllama.tokenizers.vocabulary import BYTE_TEXT, TokenType
from pyllama.tokenizers.words import SPACE

PREPEND: Step = {"type": "Prepend", "prepend": SPACE}
ESCAPE: Step = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
# After the spaces are escaped there is nothing left to split.
NO_SPLIT: Step = {"type": "Split", "pattern": {"String": " "}}

NO_SECOND_SPACE = "the original puts no space before a text that begins with one; GGUF always does"


def read_sentencepiece_bpe(document: Document) -> Reading:
    """The tokenizer; not exact where SentencePiece would not make the same merges."""
    unknown = document.unknown_text or "<unk>"
    added = {token.text for token in document.added_tokens}
    types = {text: _type(text, unknown) for text in document.vocab}
    mergeable = {
        text: id
        for text, id in document.vocab.items()
        if types[text] is TokenType.NORMAL and text not in added
    }
    ranks = sentencepiece_ranks(read_merges(document), mergeable)
    prefix = space_prefix(document)
    tokens = {
        id: Token(text, types[text], -float(ranks.get(text, len(ranks))))
        for text, id in document.vocab.items()
    }
    exact = prefix is not None and bool(ranks) and _plain(document)
    adds_once = exact and prefix and PREPEND not in document.normalizers
    return Reading(
        model="llama",
        tokens=tokens,
        scored=True,
        escaped_spaces=True,
        keys={"add_space_prefix": bool(prefix)},
        exact=exact,
        roles={"unk": document.vocab[unknown]} if unknown in document.vocab else {},
        warnings=(NO_SECOND_SPACE,) if adds_once else (),
    )


def _plain(document: Document) -> bool:
    """Whether whole tokens do not go before merges, and bytes serve if the vocabulary has them."""
    model = document.model
    fallback = bool(model.get("byte_fallback")) == ("<0x00>" in document.vocab)
    return fallback and not model.get("ignore_merges") and not model.get("dropout")


def space_prefix(document: Document) -> bool | None:
    """Whether a space is put before a text; ``None`` where the steps are not SentencePiece's."""
    steps = [*document.normalizers, *document.pre_tokenizers]
    prepends, escapes = False, False
    for step in steps:
        if step == PREPEND:
            prepends = True
        elif step == ESCAPE:
            escapes = True
        elif step.get("type") == "Metaspace" and step.get("replacement") == SPACE:
            prepends, escapes = prepends or metaspace_prepends(step), True
        elif not (escapes and step.items() >= NO_SPLIT.items()):
            return None
    return prepends if escapes else None


def metaspace_prepends(step: Step) -> bool:
    """Whether a pre-tokenizer of the type ``Metaspace`` puts a space before a text."""
    scheme: Any = step.get("prepend_scheme", "always" if step.get("add_prefix_space") else "never")
    return scheme in ("first", "always")


def _type(text: str, unknown: object) -> TokenType:
    if text == unknown:
        return TokenType.UNKNOWN
    return TokenType.BYTE if BYTE_TEXT.fullmatch(text) else TokenType.NORMAL
