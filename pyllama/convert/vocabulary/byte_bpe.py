"""Byte-level BPE (GPT-2, Llama 3, Qwen): ``tokenizer.ggml.model`` = ``gpt2``."""

from __future__ import annotations

from collections.abc import Sequence

from pyllama.convert.vocabulary.document import Document
from pyllama.convert.vocabulary.merges import Pair, joined, read_merges
from pyllama.convert.vocabulary.recognition import BYTE_LEVEL, names_of
from pyllama.convert.vocabulary.source import Reading
from pyllama.convert.vocabulary.tokens import Token
from pyllama.tokenizers.pretokenizers import PRE_TOKENIZERS
from pyllama.tokenizers.vocabulary import TokenType

_NFC = "the original normalizes text to NFC first, which GGUF cannot say: other text differs"
_PLAIN: dict[str, tuple[object, ...]] = {
    "dropout": (None, 0.0),
    "continuing_subword_prefix": (None, ""),
    "end_of_word_suffix": (None, ""),
    "byte_fallback": (None, False),
}
"""Options of the model, with the values that GGUF takes for granted."""


def is_byte_level(document: Document) -> bool:
    """Whether the tokens are spelled in GPT-2's characters for bytes."""
    decoder = document.content.get("decoder")
    steps = (*document.pre_tokenizers, decoder if isinstance(decoder, dict) else {})
    return any(step.get("type") == BYTE_LEVEL for step in steps)


def read_byte_bpe(document: Document, pre: str | None) -> Reading:
    """The tokenizer; ``pre``: what to call its pre-tokenizer, whatever its structure."""
    pairs = read_merges(document)
    merges = joined(pairs)
    name = pre or _recognize(document, pairs)
    normalizes = bool(document.normalizers)
    return Reading(
        model="gpt2",
        tokens={id: Token(text, TokenType.NORMAL) for text, id in document.vocab.items()},
        pre=name,
        merges=merges or [],
        exact=name is not None and merges is not None,
        warnings=(_NFC,) if normalizes and name is not None else (),
    )


def _recognize(document: Document, merges: Sequence[Pair]) -> str | None:
    """The name whose rules are those of the tokenizer."""
    plain = all(document.model.get(option) in values for option, values in _PLAIN.items())
    if not plain or any(step.get("type") != "NFC" for step in document.normalizers):
        return None
    names = names_of(document.pre_tokenizers)
    ignores = document.model.get("ignore_merges", False)
    same = [name for name in names if PRE_TOKENIZERS[name].ignore_merges == ignores]
    if same or not names:
        return next(iter(same), None)
    return names[0] if _merges_make_all(document, merges) else None


def _merges_make_all(document: Document, merges: Sequence[Pair]) -> bool:
    """Whether merges make every token, so that ``ignore_merges`` makes no difference."""
    from tokenizers.models import BPE

    model = BPE(document.vocab, list(merges))
    added = {token.text for token in document.added_tokens}
    ordinary = (text for text in document.vocab if text and text not in added)
    return all(len(model.tokenize(text)) == 1 for text in ordinary)
