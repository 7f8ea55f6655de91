"""Reads importance matrices, as llama-imatrix writes them.

    GGUF     imatrix.datasets [str], imatrix.chunk_count u32, imatrix.chunk_size u32; of each tensor
             NAME.in_sum2 f32 (matrices, columns): sums of squared activations, and
             NAME.counts f32 (matrices, 1): how many activations were summed up
    legacy   i32 entries; each i32 length, name, i32 calls, i32 values, f32 values; at the end,
             though not always, i32 chunks, i32 length, name of the data set

Legacy values are mean squares times the calls; an expert that saw no data has a mean of 1.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyllama.errors import FileError
from pyllama.gguf import GGUFFile, StringArray, TensorType
from pyllama.gguf.types import MAGIC
from pyllama.gguf.wording import quoted
from pyllama.imatrix.imatrix import Entry, Imatrix

SUMS, COUNTS = ".in_sum2", ".counts"
DATASETS, CHUNK_COUNT, CHUNK_SIZE = (
    f"imatrix.{key}" for key in ("datasets", "chunk_count", "chunk_size")
)
_REMEDY = "collect the importance matrix again"


def read_imatrix(path: Path) -> Imatrix:
    """Read an importance matrix in either format. Raises FileError for what is wrong with it."""
    try:
        with path.open("rb") as stream:
            is_gguf = stream.read(len(MAGIC)) == MAGIC
        imatrix = _read_gguf(path) if is_gguf else _read_legacy(path, path.read_bytes())
    except OSError as error:
        raise FileError.from_os_error(path, error) from error
    if not imatrix.entries:
        raise FileError(path, "has no importance data", _REMEDY)
    for name, entry in imatrix.entries.items():
        if not entry.sums.size:
            raise FileError(path, f"has no values for {quoted(name)}", _REMEDY)
        if not all(np.isfinite(a).all() and (a >= 0).all() for a in (entry.sums, entry.counts)):
            problem = f"the importance of {quoted(name)} has values below 0, infinite or NaN"
            raise FileError(path, problem, _REMEDY)
    return imatrix


def _read_gguf(path: Path) -> Imatrix:
    with GGUFFile.open(path) as file:
        if CHUNK_COUNT not in file.metadata:
            raise FileError(path, "is no importance matrix", "name a file that imatrix wrote")
        names = [n.removesuffix(SUMS) for n in file.tensors if n.endswith(SUMS)]
        return Imatrix(
            source=path,
            entries={name: _gguf_entry(file, name) for name in names},
            datasets=_texts(file.metadata.get(DATASETS)),
            chunks=_whole(file.metadata[CHUNK_COUNT]),
            chunk_size=_whole(file.metadata.get(CHUNK_SIZE)),
        )


def _gguf_entry(file: GGUFFile, name: str) -> Entry:
    sums = _floats(file, name + SUMS)
    counts = _floats(file, name + COUNTS)
    if not counts.size or sums.size % counts.size:
        problem = f"{counts.size} counts do not fit {sums.size} sums of {quoted(name)}"
        raise FileError(file.path, problem, _REMEDY)
    return Entry(sums.reshape(counts.size, -1), np.rint(counts).astype(np.float64))


def _floats(file: GGUFFile, name: str) -> NDArray[np.float32]:
    info = file.tensors.get(name)
    if info is None or info.type is not TensorType.F32:
        raise FileError(file.path, f"has no F32 tensor {quoted(name)}", _REMEDY)
    return file.data(name).view("<f4").astype(np.float32)


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(value) if isinstance(value, StringArray) else ()


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0


class _Bytes:
    """The bytes of a legacy file, taken one piece after the other."""

    def __init__(self, path: Path, data: bytes) -> None:
        self.path = path
        self.rest = memoryview(data)

    def take(self, size: int) -> memoryview:
        if not 0 <= size <= len(self.rest):
            raise FileError(
                self.path, "is no importance matrix, or incomplete", "name a file of imatrix"
            )
        piece, self.rest = self.rest[:size], self.rest[size:]
        return piece

    def number(self) -> int:
        value: int = struct.unpack("<i", self.take(4))[0]
        return value

    def text(self) -> str:
        return bytes(self.take(self.number())).decode("utf-8", "replace")


def _read_legacy(path: Path, data: bytes) -> Imatrix:
    source = _Bytes(path, data)
    entries: dict[str, Entry] = {}
    for _ in range(source.number()):
        name, calls = source.text(), source.number()
        values = np.frombuffer(source.take(4 * source.number()), "<f4").astype(np.float32)
        entries[name] = Entry(values[None], np.array([max(calls, 1)], np.float64))
    chunks, datasets = 0, list[str]()
    if source.rest:
        chunks = max(source.number(), 0)
        datasets = [source.text()] if source.rest else []
    return Imatrix(path, entries, tuple(datasets), chunks, counts_chunks=True)
