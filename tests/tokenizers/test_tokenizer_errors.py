"""Vocabularies that cannot be used: one line that names the file and the thing."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from tokenizer_data import BYTE, bpe_metadata, prefixed, with_types

from pyllama.errors import ModelError
from pyllama.tokenizers import Tokenizer

TOKENS = ["<unk>", "<s>", "</s>", "a"]
SPM = prefixed(model="llama", tokens=TOKENS, scores=np.zeros(4, np.float32))
T5 = prefixed(model="t5", tokens=TOKENS, scores=np.zeros(4, np.float32), eos_token_id=2)
BPE = bpe_metadata(["ab"], ("a b",))
MISSING = object()


def charsmap(size: int, entries: list[int], replacements: bytes) -> np.ndarray[Any, Any]:
    blob = size.to_bytes(4, "little") + np.array(entries, "<u4").tobytes() + replacements
    return np.frombuffer(blob, np.uint8)


CASES = [
    (SPM, "model", MISSING, "tokenizer.ggml.model is missing"),
    (SPM, "model", 7, "tokenizer.ggml.model is 7, not a string"),
    (
        SPM,
        "model",
        "rwkv",
        "unknown tokenizer 'rwkv'; pyllama knows: llama, gpt2, gemma4, bert, t5",
    ),
    (SPM, "model", "plamo2", "unknown tokenizer 'plamo2'"),
    (SPM, "model", "none", "unknown tokenizer 'none'"),
    (SPM, "model", "a\nb", r"unknown tokenizer 'a\\nb'"),
    (SPM, "tokens", MISSING, "tokenizer.ggml.tokens is missing"),
    (SPM, "tokens", [], "tokenizer.ggml.tokens is empty"),
    (SPM, "tokens", "abc", "tokens is 'abc', not an array of strings"),
    (SPM, "tokens", np.zeros(4), "tokens is an array, not an array of strings"),
    (SPM, "tokens", [1, 2], "tokens is an array, not an array of strings"),
    (SPM, "tokens", ["<unk>", "a", "b", "a"], "tokens 1 and 3 are both 'a'"),
    (SPM, "scores", MISSING, "tokenizer.ggml.scores is missing"),
    (SPM, "scores", np.zeros(3), "scores has 3 entries for 4 tokens"),
    (SPM, "scores", ["x"] * 4, "scores is an array, not an array of numbers"),
    (SPM, "scores", 1.5, "scores is 1.5, not an array of numbers"),
    (SPM, "scores", np.array([0, 0, np.nan, 0]), "scores has an entry that is not a number"),
    (SPM, "token_type", np.zeros(3, np.int32), "token_type has 3 entries for 4 tokens"),
    (SPM, "bos_token_id", 4, "bos_token_id is 4, outside the vocabulary of 4 tokens"),
    (SPM, "eos_token_id", -1, "eos_token_id is -1, outside"),
    (SPM, "eot_token_id", "x", "eot_token_id is 'x', not a token id"),
    (SPM, "unknown_token_id", True, "unknown_token_id is True, not a token id"),
    (SPM, "add_bos_token", "yes", "add_bos_token is 'yes', not true or false"),
    (BPE, "pre", "gpt-9", "unknown pre-tokenizer 'gpt-9'"),
    (BPE, "pre", 3, "tokenizer.ggml.pre is 3, not a string"),
    (BPE, "merges", MISSING, "tokenizer.ggml.merges is missing"),
    (BPE, "merges", ["a b", "ab"], "merge 1, 'ab', is not a pair of tokens"),
    (BPE, "merges", [""], "merge 0, '', is not a pair of tokens"),
    (BPE, "merges", [" a"], "merge 0, ' a', is not a pair of tokens"),
    (BPE, "merges", np.zeros(2), "merges is an array, not an array of strings"),
    (BPE, "bos_token_id", 10**30, "bos_token_id is 1000000000"),
    (T5, "precompiled_charsmap", charsmap(8, [0], b"a\0"), "of 10 bytes is cut short"),
    (T5, "precompiled_charsmap", charsmap(3, [0], b"a\0"), "of 10 bytes is cut short"),
    (T5, "precompiled_charsmap", charsmap(4, [0], b"a"), "ends within a replacement"),
    (T5, "precompiled_charsmap", charsmap(4, [1 << 31 | 9], b"a\0"), "points outside"),
    (T5, "precompiled_charsmap", np.zeros(8, np.int32), "is not an array of bytes"),
    (T5, "unknown_token_id", 9, "unknown_token_id is 9, outside"),
]


@pytest.mark.parametrize(("metadata", "name", "value", "problem"), CASES)
def test_one_line_that_names_the_thing(
    metadata: dict[str, Any], name: str, value: object, problem: str
) -> None:
    broken = {**metadata, f"tokenizer.ggml.{name}": value}
    broken = {key: kept for key, kept in broken.items() if kept is not MISSING}
    with pytest.raises(ModelError, match=problem) as caught:
        Tokenizer.from_metadata(broken, "/m/broken.gguf")
    message = str(caught.value)
    assert message.startswith("/m/broken.gguf: ")
    assert "; " in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("key", "id_key"),
    [
        ("add_bos_token", "bos_token_id"),
        ("add_eos_token", "eos_token_id"),
        ("add_sep_token", "seperator_token_id"),
    ],
)
def test_a_token_to_add_that_does_not_exist(key: str, id_key: str) -> None:
    metadata = prefixed(model="llama", tokens=["a"], scores=[0.0], add_bos_token=False)
    metadata[f"tokenizer.ggml.{key}"] = True
    with pytest.raises(ModelError, match=f"{key} asks for .*{id_key} does not name"):
        Tokenizer.from_metadata(metadata, "x")


def test_bert_and_t5_need_an_unknown_token() -> None:
    bert = prefixed(model="bert", tokens=["a"], add_bos_token=False, add_sep_token=False)
    with pytest.raises(ModelError, match="unknown_token_id is missing"):
        Tokenizer.from_metadata(bert, "x")


def test_a_byte_token_without_a_byte() -> None:
    metadata = with_types(bpe_metadata(["<0xZZ>"]), {"<0xZZ>": BYTE})
    with pytest.raises(ModelError, match="'<0xZZ>', is a byte but not named <0xHH>"):
        Tokenizer.from_metadata(metadata, "x")


def test_oddities_that_are_tolerated() -> None:
    odd = {
        **SPM,
        "tokenizer.ggml.tokens": ["<unk>", "<s>", "</s>", "", "\udcff"],
        "tokenizer.ggml.scores": np.zeros(9, np.int32),
        "tokenizer.ggml.token_type": np.array([2, 3, 3, 1, 77], np.int32),
    }
    tokenizer = Tokenizer.from_metadata(odd, "x")
    assert tokenizer.token(3) == "[EMPTY_3]"
    assert tokenizer.piece(4) == b""  # of no known type
    odd["tokenizer.ggml.token_type"] = np.array([2, 3, 3, 1, 1], np.int32)
    assert Tokenizer.from_metadata(odd, "x").piece(4) == b"\xff"


ANYTHING: list[Any] = [
    *(None, 0, 1, -1, 10**20, True, False, 1.5, float("nan"), "", "x", "\n"),
    *("llama", "gpt2", "t5", "bert", "gemma4", "default", "llama-bpe", "superbpe"),
    *([], ["a"], ["", "\0", " ", "▁"], ["a b"], ["\udcff", "\udc80", "é" * 50]),
    *([str(i) for i in range(200)], ["▁" + chr(97 + i % 26) * (1 + i // 26) for i in range(200)]),
    *(np.zeros(0), np.zeros(200, np.float32), np.full(200, np.inf), np.ones(10, bool)),
    *(np.arange(200, dtype=np.int32) % 7, np.zeros((3, 3)), np.array(5)),
    charsmap(8, [1 << 31 | 1, 2**32 - 1], b"\0\0"),
]


def test_whatever_the_keys_hold_the_model_works_or_the_error_is_one_line() -> None:
    draw = random.Random(9)
    names = ["tokens", "scores", "token_type", "merges", "precompiled_charsmap", "model", "pre"]
    names += ["add_bos_token", "add_space_prefix", "bos_token_id", "unknown_token_id"]
    working, messages = 0, []
    for _ in range(3000):
        metadata = dict(draw.choice([SPM, T5, BPE]))
        for name in draw.choices(names, k=draw.choice([1, 2, 3])):
            metadata[f"tokenizer.ggml.{name}"] = draw.choice(ANYTHING)
        try:
            tokenizer = Tokenizer.from_metadata(metadata, "x")
        except ModelError as error:
            messages.append(str(error))
            continue
        working += 1
        ids = tokenizer.encode("Hello <s>▁ wörld\n\0 \ud800 日123", parse_special=True)
        tokenizer.decode([*ids, *range(tokenizer.n_vocab)], special=True, clean=True)
    assert working > 300
    assert not [message for message in messages if "\n" in message]
