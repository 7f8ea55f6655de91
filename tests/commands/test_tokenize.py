"""``pyllama tokenize``: its output to the byte, its sources, its errors."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_runner import call, one_line_error, spawn

from pyllama.gguf import write_gguf

PIECES = ["<unk>", "<s>", "</s>", "▁", "a", "b", "\n", "\\", "n", "<", ">", "s", "▁a", "é"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with nothing but a vocabulary: some characters, and all bytes."""
    path = tmp_path_factory.mktemp("tokenize") / "vocabulary.gguf"
    return write_vocabulary(path)


def write_vocabulary(path: Path, **keys: bool | str) -> Path:
    tokens = PIECES + [f"<0x{byte:02X}>" for byte in range(256)]
    metadata = {
        "general.architecture": "llama",
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.scores": [0.0] * len(tokens),
        "tokenizer.ggml.token_type": [2, 3, 3] + [1] * (len(PIECES) - 3) + [6] * 256,
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        **{f"tokenizer.ggml.{key}": value for key, value in keys.items()},
    }
    write_gguf(path, metadata, {})
    return path


def test_a_token_a_line(model: Path) -> None:
    result = call("tokenize", "-m", model, "-p", r"ab\n")
    assert result.out == b"     1 -> '<s>'\n    12 -> ' a'\n     5 -> 'b'\n     6 -> '\n'\n"
    assert (result.code, result.err) == (0, "")


def test_bytes_that_are_no_character_are_written_raw(model: Path) -> None:
    result = call("tokenize", "-m", model, "-p", "Ä", "--no-bos")
    assert result.out == b"     3 -> ' '\n   209 -> '\xc3'\n   146 -> '\x84'\n"


@pytest.mark.parametrize(
    ("options", "out"),
    [
        (["-p", "ab", "--ids"], "[1, 12, 5]\n"),
        (["--prompt", "ab", "--ids", "--no-bos"], "[12, 5]\n"),
        (["-p", "", "--ids", "--no-bos"], "[]\n"),
        (["-p", "ab", "--ids", "--show-count"], "[1, 12, 5]\nTotal number of tokens: 3\n"),
        (["-p", "a</s>", "--ids"], "[1, 12, 2]\n"),
        (["-p", "a</s>", "--ids", "--no-parse-special"], "[1, 12, 9, 61, 11, 10]\n"),
        (["-p", r"a\n", "--ids"], "[1, 12, 6]\n"),
        (["-p", r"a\n", "--ids", "--no-escape"], "[1, 12, 7, 8]\n"),
        (["-p", r"\xc3\xa9", "--ids", "--no_bos"], "[3, 13]\n"),
    ],
)
def test_options(model: Path, options: list[str], out: str) -> None:
    result = call("tokenize", "-m", model, *options)
    assert (result.code, result.out.decode(), result.err) == (0, out, "")


def test_a_file_keeps_its_last_newline_and_comes_before_the_prompt(
    model: Path, tmp_path: Path
) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(b"a\\n\n")
    options = ("tokenize", "-m", model, "--ids", "-p", "b", "-f", path)
    assert call(*options).out == b"[1, 12, 6, 6]\n"
    assert call(*options, "--no-escape").out == b"[1, 12, 7, 8, 6]\n"
    assert call(*options, "--stdin", stdin=b"s\n").out == b"[1, 3, 11, 6]\n"


def test_in_a_process_of_its_own(model: Path) -> None:
    result = spawn("tokenize", "-m", model, "--stdin", "--no-bos", stdin="é\0".encode())
    assert result.out == b"     3 -> ' '\n    13 -> '\xc3\xa9'\n    14 -> '\0'\n"
    assert (result.code, result.err) == (0, "")


def test_a_doubled_beginning_is_a_warning(model: Path) -> None:
    result = call("tokenize", "-m", model, "-p", "<s>a", "--ids")
    assert result.out == b"[1, 1, 12]\n"
    assert result.err.startswith("warning: the text begins with a BOS token")
    assert call("tokenize", "-m", model, "-p", "<s>a", "--ids", "--log-disable").err == ""
    assert call("tokenize", "-m", model, "-p", "<s>a", "--ids", "--no-bos").err == ""


def test_a_model_that_adds_no_beginning_adds_no_end_either(tmp_path: Path) -> None:
    path = write_vocabulary(tmp_path / "m.gguf", add_bos_token=False, add_eos_token=True)
    assert call("tokenize", "-m", path, "-p", "ab", "--ids").out == b"[12, 5]\n"
    path = write_vocabulary(tmp_path / "m.gguf", add_bos_token=True, add_eos_token=True)
    assert call("tokenize", "-m", path, "-p", "ab", "--ids").out == b"[1, 12, 5, 2]\n"


def test_no_text(model: Path) -> None:
    error = one_line_error(call("tokenize", "-m", model))
    assert error == "no text; give -p TEXT, -f FILE or --stdin"


def test_text_that_is_not_utf_8(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "latin-1.txt"
    path.write_bytes(b"caf\xe9")
    error = one_line_error(call("tokenize", "-m", model, "-f", path))
    assert error == f"{path}: not UTF-8 at byte 3 (0xe9); convert the text to UTF-8"
    error = one_line_error(call("tokenize", "-m", model, "--stdin", stdin=b"\xff"))
    assert error.startswith("standard input: not UTF-8 at byte 0")


def test_files_that_are_missing(model: Path, tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    expected = f"{missing}: no such file or directory; check the path"
    assert one_line_error(call("tokenize", "-m", model, "-f", missing)) == expected
    assert one_line_error(call("tokenize", "-m", missing, "-p", "a")) == expected


def test_a_tokenizer_of_an_unknown_kind(tmp_path: Path) -> None:
    path = write_vocabulary(tmp_path / "odd.gguf", model="rwkv")
    error = one_line_error(call("tokenize", "-m", path, "-p", "a"))
    assert error == (
        f"{path}: unknown tokenizer 'rwkv'; pyllama knows: llama, gpt2, gemma4, bert, t5"
    )
