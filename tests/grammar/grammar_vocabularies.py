"""Small vocabularies for tests of grammars, and what a grammar makes of texts over them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from pyllama.errors import GrammarError
from pyllama.grammar import Grammar
from pyllama.tokenizers.tokenizer import Tokenizer
from pyllama.tokenizers.vocabulary import TokenType

WORDS = (
    *("▁", "▁▁", "{", "}", '{"', '":', '",', '"}', "[", "]", "1", "12", "0.", "e", "es", "yes"),
    *("no", "tru", "true", "fal", "se", "null", "a", "ab", "abc", "b", "bc", "c", "é", "語", "-1"),
)


@cache
def tokenizer() -> Tokenizer:
    """A SentencePiece vocabulary of all bytes and some words."""
    special = ["<unk>", "<s>", "</s>"]
    texts = [*special, *(f"<0x{byte:02X}>" for byte in range(256)), *WORDS]
    types = [
        *[TokenType.UNKNOWN, TokenType.CONTROL, TokenType.CONTROL],
        *[TokenType.BYTE] * 256,
        *[TokenType.NORMAL] * len(WORDS),
    ]
    metadata = {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": texts,
        "tokenizer.ggml.token_type": np.array(types, np.int32),
        "tokenizer.ggml.scores": np.zeros(len(texts), np.float32),
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.add_space_prefix": False,
    }
    return Tokenizer.from_metadata(metadata, "test")


def byte_tokens(text: str) -> list[int]:
    """The tokens of the single bytes of a text."""
    ids = tokenizer().vocabulary.ids
    return [ids[f"<0x{byte:02X}>"] for byte in text.encode()]


def matches(grammar: Grammar, text: str) -> bool:
    """Whether the whole text, byte by byte, is one of the grammar; begins anew."""
    return follows(grammar, text) and grammar.may_end


def follows(grammar: Grammar, text: str) -> bool:
    """Whether the text begins one of the grammar; begins anew."""
    grammar.reset()
    try:
        for token in byte_tokens(text):
            grammar.accept(token)
    except GrammarError:
        return False
    return True


def texts(tokens: Sequence[int]) -> str:
    """The text of tokens."""
    return b"".join(tokenizer().piece(token) for token in tokens).decode("utf-8", "replace")
