"""What a file is, in figures."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest

from pyllama.gguf import GGUFFile, TensorType, write_gguf
from pyllama.gguf.file_types import FileType
from pyllama.gguf.summary import Share, Summary, summarize

TENSORS = {
    "a": ((3, 32), TensorType.F32, np.zeros(96, np.float32)),
    "b": ((4, 256), TensorType.Q4_K, bytes(4 * 144)),
    "c": ((5,), TensorType.F32, np.zeros(5, np.float32)),
}


def summary_of(path: Path, **general: object) -> Summary:
    write_gguf(path, {f"general.{key}": value for key, value in general.items()}, TENSORS)
    with GGUFFile.open(path) as file:
        return summarize(file)


def test_figures(tmp_path: Path) -> None:
    summary = summary_of(tmp_path / "m.gguf", architecture="llama", name="tiny", file_type=15)
    assert (summary.architecture, summary.name) == ("llama", "tiny")
    assert summary.file_type is FileType.Q4_K_M
    assert list(summary.types.items()) == [
        (TensorType.Q4_K, Share(1, 1024, 576)),
        (TensorType.F32, Share(2, 101, 404)),
    ]
    assert summary.total == Share(3, 1125, 980)
    assert summary.bits_per_weight == pytest.approx(8 * 980 / 1125)


def test_metadata_that_say_nothing_or_nonsense(tmp_path: Path) -> None:
    bare = summary_of(tmp_path / "m.gguf")
    assert (bare.architecture, bare.name, bare.file_type) == (None, None, None)
    odd = summary_of(tmp_path / "m.gguf", architecture=3, name=1.5, file_type=True)
    assert (odd.architecture, odd.name, odd.file_type) == (None, None, None)
    assert summary_of(tmp_path / "m.gguf", file_type=9999).file_type == 9999


def test_a_file_without_tensors(tmp_path: Path) -> None:
    write_gguf(tmp_path / "m.gguf", {"general.architecture": "llama"}, {})
    with GGUFFile.open(tmp_path / "m.gguf") as file:
        summary = summarize(file)
    assert (summary.total, summary.types, summary.bits_per_weight) == (Share(0, 0, 0), {}, None)


def test_file_types_have_the_numbers_of_the_gguf_package() -> None:
    known = {
        name.removeprefix("MOSTLY_").removeprefix("ALL_"): int(number)
        for name, number in gguf.LlamaFileType.__members__.items()
    }
    shared = known.keys() & FileType.__members__.keys()
    assert len(shared) >= 34
    assert {name: FileType[name].value for name in shared} == {name: known[name] for name in shared}


def test_labels() -> None:
    assert FileType.F32.label == "all F32"
    assert FileType.Q8_0.label == "Q8_0"
    assert FileType.Q4_K_M.label == "Q4_K - Medium"
