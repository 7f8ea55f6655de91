"""BERT's WordPiece against the Hugging Face library."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tokenizer_data import CONTROL, NORMAL, TRAINING_TEXT, nasty_strings, prefixed
from tokenizers import Tokenizer as Original
from tokenizers import models, normalizers, pre_tokenizers, trainers

from pyllama.tokenizers import Tokenizer

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def train(*, lowercase: bool, strip_accents: bool) -> Original:
    original = Original(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=100_000))
    original.normalizer = normalizers.BertNormalizer(
        lowercase=lowercase, strip_accents=strip_accents
    )
    original.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=300, special_tokens=SPECIAL, show_progress=False)
    original.train_from_iterator(TRAINING_TEXT, trainer)
    return original


def converted(original: Original, **keys: Any) -> dict[str, Any]:
    """As a converter writes it: the mark is at the beginning of a word, not at its continuation."""
    tokens = sorted(original.get_vocab(), key=original.get_vocab().__getitem__)
    renamed = [
        token if token in SPECIAL else token[2:] if token.startswith("##") else "▁" + token
        for token in tokens
    ]
    ids = {
        "padding_token_id": 0,
        "unknown_token_id": 1,
        "bos_token_id": 2,
        "seperator_token_id": 3,
        "mask_token_id": 4,
    }
    types = [CONTROL if token in SPECIAL else NORMAL for token in tokens]
    return prefixed(
        model="bert", tokens=renamed, token_type=np.array(types, np.int32), **ids, **keys
    )


@pytest.mark.parametrize(
    ("lowercase", "strip_accents"), [(True, True), (False, False), (True, False), (False, True)]
)
def test_exact_on_nasty_strings(lowercase: bool, strip_accents: bool) -> None:
    original = train(lowercase=lowercase, strip_accents=strip_accents)
    keys = {"normalizer.lowercase": lowercase, "normalizer.strip_accents": strip_accents}
    tokenizer = Tokenizer.from_metadata(converted(original, **keys), "x")
    for text in nasty_strings():
        if "▁" in text:
            continue  # the converted vocabulary cannot tell it from the beginning of a word
        text = text[:300]  # the library takes cubic time for a long word
        ids = tokenizer.encode(text, add_special=False)
        assert ids == original.encode(text, add_special_tokens=False).ids, text[:200]


def test_a_text_stands_between_its_brackets() -> None:
    metadata = converted(train(lowercase=True, strip_accents=True))
    tokenizer = Tokenizer.from_metadata(metadata, "x")
    ids = tokenizer.encode("The dog [MASK].", parse_special=True)
    shown = [tokenizer.token(token) for token in ids]
    assert shown[0] == "[CLS]"
    assert shown[-3:] == ["[MASK]", "▁.", "[SEP]"]
    assert tokenizer.encode("") == [2, 3]
    assert tokenizer.decode(ids) == " the dog ."
    assert tokenizer.decode(ids, clean=True) == " the dog."


def test_accents_go_with_the_case_unless_the_file_says_otherwise() -> None:
    original = train(lowercase=True, strip_accents=True)
    plain = Tokenizer.from_metadata(converted(original), "x")
    assert plain.encode("CAFÉ") == plain.encode("cafe")
    keys = {"normalizer.lowercase": False}
    cased = Tokenizer.from_metadata(converted(original, **keys), "x")
    assert cased.encode("é") != cased.encode("e")
