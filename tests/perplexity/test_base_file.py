"""Files of log-probabilities."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from pyllama.errors import FileError
from pyllama.perplexity.base_file import BaseFile, decode_rows, encode_rows, row_words, write_base
from pyllama.perplexity.divergence import check_base, log_softmax
from pyllama.perplexity.windows import Windows

N_VOCAB = 7


def logits(rows: int, n_vocab: int = N_VOCAB) -> np.ndarray:
    return np.random.default_rng(rows).normal(0, 3, (rows, n_vocab)).astype(np.float32)


def windows(chunks: int = 2) -> Windows:
    tokens = (np.arange(6 * chunks) % N_VOCAB).astype(np.int32)
    return Windows.saved(tokens, 6, bos=None)


def written(path: Path) -> np.ndarray:
    """Write a sound file; its rows."""
    rows = logits(4)
    with write_base(path, windows(), N_VOCAB) as writer:
        writer.write(rows[:3])
        writer.write(rows[3:])
    return rows


def test_bytes_as_llama_cpp_writes_them() -> None:
    rows = np.array([[1.0, 3.0, -20.0]], np.float32)
    (words,) = encode_rows(rows)
    total = np.log(np.exp(np.float32(-2)) + 1)
    scale, lowest = words[:4].view(np.float32)
    assert scale == np.float32(16 / 65535)  # the lowest is 16 below the highest at most
    assert lowest == pytest.approx(-16 - total)
    assert words[4:].tolist() == [round(14 / (16 / 65535)), 65535, 0, 0]  # and a word of padding


@pytest.mark.parametrize("n_vocab", [1, 6, 7])
def test_rows_there_and_back(n_vocab: int) -> None:
    rows = logits(5, n_vocab)
    encoded = encode_rows(rows)
    assert encoded.shape == (5, row_words(n_vocab))
    np.testing.assert_allclose(decode_rows(encoded, n_vocab), log_softmax(rows), atol=2e-4)


def test_equal_logits_have_no_scale() -> None:
    decoded = decode_rows(encode_rows(np.zeros((1, 4), np.float32)), 4)
    np.testing.assert_allclose(decoded, np.log(0.25), rtol=1e-6)


def test_a_file_there_and_back(tmp_path: Path) -> None:
    path = tmp_path / "base"
    rows = written(path)
    assert path.read_bytes()[:20] == struct.pack("<8siii", b"_logits_", 6, N_VOCAB, 2)
    file = BaseFile.open(path)
    assert (file.n_ctx, file.n_vocab, file.n_chunk) == (6, N_VOCAB, 2)
    assert file.tokens.tolist() == windows().tokens.tolist()
    np.testing.assert_allclose(file.log_probs(1, 3), log_softmax(rows[1:]), atol=2e-4)
    assert path.stat().st_size == 20 + 4 * 12 + 4 * 2 * row_words(N_VOCAB)


def test_nothing_remains_of_a_failure(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), write_base(tmp_path / "base", windows(), N_VOCAB):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda data: data[:19], "is no file of log-probabilities"),
        (lambda data: b"_logitz_" + data[8:], "is no file of log-probabilities"),
        (lambda data: data[:-1], "bytes, .* are expected: it is incomplete"),
        (lambda data: data + b"x", "bytes, .* are expected"),
        (lambda data: data[:8] + struct.pack("<i", 2) + data[12:], "are no chunks"),
        (lambda data: data[:8] + struct.pack("<i", 2**31 - 1) + data[12:], "are expected"),
        (lambda data: data[:12] + struct.pack("<i", -4) + data[16:], "are no chunks"),
        (lambda data: data[:20] + struct.pack("<i", N_VOCAB) + data[24:], "tokens are damaged"),
        (lambda data: data[:20] + struct.pack("<i", -1) + data[24:], "tokens are damaged"),
    ],
)
def test_damaged_files(tmp_path: Path, damage: object, problem: str) -> None:
    path = tmp_path / "base"
    written(path)
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(FileError, match=problem):
        BaseFile.open(path)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="check the path"):
        BaseFile.open(tmp_path / "none")
    path = tmp_path / "base"
    written(path)
    file = BaseFile.open(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(FileError, match="ends early"):
        file.log_probs(2, 2)


def test_another_vocabulary(tmp_path: Path) -> None:
    written(tmp_path / "base")
    with pytest.raises(FileError, match="is of a vocabulary of 7 tokens, the model has 8"):
        check_base(BaseFile.open(tmp_path / "base"), 8)
