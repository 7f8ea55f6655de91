"""Two runs side by side."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from pyllama.errors import FileError, PyllamaError
from pyllama.perplexity.compare import MUST_AGREE, compare, read_runs

HEADER: dict[str, Any] = {
    "measure": "perplexity", "model": "a.gguf", "tokenizer_hash": "t", "text": "x.txt",
    "text_hash": "h", "tokens": 900, "context": 64, "stride": 0, "bos": True, "items": 3,
    "isa": "avx2",
}  # fmt: skip


def write(path: Path, nll: list[float], **changes: object) -> Path:
    chunks = [{"tokens": 31, "nll": value} for value in nll]
    path.write_text(json.dumps({"runs": [{"header": HEADER | changes, "chunks": chunks}]}))
    return path


def test_the_ratio_and_its_error(tmp_path: Path) -> None:
    a = read_runs(write(tmp_path / "a", [1.0, 2.0, 3.0]))
    b = read_runs(write(tmp_path / "b", [1.1, 2.1, 3.4], model="b.gguf"))
    (found,) = compare(a, b)
    assert (found.a, found.b) == pytest.approx((math.exp(2), math.exp(2.2)))
    assert found.ratio.value == pytest.approx(math.exp(0.2))
    spread = math.sqrt((2 * 0.01 + 0.04) / 3)
    assert found.ratio.error == pytest.approx(found.ratio.value * spread / math.sqrt(2))
    assert found.differences == {"model": ("a.gguf", "b.gguf")}


@pytest.mark.parametrize("name", MUST_AGREE)
def test_runs_of_different_things(tmp_path: Path, name: str) -> None:
    a = read_runs(write(tmp_path / "a", [1.0, 2.0]))
    b = read_runs(write(tmp_path / "b", [1.0, 2.0], **{name: "other"}))
    with pytest.raises(PyllamaError, match=f"the runs cannot be compared: {MUST_AGREE[name]}"):
        compare(a, b)


def test_every_reason_is_given(tmp_path: Path) -> None:
    a = read_runs(write(tmp_path / "a", [1.0]))
    b = read_runs(write(tmp_path / "b", [1.0], context=128, bos=False))
    with pytest.raises(PyllamaError, match=r"contexts differ \(64 and 128\); one puts a BOS"):
        compare(a, b)


def test_other_numbers_of_texts_and_tokens(tmp_path: Path) -> None:
    a, b = read_runs(write(tmp_path / "a", [1.0])), read_runs(write(tmp_path / "b", [1.0, 2.0]))
    with pytest.raises(PyllamaError, match="A has 1 texts, B has 2"):
        compare(a, [*b, *b])
    with pytest.raises(PyllamaError, match="their chunks have different numbers of tokens"):
        compare(a, b)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("no json", "is not JSON"),
        ("[" * 100000, "is not JSON"),
        ("[]", "holds no runs"),
        ('{"runs": []}', "holds no runs"),
        ('{"runs": [3]}', "a run has no header"),
        ('{"runs": [{"header": {}, "chunks": []}]}', "a header has no measure"),
        ('{"runs": [{"header": {}}]}', "a run has no chunks"),
    ],
)
def test_files_that_hold_no_runs(tmp_path: Path, content: str, problem: str) -> None:
    (tmp_path / "a").write_text(content)
    with pytest.raises(FileError, match=problem):
        read_runs(tmp_path / "a")


@pytest.mark.parametrize(
    ("chunks", "problem"),
    [
        ([], "a run has no chunks"),
        ([{"tokens": 0, "nll": 1}], "a chunk has no tokens"),
        ([{"tokens": 3, "nll": None}], "a chunk's nll is no number"),
        ([{"tokens": True, "nll": 1}], "a chunk's tokens is no number"),
        ([{"tokens": 3, "nll": math.nan}], "a chunk's nll is no number"),
        ([7], "a chunk's tokens is no number"),
    ],
)
def test_chunks_of_no_sense(tmp_path: Path, chunks: list[object], problem: str) -> None:
    path = tmp_path / "a"
    path.write_text(json.dumps({"runs": [{"header": HEADER, "chunks": chunks}]}))
    with pytest.raises(FileError, match=problem):
        read_runs(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="check the path"):
        read_runs(tmp_path / "none")
