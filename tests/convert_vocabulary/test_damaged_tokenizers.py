"""Tokenizers that cannot be used: one line that names the file and the thing."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from checkpoint_folders import GPT2, added, byte_bpe, trained_sentencepiece, write

from pyllama.convert.vocabulary import document as document_module
from pyllama.convert.vocabulary import read_vocabulary
from pyllama.errors import ConversionError, PyllamaError, UsageError

ROWS = 1000
BPE = byte_bpe(GPT2, 300, special=())


def model(**changes: Any) -> dict[str, Any]:
    return BPE | {"model": BPE["model"] | changes}


def unigram(**changes: Any) -> dict[str, Any]:
    return BPE | {"model": {"type": "Unigram", "unk_id": 0, "vocab": [["a", -1.0]], **changes}}


CASES: list[tuple[Any, str]] = [
    ("{", "is no JSON"),
    ("[" * 200_000, "is no JSON"),
    (b'{"model": "\xff"}', "is no JSON"),
    ([], "holds no JSON object"),
    ({}, "has no model"),
    (BPE | {"model": 7}, "has no model"),
    (model(type="WordLevel"), "of the kind WordLevel; GGUF has BPE, Unigram and WordPiece"),
    (model(type=[1]), "of the kind"),
    (model(vocab=None), "model.vocab is no object"),
    (model(vocab={"a": 0, "b": 0}), "tokens 'a' and 'b' both have the id 0"),
    (model(vocab={"a": -1}), "token 'a' has '-1' for its id"),
    (model(vocab={"a": 1 << 40}), "has '1099511627776' for its id"),
    (model(vocab={"a": True}), "has 'True' for its id"),
    (model(vocab={"a": "x"}), "for its id"),
    (model(merges=None), "model.merges is no list"),
    (model(merges=["ab"]), "merge 0, \"'ab'\", is not a pair"),
    (model(merges=[["a", 1]]), "is not a pair"),
    (model(merges=["a b c"]), "is not a pair"),
    (model(merges=[["a", "日"]]), "merge 0, 'a 日', names an unknown token '日'"),
    (model(merges=["Z Q"]), "names an unknown token 'ZQ'"),
    (BPE | {"added_tokens": {}, "model": 1}, "has no model"),
    (BPE | {"added_tokens": {"a": 1}}, "added_tokens is no list"),
    (BPE | {"added_tokens": [1]}, "an added token has no id or no content"),
    (BPE | {"added_tokens": [{"id": 1}]}, "an added token has no id or no content"),
    (BPE | {"added_tokens": [added(-7, "x")]}, "token 'x' has '-7' for its id"),
    (BPE | {"added_tokens": [added(300, "\ud800")]}, "is not UTF-8"),
    (BPE | {"normalizer": 7}, "normalizer is no object"),
    (BPE | {"pre_tokenizer": {"type": "Sequence"}}, "a sequence in pre_tokenizer has no"),
    (BPE | {"pre_tokenizer": {"type": "Rot13"}}, "the tokenizers library does not read it"),
    (BPE | {"post_processor": {"type": "TemplateProcessing"}}, "no place for the text"),
    (BPE | {"post_processor": {"type": "TemplateProcessing", "single": 7}}, "no list of pieces"),
    (BPE | {"post_processor": {"type": "TemplateProcessing", "single": [7]}}, "has a piece that"),
    (BPE | {"post_processor": {"type": "BertProcessing"}}, "BertProcessing has no token cls"),
    (unigram(vocab=7), "model.vocab is no list"),
    (unigram(vocab=[["a"]]), "is no token with its score"),
    (unigram(vocab=[["a", "b"]]), "is no token with its score"),
    (unigram(vocab=[["a", float("nan")]]), "is no token with its score"),
    (unigram(unk_id=-1), "has '-1' for its id"),
    (unigram() | {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"}}, "short"),
    (unigram() | {"normalizer": {"type": "Precompiled"}}, "precompiled_charsmap is no text"),
]


@pytest.mark.parametrize(("content", "problem"), CASES)
def test_a_damaged_document(content: Any, problem: str, tmp_path: Path) -> None:
    folder = write(tmp_path, tokenizer__json=content)
    with pytest.raises(ConversionError) as error:
        read_vocabulary(folder, ROWS)
    text = str(error.value)
    assert text.startswith(f"{folder / 'tokenizer.json'}: ")
    assert problem in text
    assert "; " in text  # a remedy
    assert "\n" not in text


def test_a_step_within_itself_many_times_is_read(tmp_path: Path) -> None:
    step: dict[str, Any] = GPT2
    for _ in range(200):
        step = {"type": "Sequence", "pretokenizers": [step]}
    folder = write(tmp_path, tokenizer__json=BPE | {"pre_tokenizer": step})
    vocabulary = read_vocabulary(folder, ROWS)
    assert vocabulary.pre == "gpt-2"
    with pytest.raises(ConversionError, match="recursion limit"):  # of the library
        assert vocabulary.original is None


def test_no_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(ConversionError) as error:
        read_vocabulary(tmp_path, ROWS)
    for name in ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "tekken.json"):
        assert name in str(error.value)


def test_a_list_of_base64_alone_is_no_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="has no tokenizer"):
        read_vocabulary(write(tmp_path, tokenizer__model=b"IQ== 0\n"), ROWS)


def test_a_missing_half(tmp_path: Path) -> None:
    with pytest.raises(PyllamaError, match=r"merges\.txt: no such file"):
        read_vocabulary(write(tmp_path, vocab__json={"a": 0}), ROWS)


def test_an_unknown_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown pre-tokenizer 'gpt-9'; there are: default"):
        read_vocabulary(write(tmp_path, tokenizer__json=BPE), ROWS, pre="gpt-9")


def test_a_file_longer_than_any_vocabulary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document_module, "MAX_BYTES", 1000)
    with pytest.raises(ConversionError, match=r"tokenizer\.json: is longer than"):
        read_vocabulary(write(tmp_path, tokenizer__json=BPE), ROWS)


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"tokenizer_config__json": []}, "tokenizer_config.json: holds no JSON object"),
        ({"added_tokens__json": {"a": "b"}}, "added_tokens.json: token 'a' has no number"),
        (
            {"tokenizer_config__json": {"added_tokens_decoder": {"x": {"content": "y"}}}},
            "tokenizer_config.json: added token 'x' has no text",
        ),
        (
            {"tokenizer_config__json": {"added_tokens_decoder": {"5": {}}}},
            "tokenizer_config.json: added token '5' has no text",
        ),
    ],
)
def test_files_beside_the_tokenizer(files: Any, problem: str, tmp_path: Path) -> None:
    folder = write(tmp_path, tokenizer__model=trained_sentencepiece("bpe"), **files)
    with pytest.raises(ConversionError, match=problem):
        read_vocabulary(folder, ROWS)


def varint(number: int) -> bytes:
    low = number & 0x7F
    return bytes([low | 0x80]) + varint(number >> 7) if number > 0x7F else bytes([low])


def message(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


PIECE = message(1, message(1, b"a") + b"\x15\0\0\0\0")


@pytest.mark.parametrize(
    ("proto", "problem"),
    [
        (b"\n", "it is cut short"),
        (b"\n\x80", "it is cut short"),
        (b"\n" + b"\xff" * 12, "more than 64 bits"),
        (b"\n" + varint(1 << 60) + b"abc", "field 1 is cut short"),
        (message(1, b"\x0b"), "field 1 has the wire type 3"),
        (message(1, message(1, b"\xff")), "can't decode"),
        (message(1, b"\x08\x01"), "a number stands where bytes belong"),
        (message(1, message(2, b"abc")), "3 bytes stand where a score belongs"),
        (message(1, b"\x15\0\0\xc0\x7f"), "has the score nan"),
        (message(1, b"\x18\x63"), "99 is not a valid TokenType"),
        (PIECE + message(2, message(3, b"")), "bytes stand where a number belongs"),
        (PIECE + message(2, b"\x18\x04"), "is neither a BPE nor a unigram model"),
        (PIECE + message(3, message(2, b"abc")), "character map of 3 bytes is cut short"),
    ],
)
def test_a_damaged_sentencepiece_model(proto: bytes, problem: str, tmp_path: Path) -> None:
    folder = write(tmp_path, tokenizer__model=proto)
    with pytest.raises(ConversionError, match=problem) as error:
        read_vocabulary(folder, ROWS)
    assert str(error.value).startswith(f"{folder / 'tokenizer.model'}: ")
    assert "\n" not in str(error.value)


def spoilt_bytes(data: bytes, draw: random.Random) -> bytes:
    damaged = bytearray(data)
    for _ in range(draw.choice((1, 3, 20))):
        damaged[draw.randrange(len(damaged))] = draw.randrange(256)
    return bytes(damaged[: draw.choice((len(damaged), draw.randrange(len(damaged))))])


def spoilt_json(data: bytes, draw: random.Random) -> bytes:
    """A value somewhere in the document replaced by another one."""
    document = json.loads(data)
    at: Any = document
    for _ in range(draw.choice((1, 2, 3, 4))):
        keys = list(at) if isinstance(at, dict) else list(range(len(at)))
        key = draw.choice(keys)
        if not isinstance(at[key], dict | list) or not at[key]:
            break
        at, parent = at[key], at
    else:
        at, key = parent, key
    odd: tuple[Any, ...] = (
        None,
        True,
        -1,
        3,
        1e300,
        "",
        "x",
        [],
        {},
        [[]],
        {"type": "Split"},
        {"type": "NFC"},
    )
    at[key] = draw.choice(odd)
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("name", "spoil"), [("tokenizer.model", spoilt_bytes), ("tokenizer.json", spoilt_json)]
)
def test_no_damage_makes_trouble(
    name: str, spoil: Callable[[bytes, random.Random], bytes], tmp_path: Path
) -> None:
    whole = trained_sentencepiece("unigram", normalization_rule_name="nmt_nfkc", vocab_size=400)
    if name == "tokenizer.json":
        whole = json.dumps(BPE | {"added_tokens": [added(300, "<s>")]}).encode()
    draw = random.Random(0)
    problems = []
    for _ in range(40):
        (tmp_path / name).write_bytes(spoil(whole, draw))
        try:
            read_vocabulary(tmp_path, ROWS).metadata()
        except PyllamaError as error:
            problems.append(str(error))
    assert len(problems) > 10
    assert not any("\n" in problem for problem in problems)
