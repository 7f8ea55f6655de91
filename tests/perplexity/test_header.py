"""What makes runs comparable."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pyllama.model import Model
from pyllama.perplexity import Windows
from pyllama.perplexity.header import Source, describe, tokenizer_hash
from pyllama.session import Session

VOCABULARY: dict[str, Any] = {
    "tokenizer.ggml.model": "llama",
    "tokenizer.ggml.tokens": ["a", "b"],
    "tokenizer.ggml.scores": np.array([0.0, 1.0], np.float32),
    "tokenizer.ggml.add_bos_token": True,
}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("tokenizer.ggml.tokens", ["a", "c"]),
        ("tokenizer.ggml.tokens", ["ab"]),
        ("tokenizer.ggml.scores", np.array([0.0, 2.0], np.float32)),
        ("tokenizer.ggml.add_bos_token", False),
        ("tokenizer.ggml.pre", "default"),
    ],
)
def test_another_vocabulary_has_another_hash(key: str, value: Any) -> None:
    assert tokenizer_hash(VOCABULARY | {key: value}) != tokenizer_hash(VOCABULARY)


def test_what_is_no_vocabulary_does_not_count() -> None:
    others = {"tokenizer.chat_template": "x", "general.name": "y"}
    assert tokenizer_hash(others | VOCABULARY) == tokenizer_hash(VOCABULARY)


def test_names_of_files_are_no_part_of_the_identity(tiny: Model) -> None:
    session = Session(tiny, context=16, threads=1)
    windows = Windows.chunks(np.arange(40, dtype=np.int32), 16, bos=1)
    headers = [
        describe("perplexity", session, Source.of(*text), tokens=40, items=2, windows=windows)
        for text in (("a", b"text"), ("b", b"text"), ("a", b"other"))
    ]
    assert headers[0].identity == headers[1].identity != headers[2].identity
    assert headers[0].fields != headers[1].fields
    assert (headers[0].bos, headers[0].stride, headers[0].context) == (True, 0, 16)
