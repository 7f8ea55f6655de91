"""Ids to text one by one, and many threads on one tokenizer."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from tokenizer_data import (
    CONTROL,
    bpe_metadata,
    byte_bpe_metadata,
    nasty_strings,
    prefixed,
    train_byte_bpe,
    with_types,
)

from pyllama.tokenizers import StreamDecoder, Tokenizer


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_metadata(byte_bpe_metadata(train_byte_bpe(300)), "x")


def single_bytes(data: bytes) -> StreamDecoder:
    return StreamDecoder(lambda index: data[index : index + 1])


def test_the_parts_make_up_the_text(tokenizer: Tokenizer) -> None:
    for text in nasty_strings():
        stream = tokenizer.stream()
        parts = [stream.push(token) for token in tokenizer.encode(text[:500])]
        assert "".join(parts) == text[:500]
        assert stream.finish() == ""


def test_a_character_appears_only_when_it_is_whole() -> None:
    data = "é日👩a".encode()
    stream = single_bytes(data)
    parts = [stream.push(i) for i in range(len(data))]
    assert parts == ["", "é", "", "", "日", "", "", "", "👩", "a"]


def test_a_token_that_was_seen_does_not_complete_what_it_did_not_begin() -> None:
    stream = single_bytes(b"a\xe6\x97\xa5")
    assert [stream.push(i) for i in (0, 0, 1, 0, 0, 1, 2, 3, 0)] == [
        "a", "a", "", "\ufffda", "a", "", "", "日", "a",
    ]  # fmt: skip
    assert [stream.push(1), stream.finish(), stream.push(0)] == ["", "\ufffd", "a"]


@pytest.mark.parametrize(
    ("data", "parts", "rest"),
    [
        (b"a\xe6\x97", ["a", "", ""], "\ufffd"),
        (b"\xe6a", ["", "\ufffda"], ""),
        (b"\xff\x80", ["\ufffd", "\ufffd"], ""),
        (b"\xe6\x97\xe6\x97\xa5", ["", "", "\ufffd", "", "日"], ""),
    ],
)
def test_bytes_that_are_no_text(data: bytes, parts: list[str], rest: str) -> None:
    stream = single_bytes(data)
    assert [stream.push(i) for i in range(len(data))] == parts
    assert stream.finish() == rest
    assert stream.push(0) == parts[0]  # as new


def test_control_tokens_and_leading_spaces() -> None:
    metadata = with_types(bpe_metadata(["<c>"]), {"<c>": CONTROL})
    tokenizer = Tokenizer.from_metadata(metadata, "x")
    ids = tokenizer.encode(" a<c>b", parse_special=True)
    assert [tokenizer.stream().push(i) for i in ids] == [" ", "a", "", "b"]
    assert [tokenizer.stream(special=True).push(i) for i in ids] == [" ", "a", "<c>", "b"]
    spm = prefixed(model="llama", tokens=["<unk>", "<s>", "</s>", "▁a"], scores=[0.0] * 4)
    assert Tokenizer.from_metadata(spm, "x").stream().push(3) == " a"


def test_threads_share_a_tokenizer(tokenizer: Tokenizer) -> None:
    texts = [text[:2000] for text in nasty_strings()]
    fresh = Tokenizer.from_metadata(byte_bpe_metadata(train_byte_bpe(300)), "x")
    expected = [tokenizer.encode(text) for text in texts]
    with ThreadPoolExecutor(4) as pool:
        for ids in pool.map(lambda _: [fresh.encode(text) for text in texts], range(4)):
            assert ids == expected


def test_importing_the_package_does_not_import_the_library_behind_it() -> None:
    code = "import sys, pyllama.tokenizers; sys.exit('tokenizers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
