"""Real vocabularies, written back as the files they were made of, convert to themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from checkpoint_folders import GPT2, added, convert, different, sequence, write
from pre_tokenizer_structures import STRUCTURES
from quick import some

from pyllama.convert.vocabulary import Vocabulary, read_vocabulary
from pyllama.gguf import GGUFFile
from pyllama.tokenizers import Tokenizer
from pyllama.tokenizers.vocabulary import TokenType

SEPARATOR = "\n__ggml_vocab_test__\n"
NAMES = ("deepseek-llm", "falcon", "gpt-2", "llama-bpe", "qwen2")
KNOWN_DIFFERENCES: dict[str, Callable[[str], bool]] = {
    # a range of characters in the original contains white space, which llama.cpp excludes
    "deepseek-llm": lambda text: any(c.isspace() and c > "\u0800" for c in text),
    # a GGUF tokenizer takes </s> for the end of an answer, whatever the vocabulary says
    "qwen2": lambda text: text == "</s>",
    # the original looks for digits among the characters that spell bytes, where ² and ¾ are some
    "falcon": lambda text: not text.isascii(),
}


def rebuilt(metadata: Any, steps: list[dict[str, Any]], ignore_merges: bool) -> dict[str, Any]:
    """The ``tokenizer.json`` of a byte-level BPE in a GGUF file."""
    texts = list(metadata["tokenizer.ggml.tokens"])
    types = metadata["tokenizer.ggml.token_type"].tolist()
    kinds = {TokenType.CONTROL: True, TokenType.USER_DEFINED: False}
    return {
        "version": "1.0",
        "added_tokens": [
            added(id, texts[id], special=kinds[kind])
            for id, kind in enumerate(types)
            if kind in kinds
        ],
        "pre_tokenizer": sequence(*steps),
        "decoder": GPT2,
        "model": {
            "type": "BPE",
            "ignore_merges": ignore_merges,
            "vocab": {text: id for id, text in enumerate(texts) if types[id] != TokenType.UNUSED},
            "merges": list(metadata["tokenizer.ggml.merges"]),
        },
    }


def check_ids(tokenizer: Tokenizer, path: Path) -> None:
    texts = Path(f"{path}.inp").read_bytes().decode().removesuffix(SEPARATOR).split(SEPARATOR)
    lines = Path(f"{path}.out").read_text().splitlines()
    for text, line in zip(texts, lines, strict=True):
        assert tokenizer.encode(text, add_special=False) == [int(id) for id in line.split()]


def check_same(vocabulary: Vocabulary, metadata: Any, *names: str) -> None:
    written = vocabulary.metadata()
    for name in ("model", "tokens", "token_type", *names):
        key = f"tokenizer.ggml.{name}"
        assert list(written[key]) == list(metadata[key]), name


@pytest.mark.parametrize("name", some(NAMES, ("falcon", "llama-bpe")))
def test_byte_level_vocabularies(name: str, shared: Path, tmp_path: Path) -> None:
    path = shared / "vocabs" / f"ggml-vocab-{name}.gguf"
    with GGUFFile.open(path) as file:
        document = rebuilt(file.metadata, STRUCTURES[name], name == "llama-bpe")
        rows = len(file.metadata["tokenizer.ggml.tokens"])
        vocabulary, tokenizer = convert(write(tmp_path, tokenizer__json=document), rows)
        check_same(vocabulary, file.metadata, "merges", "pre")
    assert vocabulary.warnings == ()
    check_ids(tokenizer, path)
    others = different(vocabulary, tokenizer)
    if name in KNOWN_DIFFERENCES:
        others = [text for text in others if not KNOWN_DIFFERENCES[name](text)]
    assert others == []


def test_the_sentencepiece_vocabulary_of_llama(shared: Path, tmp_path: Path) -> None:
    path = shared / "vocabs" / "ggml-vocab-llama-spm.gguf"
    model = (shared / "tokenizers" / "llama-spm" / "tokenizer.model").read_bytes()
    folder = write(tmp_path, tokenizer__model=model)
    with GGUFFile.open(path) as file:
        vocabulary = read_vocabulary(folder, 32000)
        check_same(vocabulary, file.metadata, "scores")
    _, tokenizer = convert(folder, 32000)
    check_ids(tokenizer, path)
    assert different(vocabulary, tokenizer) == []
