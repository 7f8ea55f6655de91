"""``tokenizer.huggingface.json``: what no name describes is stored and used as it is."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from checkpoint_folders import GPT2, added, byte_bpe, convert, different, sequence, size, write

from pyllama.errors import ModelError
from pyllama.tokenizers import Tokenizer

KEY = "tokenizer.huggingface.json"
SPACED = {**GPT2, "add_prefix_space": True}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    document = byte_bpe(sequence(SPACED), special=())
    n = size(document)
    document["added_tokens"] = [
        added(n, "<|end|>"),
        added(n + 1, "<tool>", special=False),
        added(n + 2, "<mask>", lstrip=True),
    ]
    return document


@pytest.fixture
def folder(document: dict[str, Any], tmp_path: Path) -> Path:
    config = {"eos_token": "<|end|>", "bos_token": "<|end|>", "add_bos_token": True}
    return write(tmp_path, tokenizer__json=document, tokenizer_config__json=config)


def test_it_is_used_and_exact(
    folder: Path, document: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    vocabulary, tokenizer = convert(folder, size(document))
    metadata = vocabulary.metadata()
    assert json.loads(metadata[KEY]) == document
    assert "tokenizer.ggml.pre" not in metadata  # so that other programs say what they miss
    assert caplog.messages == []
    (warning,) = vocabulary.warnings
    assert "--pre" in warning
    assert different(vocabulary, tokenizer) == []
    text = "Hello wörld, 日本\n\n"
    assert tokenizer.decode(tokenizer.encode(text)) == " " + text


def test_control_tokens_are_parsed_only_where_asked(folder: Path, document: Any) -> None:
    n = size(document) - 3
    _, tokenizer = convert(folder, n + 3)
    assert tokenizer.encode("<|end|>", parse_special=True) == [n, n]
    assert n not in tokenizer.encode("<|end|>", add_special=False)
    assert n + 1 in tokenizer.encode("a<tool>", parse_special=False)
    ids = tokenizer.encode("a <mask>", add_special=False, parse_special=True)
    assert ids == [*tokenizer.encode("a", add_special=False), n + 2]  # the space before it goes


def test_its_name_does_not_matter(folder: Path, document: dict[str, Any]) -> None:
    name = {"tokenizer.ggml.pre": "of-another-program"}
    vocabulary, tokenizer = convert(folder, size(document), **name)
    assert tokenizer.pre == "of-another-program"
    assert different(vocabulary, tokenizer) == []


def test_pre_overrides(folder: Path, document: dict[str, Any]) -> None:
    vocabulary, tokenizer = convert(folder, size(document), pre="gpt-2")
    assert (tokenizer.pre, vocabulary.whole, vocabulary.warnings) == ("gpt-2", None, ())
    assert tokenizer.encode("a", add_special=False) != vocabulary.original.encode("a")  # type: ignore[union-attr]


def test_cutting_and_padding_are_left_out(document: dict[str, Any], tmp_path: Path) -> None:
    cut = {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0}
    pad = {
        "strategy": {"Fixed": 50},
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": "!",
    }
    changed = document | {"truncation": cut, "padding": pad}
    vocabulary, tokenizer = convert(write(tmp_path, tokenizer__json=changed), size(document))
    assert len(tokenizer.encode("one two three four five")) > 2
    assert different(vocabulary, tokenizer) == []


def test_several_threads_share_it(folder: Path, document: dict[str, Any]) -> None:
    _, tokenizer = convert(folder, size(document))
    text = "Hello <|end|> world " * 50
    expected = {parse: tokenizer.encode(text, parse_special=parse) for parse in (False, True)}
    wrong: list[bool] = []

    def work(parse: bool) -> None:
        for _ in range(20):
            wrong.append(tokenizer.encode(text, parse_special=parse) != expected[parse])

    threads = [threading.Thread(target=work, args=(i % 2 == 0,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert expected[False] != expected[True]
    assert wrong == [False] * 80


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (7, "is not a string"),
        ("[1]", "is no JSON object"),
        ("{", "cannot be used"),
        ("[" * 100_000, "cannot be used"),
        ("{}", "does not read it: 'Model missing"),
        ('{"added_tokens": [1]}', "added_tokens is no list of objects"),
    ],
)
def test_a_damaged_one_is_one_line(
    folder: Path, document: dict[str, Any], value: Any, problem: str
) -> None:
    metadata = convert(folder, size(document))[0].metadata() | {KEY: value}
    with pytest.raises(ModelError, match=f"^x: {KEY}.*{problem}") as error:
        Tokenizer.from_metadata(metadata, "x")
    assert "\n" not in str(error.value)


def test_one_of_another_model_is_refused(folder: Path, document: dict[str, Any]) -> None:
    n = size(document)
    metadata = convert(folder, n)[0].metadata()
    for name in ("tokens", "token_type"):
        metadata[f"tokenizer.ggml.{name}"] = metadata[f"tokenizer.ggml.{name}"][: n - 1]
    with pytest.raises(ModelError, match=f"has a token {n - 1}, the model has {n - 1} tokens"):
        Tokenizer.from_metadata(metadata, "x")


def test_a_damaged_character_map_is_refused_before_the_library_sees_it(
    folder: Path, document: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    damaged = document | {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAAAAA="}}
    metadata = convert(folder, size(document))[0].metadata() | {KEY: json.dumps(damaged)}
    with pytest.raises(ModelError, match="precompiled_charsmap"):
        Tokenizer.from_metadata(metadata, "x")
    assert capfd.readouterr().err == ""
