"""Small SentencePiece models, trained in the tests."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any

import sentencepiece


def sentencepiece_model(texts: Iterable[str], model_type: str, **options: Any) -> bytes:
    """The bytes of a ``tokenizer.model`` of some hundred tokens."""
    settings = {
        "vocab_size": 420,
        "hard_vocab_limit": False,
        "character_coverage": 1.0,
        "normalization_rule_name": "identity",
        "remove_extra_whitespaces": False,
        "minloglevel": 2,
        **options,
    }
    proto = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=proto,
        model_type=model_type,
        num_threads=1,
        **settings,
    )
    return proto.getvalue()
