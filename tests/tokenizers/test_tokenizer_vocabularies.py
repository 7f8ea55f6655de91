"""Real vocabularies: the original tokenizers' ids for the strings of llama.cpp's own tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyllama.gguf import GGUFFile
from pyllama.tokenizers import Tokenizer

NAMES = ("deepseek-llm", "falcon", "gpt-2", "llama-bpe", "llama-spm", "phi-3", "qwen2")
SEPARATOR = "\n__ggml_vocab_test__\n"


@pytest.fixture(scope="module", params=NAMES)
def vocabulary(shared: Path, request: pytest.FixtureRequest) -> tuple[Path, Tokenizer]:
    path = shared / "vocabs" / f"ggml-vocab-{request.param}.gguf"
    with GGUFFile.open(path) as file:
        return path, Tokenizer.from_gguf(file)


def test_ids_are_exact_and_decode_to_the_text(vocabulary: tuple[Path, Tokenizer]) -> None:
    path, tokenizer = vocabulary
    texts = Path(f"{path}.inp").read_bytes().decode().removesuffix(SEPARATOR).split(SEPARATOR)
    lines = Path(f"{path}.out").read_text().splitlines()
    assert len(texts) == len(lines) > 40
    for text, line in zip(texts, lines, strict=True):
        ids = tokenizer.encode(text, add_special=False)
        assert ids == [int(number) for number in line.split()], text
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_each_token_has_a_piece(vocabulary: tuple[Path, Tokenizer]) -> None:
    _, tokenizer = vocabulary
    for token in range(tokenizer.n_vocab):
        assert tokenizer.piece(token, special=True), tokenizer.token(token)


EXPECTED_ROLES = {
    "deepseek-llm": ({"<｜begin▁of▁sentence｜>"}, {"<｜end▁of▁sentence｜>"}),
    "falcon": (set(), {"<|endoftext|>"}),
    "gpt-2": (set(), {"<|endoftext|>"}),
    "llama-bpe": ({"<|begin_of_text|>"}, {"<|end_of_text|>", "<|eot_id|>"}),
    "llama-spm": ({"<s>"}, {"</s>"}),
    "phi-3": ({"<s>"}, {"</s>", "<|endoftext|>", "<|end|>"}),
    "qwen2": (set(), {"</s>", "<|endoftext|>", "<|im_end|>"}),
}


def test_beginning_and_ends(vocabulary: tuple[Path, Tokenizer]) -> None:
    path, tokenizer = vocabulary
    added, ends = EXPECTED_ROLES[path.stem.removeprefix("ggml-vocab-")]
    assert {tokenizer.token(token) for token in tokenizer.encode("")} == added
    assert {tokenizer.token(token) for token in tokenizer.end_of_generation} == ends


def test_the_stories_model(shared: Path) -> None:
    with GGUFFile.open(shared / "models" / "stories260K.gguf") as file:
        tokenizer = Tokenizer.from_gguf(file)
    assert tokenizer.encode("Once upon a time") == [1, 403, 407, 261, 378]
    assert tokenizer.decode([1, 403, 407, 261, 378]) == "Once upon a time"
