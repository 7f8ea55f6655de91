"""SentencePiece's BPE against SentencePiece itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sentencepiece
from tokenizer_data import nasty_strings, prefixed, sentencepiece_metadata, train_sentencepiece

from pyllama.gguf import GGUFFile
from pyllama.tokenizers import Tokenizer


def test_llama_2_is_exact_on_nasty_strings(shared: Path) -> None:
    original = sentencepiece.SentencePieceProcessor(
        model_file=str(shared / "tokenizers" / "llama-spm" / "tokenizer.model")
    )
    with GGUFFile.open(shared / "vocabs" / "ggml-vocab-llama-spm.gguf") as file:
        tokenizer = Tokenizer.from_gguf(file)
    for text in nasty_strings():
        ids = tokenizer.encode(text, add_special=False)
        assert ids == original.encode(text), text[:200]
        assert tokenizer.decode(ids) == text.replace("▁", " ")


@pytest.mark.parametrize(
    "options",
    [
        {"byte_fallback": True},
        {"byte_fallback": False},
        {"byte_fallback": True, "add_dummy_prefix": False},
        # Tokens that reach over spaces: words cannot be cut apart everywhere.
        {"byte_fallback": True, "split_by_whitespace": False, "vocab_size": 700},
    ],
    ids=["bytes", "no bytes", "no prefix", "across spaces"],
)
def test_small_models_are_exact_on_nasty_strings(options: dict[str, Any]) -> None:
    original = train_sentencepiece("bpe", **options)
    prefix = options.get("add_dummy_prefix", True)
    metadata = sentencepiece_metadata("llama", original, add_space_prefix=prefix)
    tokenizer = Tokenizer.from_metadata(metadata, "small.gguf")
    across = [t for t in metadata["tokenizer.ggml.tokens"] if "▁" in t.lstrip("▁")]
    assert bool(across) == ("split_by_whitespace" in options)
    for text in nasty_strings():
        ids = tokenizer.encode(text, add_special=False)
        assert ids == original.encode(text), text[:200]


def test_equal_scores_merge_from_the_left() -> None:
    tokens = ["<unk>", "<s>", "</s>", "▁", "a", "b", "ab", "ba"]
    keys = prefixed(model="llama", tokens=tokens, scores=[0.0] * 6 + [-1.0, -1.0])
    tokenizer = Tokenizer.from_metadata({**keys, "tokenizer.ggml.add_space_prefix": False}, "x")
    ids = tokenizer.encode("ababa", add_special=False)
    assert [tokenizer.token(i) for i in ids] == ["ab", "ab", "a"]
    ids = tokenizer.encode("babab", add_special=False)
    assert [tokenizer.token(i) for i in ids] == ["ba", "ba", "b"]


def test_text_does_not_become_a_control_token_by_merging() -> None:
    tokens = ["<unk>", "<s>", "</s>", "▁", "<", "s", ">", "<s"]
    keys = prefixed(
        model="llama",
        tokens=tokens,
        scores=[0.0] * 8,
        token_type=[2, 3, 3, 1, 1, 1, 1, 1],
        add_space_prefix=False,
    )
    tokenizer = Tokenizer.from_metadata(keys, "x")
    assert tokenizer.encode("<s>", add_special=False) == [7, 6]
    assert tokenizer.encode("<s>", add_special=False, parse_special=True) == [1]


def test_lone_surrogates_count_as_replacement_characters() -> None:
    original = train_sentencepiece("bpe", byte_fallback=True)
    tokenizer = Tokenizer.from_metadata(sentencepiece_metadata("llama", original), "x")
    assert tokenizer.encode("a\ud800b\udcff") == tokenizer.encode("a\ufffdb\ufffd")


def test_a_space_is_added_after_each_special_token_and_removed_at_the_beginning() -> None:
    tokens = ["<unk>", "<s>", "</s>", "▁", "a", "▁a", " u"]
    keys = prefixed(
        model="llama", tokens=tokens, scores=[0.0] * 7, token_type=[2, 3, 3, 1, 1, 1, 4]
    )
    tokenizer = Tokenizer.from_metadata(keys, "x")
    ids = tokenizer.encode("a<s>a", parse_special=True)
    assert [tokenizer.token(i) for i in ids] == ["<s>", "▁a", "<s>", "▁a"]
    assert tokenizer.decode(ids) == "a a"
    assert tokenizer.decode(ids, special=True) == "<s> a<s> a"
    assert tokenizer.decode(tokenizer.encode(" u")) == " u"  # no space is put before special text
