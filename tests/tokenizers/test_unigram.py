"""SentencePiece's unigram model and its character map against the original libraries."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sentencepiece
from tokenizer_data import nasty_strings, prefixed, sentencepiece_metadata, train_sentencepiece
from tokenizers import Tokenizer as Original
from tokenizers import models

from pyllama.tokenizers import Tokenizer


def fields(message: bytes) -> list[tuple[int, bytes]]:
    """The length-delimited fields of a protobuf message: number and content."""
    found, at = [], 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(message):
        number, kind = divmod(varint(), 8)
        if kind == 2:
            size = varint()
            found.append((number, message[at : at + size]))
            at += size
        elif kind == 0:
            varint()
        else:
            at += 4 if kind == 5 else 8
    return found


def character_map(processor: sentencepiece.SentencePieceProcessor) -> np.ndarray[Any, Any]:
    """The map in a model: field 2 of the normalizer's settings, which are field 3."""
    proto = fields(processor.serialized_model_proto())
    settings = fields(next(body for number, body in proto if number == 3))
    return np.frombuffer(next(body for number, body in settings if number == 2), np.uint8)


@pytest.mark.parametrize("merge_spaces", [False, True])
@pytest.mark.parametrize("rule", ["identity", "nmt_nfkc", "nmt_nfkc_cf"])
def test_exact_on_nasty_strings(rule: str, merge_spaces: bool) -> None:
    """SentencePiece normalizes; it adds scores in float32, so the library decides about equals."""
    normalizer = train_sentencepiece(
        "unigram",
        normalization_rule_name=rule,
        remove_extra_whitespaces=merge_spaces,
        vocab_size=300,
    )
    keys: dict[str, Any] = {"add_space_prefix": True, "remove_extra_whitespaces": merge_spaces}
    if rule != "identity":
        keys["precompiled_charsmap"] = character_map(normalizer)
    metadata = sentencepiece_metadata("t5", normalizer, **keys)
    tokenizer = Tokenizer.from_metadata(metadata, "x")
    original = unigram(normalizer)
    texts = list(nasty_strings())
    same = 0
    for text in texts:
        ids = tokenizer.encode(text, add_special=False)
        expected = original.encode(normalizer.normalize(text), add_special_tokens=False).ids
        assert ids == expected, text[:200]
        same += ids == normalizer.encode(text)
    assert same > 0.8 * len(texts)


def unigram(processor: sentencepiece.SentencePieceProcessor) -> Original:
    """The same scores in the Hugging Face library, with special tokens out of its reach."""
    hidden = {processor.unk_id(), processor.bos_id(), processor.eos_id()}
    scores = [
        (f"\U00100000{i}" if i in hidden else processor.id_to_piece(i), processor.get_score(i))
        for i in range(processor.vocab_size())
    ]
    return Original(models.Unigram(scores, unk_id=processor.unk_id()))


def test_an_unknown_character_costs_more_than_any_token() -> None:
    tokens = ["<unk>", "<s>", "</s>", "▁", "a", "b", "▁ab"]
    metadata = prefixed(
        model="t5",
        tokens=tokens,
        scores=[0.0, 0.0, 0.0, -1.0, -2.0, -3.0, -7.0],
        token_type=[2, 3, 3, 1, 1, 1, 1],
        unknown_token_id=0,
        eos_token_id=2,
        add_space_prefix=True,
    )
    tokenizer = Tokenizer.from_metadata(metadata, "x")
    assert tokenizer.encode("ab") == [3, 4, 5, 2]
    assert tokenizer.encode("axyb") == [3, 4, 0, 5, 2]
    assert tokenizer.encode("x y") == [3, 0, 3, 0, 2]
    assert tokenizer.decode(tokenizer.encode("ab a")) == "ab a"


def test_a_character_map_of_random_links_harms_nothing() -> None:
    draw = np.random.default_rng(5)
    for _ in range(50):
        entries = draw.integers(0, 1 << 31, 64, dtype=np.uint32)
        blob = (256).to_bytes(4, "little") + entries.tobytes() + b"x\0"
        metadata = prefixed(
            model="t5",
            tokens=["<unk>", "<s>", "</s>", "a"],
            scores=[0.0] * 4,
            token_type=[2, 3, 3, 1],
            unknown_token_id=0,
            eos_token_id=2,
            precompiled_charsmap=np.frombuffer(blob, np.uint8),
        )
        tokenizer = Tokenizer.from_metadata(metadata, "x")
        assert tokenizer.encode("日本 é\0\x7f") in ([2], [0, 2])
