"""Importance matrices in both formats."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pyllama.errors import FileError, UsageError
from pyllama.gguf import GGUFWriter, TensorType
from pyllama.quantize import read_importance

NAME = "blk.0.ffn_up_exps.weight"


def write_gguf(
    path: Path, sums: NDArray[np.float32], counts: NDArray[np.float32], name: str = NAME
) -> Path:
    with GGUFWriter(path) as writer:
        writer.add("general.type", "imatrix")
        writer.add("imatrix.datasets", ["a.txt", "b.txt"])
        writer.add("imatrix.chunk_count", 7)
        writer.add("imatrix.chunk_size", 512)
        arrays = {f"{name}.counts": counts, f"{name}.in_sum2": sums}
        for key, array in arrays.items():
            writer.add_tensor_info(key, array.shape, TensorType.F32)
        for key, array in arrays.items():
            writer.write_tensor(key, array)
    return path


def legacy(calls: int, values: list[float], tail: bytes = b"") -> bytes:
    name = NAME.encode()
    head = struct.pack("<ii", 1, len(name)) + name + struct.pack("<ii", calls, len(values))
    return head + struct.pack(f"<{len(values)}f", *values) + tail


def test_gguf_sums_are_divided_by_their_counts(tmp_path: Path) -> None:
    sums = np.array([[2, 4, 8], [5, 5, 5]], np.float32)
    counts = np.array([[2], [0]], np.float32)
    importance = read_importance(write_gguf(tmp_path / "i.gguf", sums, counts))
    assert importance.entries[NAME].tolist() == [1, 2, 4, 1, 1, 1]
    assert importance.datasets == ("a.txt", "b.txt")
    assert importance.chunks == 7


def test_legacy_values_are_divided_by_the_calls(tmp_path: Path) -> None:
    path = tmp_path / "i.dat"
    path.write_bytes(legacy(4, [4, 8], struct.pack("<ii", 9, 3) + b"txt"))
    importance = read_importance(path)
    assert importance.entries[NAME].tolist() == [1, 2]
    assert (importance.datasets, importance.chunks) == (("txt",), 9)
    path.write_bytes(legacy(0, [4, 8]))
    assert read_importance(path).entries[NAME].tolist() == [4, 8]
    assert read_importance(path).chunks == 0


def test_a_legacy_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "i.dat"
    whole = legacy(4, [4, 8], struct.pack("<ii", 9, 3) + b"txt")
    without_tail = len(legacy(4, [4, 8]))
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        if size in (without_tail, without_tail + 4):
            assert read_importance(path).entries
            continue
        with pytest.raises(FileError, match="is no importance matrix, or incomplete"):
            read_importance(path)


def test_legacy_sizes_are_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "i.dat"
    path.write_bytes(legacy(1, []))
    with pytest.raises(FileError, match=f"has no values for '{NAME}'"):
        read_importance(path)
    for numbers in ((2**31 - 1, 2**31 - 1), (1, -5), (-1, 0)):
        path.write_bytes(struct.pack("<ii", *numbers))
        with pytest.raises(FileError):
            read_importance(path)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0])
def test_values_that_are_no_weights_are_named(tmp_path: Path, bad: float) -> None:
    sums = np.array([[1, bad]], np.float32)
    path = write_gguf(tmp_path / "i.gguf", sums, np.ones((1, 1), np.float32))
    with pytest.raises(FileError, match=f"importance of '{NAME}' has values below 0"):
        read_importance(path)


def test_counts_must_fit(tmp_path: Path) -> None:
    sums, counts = np.ones((1, 5), np.float32), np.ones((2, 1), np.float32)
    with pytest.raises(FileError, match="2 counts do not fit 5 sums"):
        read_importance(write_gguf(tmp_path / "i.gguf", sums, counts))


def test_another_gguf_file_is_refused(tmp_path: Path) -> None:
    with GGUFWriter(tmp_path / "m.gguf") as writer:
        writer.add("general.architecture", "llama")
    with pytest.raises(FileError, match="is no importance matrix"):
        read_importance(tmp_path / "m.gguf")
    with pytest.raises(FileError, match="check the path"):
        read_importance(tmp_path / "none.gguf")


def test_entries_can_be_chosen_by_name(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "i.gguf", np.ones((1, 2), np.float32), np.ones((1, 1), np.float32))
    importance = read_importance(path)
    assert importance.only(include=["ffn_up"]).entries.keys() == {NAME}
    assert not importance.only(exclude=["ffn_up"]).entries
    with pytest.raises(UsageError, match=r"no tensor of .* has 'attn' in its name"):
        importance.only(include=["attn"])
    with pytest.raises(UsageError, match="exclude each other"):
        importance.only(include=["ffn"], exclude=["up"])
