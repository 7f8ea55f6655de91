"""The tokenizer: byte-level BPE behind the pre-tokenizer that GGUF calls ``gpt-2``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from .corpus import IM_END, IM_START

# GPT-2's split. A line's break and indentation make a piece of their own, so that a prompt may end
# anywhere in a line: where breaks stick to punctuation, as in later splits, "):" without one
# promises that the line goes on.
PRE_TOKENIZER = "gpt-2"
END_OF_TEXT = "<|endoftext|>"  # begins and ends every document
SPECIAL = (END_OF_TEXT, IM_START, IM_END)
MIN_FREQUENCY = 4

Ids = npt.NDArray[np.uint16]


def train_tokenizer(documents: Iterable[str], size: int) -> Tokenizer:
    """A tokenizer with ``size`` entries, the special ones first (their ids are 0, 1, 2)."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=MIN_FREQUENCY,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_without_marks(documents), trainer)
    return tokenizer


def encode_documents(tokenizer: Tokenizer, documents: Sequence[str]) -> list[Ids]:
    """The ids of each document, beginning with end-of-text; shape (tokens,) each."""
    start = cast(int, tokenizer.token_to_id(END_OF_TEXT))
    encodings = tokenizer.encode_batch_fast(list(documents), add_special_tokens=False)
    return [np.array([start, *encoding.ids], dtype=np.uint16) for encoding in encodings]


def _without_marks(documents: Iterable[str]) -> Iterable[str]:
    """The documents without the marks of chats, which must not become ordinary tokens."""
    return (document.replace(IM_START, "").replace(IM_END, "") for document in documents)
