"""Pre-tokenizers are recognized by their structure, and cut as the original does."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from checkpoint_folders import (
    GPT2,
    ONLY_BYTES,
    Document,
    byte_bpe,
    convert,
    different,
    sequence,
    size,
    split,
    write,
)
from pre_tokenizer_structures import ONE, STRUCTURES, THREE, digits, words

from pyllama.convert.vocabulary.recognition import CANONICAL, canonical, names_of
from pyllama.tokenizers.pretokenizers import PRE_TOKENIZERS

IGNORING = [name for name in CANONICAL if PRE_TOKENIZERS[name].ignore_merges]


@pytest.mark.parametrize("name", STRUCTURES)
def test_a_family_is_recognized(name: str, tmp_path: Path) -> None:
    document = byte_bpe(sequence(*STRUCTURES[name]))
    document["model"]["ignore_merges"] = name in IGNORING
    folder = write(tmp_path, tokenizer__json=document)
    vocabulary, tokenizer = convert(folder, size(document))
    assert tokenizer.pre == name
    assert vocabulary.whole is None
    plain = [text for text in different(vocabulary, tokenizer) if _is_plain(text)]
    assert plain == []


def _is_plain(text: str) -> bool:
    """Whether llama.cpp's patterns mean the same as the originals for a text.

    Some of them have ASCII's upper and lower case for Unicode's, and no marks.
    """
    return all(c.isascii() or unicodedata.category(c) == "Lo" for c in text) and "\x1c" not in text


@pytest.mark.parametrize("name", CANONICAL)
def test_rules_of_a_name_are_recognized_and_exact(name: str, tmp_path: Path) -> None:
    rules = PRE_TOKENIZERS[name]
    document = byte_bpe(sequence(*map(split, rules.patterns), ONLY_BYTES))
    document["model"]["ignore_merges"] = rules.ignore_merges
    vocabulary, tokenizer = convert(write(tmp_path, tokenizer__json=document), size(document))
    assert tokenizer.pre == name
    assert vocabulary.whole is None
    assert different(vocabulary, tokenizer) == []


def test_each_set_of_byte_level_rules_has_one_canonical_name() -> None:
    def key(name: str) -> tuple[tuple[str, ...], bool]:
        rules = PRE_TOKENIZERS[name]
        return tuple(map(canonical, rules.patterns)), rules.ignore_merges

    keys = [key(name) for name in CANONICAL]
    assert len(set(keys)) == len(keys)
    named = {key(name) for name, rules in PRE_TOKENIZERS.items() if rules.byte_level}
    assert named - set(keys) == {key("default")}  # llama.cpp's guess where there is no name


@pytest.mark.parametrize(
    "steps",
    [
        [],
        [words(THREE)],
        [words(THREE), GPT2],
        [words(r"\p{N}{1,4}"), ONLY_BYTES],
        [split(words(THREE)["pattern"]["Regex"], "MergedWithPrevious"), ONLY_BYTES],
        [split(r"\p{N}", "Removed", True), ONLY_BYTES],
        [{**GPT2, "add_prefix_space": True}],
        [{"type": "Whitespace"}, ONLY_BYTES],
        [{"type": "Split", "pattern": {"String": " "}, "behavior": "Isolated"}, ONLY_BYTES],
        [ONLY_BYTES, digits(True)],
        [{"type": "Split", "pattern": None}, ONLY_BYTES],
        [{}],
    ],
)
def test_other_structures_have_no_name(steps: list[Document]) -> None:
    assert names_of(steps) == ()


def test_keeping_what_matches_is_cutting_it_out_if_all_matches() -> None:
    regex = words(ONE)["pattern"]["Regex"]
    assert names_of([split(regex, "Removed", True), ONLY_BYTES]) == ("qwen2",)


def test_ignore_merges_tells_names_apart_only_where_it_matters(tmp_path: Path) -> None:
    llama = sequence(words(THREE), ONLY_BYTES)
    document = byte_bpe(llama)
    rows = size(document)
    assert convert(write(tmp_path / "a", tokenizer__json=document), rows)[1].pre == "dbrx"
    document["model"]["ignore_merges"] = True
    assert convert(write(tmp_path / "b", tokenizer__json=document), rows)[1].pre == "llama-bpe"

    document = byte_bpe(sequence(words(ONE), ONLY_BYTES))
    document["model"]["ignore_merges"] = True  # but merges make every token
    assert convert(write(tmp_path / "c", tokenizer__json=document), rows)[1].pre == "qwen2"
    del document["model"]["merges"][::3]  # now they do not
    vocabulary, tokenizer = convert(write(tmp_path / "d", tokenizer__json=document), rows)
    assert vocabulary.whole is not None
    assert "tokenizer.ggml.pre" not in vocabulary.metadata()
    assert different(vocabulary, tokenizer) == []


def test_a_sequence_in_a_sequence_is_unfolded(tmp_path: Path) -> None:
    document = byte_bpe(sequence(words(ONE), ONLY_BYTES))
    document["pre_tokenizer"] = sequence(sequence(words(ONE)), sequence(sequence(ONLY_BYTES)))
    _, tokenizer = convert(write(tmp_path, tokenizer__json=document), size(document))
    assert tokenizer.pre == "qwen2"


def test_spellings() -> None:
    assert canonical("[\r\n一]\\x{0800}\\x{aBc}") == r"[\r\n\x{4E00}]\x{800}\x{ABC}"
