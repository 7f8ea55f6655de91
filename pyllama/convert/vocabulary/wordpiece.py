"""BERT's WordPiece: ``tokenizer.ggml.model`` = ``bert``.

BERT marks the tokens that continue a word with ``##``; GGUF marks those that begin one, with
U+2581.
"""

from __future__ import annotations

from pyllama.convert.vocabulary.document import Document
from pyllama.convert.vocabulary.source import Reading
from pyllama.convert.vocabulary.tokens import Token
from pyllama.tokenizers.vocabulary import TokenType
from pyllama.tokenizers.words import SPACE

CONTINUES = "##"


def read_wordpiece(document: Document) -> Reading:
    """The tokenizer; not exact where it does not normalize and cut as BERT does."""
    unknown = document.unknown_text or "[UNK]"
    keys = _normalization(document)
    cuts = [step.get("type") for step in document.pre_tokenizers]
    continues = document.model.get("continuing_subword_prefix", CONTINUES)
    return Reading(
        model="bert",
        tokens={id: _token(text, unknown) for text, id in document.vocab.items()},
        keys=keys,
        exact=bool(keys) and cuts == ["BertPreTokenizer"] and continues == CONTINUES,
        roles={"unk": document.vocab[unknown]} if unknown in document.vocab else {},
    )


def _token(text: str, unknown: str) -> Token:
    if text == unknown:
        return Token(text, TokenType.UNKNOWN)
    if text.startswith("[") and text.endswith("]"):
        return Token(text, TokenType.NORMAL)
    if text.startswith(CONTINUES):
        return Token(text.removeprefix(CONTINUES), TokenType.NORMAL)
    return Token(SPACE + text, TokenType.NORMAL)


def _normalization(document: Document) -> dict[str, bool]:
    """What BERT's normalizer is told to do; empty for another normalizer."""
    match document.normalizers:
        case (
            {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True} as step,
        ):
            lowercase = step.get("lowercase") is True
            accents = step.get("strip_accents")
            return {
                "normalizer.lowercase": lowercase,
                "normalizer.strip_accents": lowercase if accents is None else accents is True,
            }
    return {}
