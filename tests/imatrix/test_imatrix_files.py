"""Files in both formats: what is written is read again, and is what llama.cpp's programs read."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import pytest
from imatrix.imatrix_samples import DENSE, MIXED, entry, sample

from pyllama.errors import FileError
from pyllama.imatrix import Format, Imatrix, read_imatrix, write_imatrix


def test_gguf_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = sample(tmp_path / "i.gguf")
    write_imatrix(written)
    found = read_imatrix(written.source)
    assert (found.datasets, found.chunks, found.chunk_size) == (("a.txt",), 3, 4)
    assert not found.counts_chunks
    for name, one in written.entries.items():
        np.testing.assert_array_equal(found.entries[name].sums, one.sums)
        np.testing.assert_array_equal(found.entries[name].counts, one.counts)


def test_gguf_has_the_names_and_shapes_of_llama_imatrix(tmp_path: Path) -> None:
    write_imatrix(sample(tmp_path / "i.gguf"))
    reader = gguf.GGUFReader(tmp_path / "i.gguf")
    assert [(t.name, t.shape.tolist()) for t in reader.tensors] == [
        (f"{DENSE}.in_sum2", [3]),
        (f"{DENSE}.counts", [1]),
        (f"{MIXED}.in_sum2", [2, 3]),
        (f"{MIXED}.counts", [1, 3]),
    ]
    keys = ["general.type", *(f"imatrix.{k}" for k in ("datasets", "chunk_count", "chunk_size"))]
    assert list(reader.fields)[-4:] == keys
    assert [reader.fields[key].contents() for key in keys] == ["imatrix", ["a.txt"], 3, 4]
    assert reader.fields["imatrix.chunk_count"].types == [gguf.GGUFValueType.UINT32]


def test_without_a_data_set(tmp_path: Path) -> None:
    write_imatrix(replace(sample(tmp_path / "i.gguf"), datasets=()))
    assert read_imatrix(tmp_path / "i.gguf").datasets == ()


def test_the_old_format_keeps_means(tmp_path: Path) -> None:
    written = sample(tmp_path / "i.dat")
    write_imatrix(written, Format.DAT)
    found = read_imatrix(written.source)
    assert (found.datasets, found.chunks, found.counts_chunks) == (("a.txt",), 3, True)
    for name, one in written.entries.items():
        means = found.entries[name].means.reshape(-1)
        np.testing.assert_array_equal(means, one.means.reshape(-1))
    assert written.entries[MIXED].means[2].tolist() == [1, 1]


def test_the_bytes_of_the_old_format(tmp_path: Path) -> None:
    entries = {"b": entry([[2, 4]], [8]), "a": entry([[0]], [0])}
    write_imatrix(Imatrix(tmp_path / "i.dat", entries, ("x", "yz"), 2, 5), Format.DAT)
    calls = 2  # chunks of 5 that 8 tokens begin; what has no data is left out
    tensor = struct.pack("<i1siiff", 1, b"b", calls, 2, 0.5, 1.0)
    head, tail = struct.pack("<i", 1), struct.pack("<ii2s", 2, 2, b"yz")
    assert (tmp_path / "i.dat").read_bytes() == head + tensor + tail


@pytest.mark.parametrize("format", list(Format))
def test_a_name_that_cannot_be_written(format: Format, tmp_path: Path) -> None:
    target = tmp_path / "none" / "i"
    with pytest.raises(FileError, match="check the path"):
        write_imatrix(sample(target), format)
