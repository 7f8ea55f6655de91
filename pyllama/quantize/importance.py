"""Importance matrices: how much the columns of each tensor matter, as llama-imatrix writes them.

    GGUF     imatrix.datasets [str], imatrix.chunk_count u32, imatrix.chunk_size u32; of each tensor
             NAME.in_sum2 f32 (matrices, columns): sums of squared activations, and
             NAME.counts f32 (matrices, 1): how many activations were summed up
    legacy   i32 entries; each i32 length, name, i32 calls, i32 values, f32 values; at the end,
             though not always, i32 chunks, i32 length, name of the data set

Values are divided by their counts; an expert that saw no data gets 1 for all of its columns.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pyllama.errors import FileError, UsageError
from pyllama.gguf import GGUFFile, StringArray, TensorType
from pyllama.gguf.types import MAGIC
from pyllama.gguf.wording import quoted
from pyllama.quants import Floats

_SUMS, _COUNTS = ".in_sum2", ".counts"
_REMEDY = "collect the importance matrix again"


@dataclass(frozen=True)
class Importance:
    """An importance matrix.

    Attributes:
        path: the file it was read from.
        entries: by the name of the tensor float32 (matrices * columns,), finite and not negative.
        datasets: what text it was collected over.
        chunks: how many pieces of that text; 0 where the file does not say.
    """

    path: Path
    entries: Mapping[str, Floats]
    datasets: tuple[str, ...] = ()
    chunks: int = 0

    def only(self, include: Iterable[str] = (), exclude: Iterable[str] = ()) -> Importance:
        """The entries with one of ``include`` in their names, or with none of ``exclude``.

        Raises UsageError where both are given, or one that no name contains.
        """
        include, exclude = tuple(include), tuple(exclude)
        if include and exclude:
            raise UsageError("--include-weights and --exclude-weights exclude each other")
        for part in (*include, *exclude):
            if not any(part in name for name in self.entries):
                raise UsageError(f"no tensor of {self.path} has {part!r:.60} in its name")
        kept = {
            name: values
            for name, values in self.entries.items()
            if (not include or any(part in name for part in include))
            and not any(part in name for part in exclude)
        }
        return replace(self, entries=kept)


def read_importance(path: Path) -> Importance:
    """Read an importance matrix in either format. Raises FileError for what is wrong with it."""
    try:
        with path.open("rb") as stream:
            is_gguf = stream.read(len(MAGIC)) == MAGIC
        importance = _read_gguf(path) if is_gguf else _read_legacy(path, path.read_bytes())
    except OSError as error:
        raise FileError.from_os_error(path, error) from error
    if not importance.entries:
        raise FileError(path, "has no importance data", _REMEDY)
    for name, values in importance.entries.items():
        if not (np.isfinite(values).all() and (values >= 0).all()):
            problem = f"the importance of {quoted(name)} has values below 0, infinite or NaN"
            raise FileError(path, problem, _REMEDY)
    return importance


def _read_gguf(path: Path) -> Importance:
    with GGUFFile.open(path) as file:
        if "imatrix.chunk_count" not in file.metadata:
            raise FileError(path, "is no importance matrix", "name a file that imatrix wrote")
        names = [n.removesuffix(_SUMS) for n in file.tensors if n.endswith(_SUMS)]
        return Importance(
            path=path,
            entries={name: _gguf_entry(file, name) for name in names},
            datasets=_texts(file.metadata.get("imatrix.datasets")),
            chunks=_whole(file.metadata["imatrix.chunk_count"]),
        )


def _gguf_entry(file: GGUFFile, name: str) -> Floats:
    sums = _floats(file, name + _SUMS)
    counts = _floats(file, name + _COUNTS)
    if not counts.size or sums.size % counts.size:
        problem = f"{counts.size} counts do not fit {sums.size} sums of {quoted(name)}"
        raise FileError(file.path, problem, _REMEDY)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        counted = counts.reshape(-1, 1)
        values = sums.reshape(counts.size, -1) / counted
    return np.where(counted > 0, values, np.float32(1)).reshape(-1)


def _floats(file: GGUFFile, name: str) -> Floats:
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


def _read_legacy(path: Path, data: bytes) -> Importance:
    source = _Bytes(path, data)
    entries: dict[str, Floats] = {}
    for _ in range(source.number()):
        name, calls = source.text(), source.number()
        values = np.frombuffer(source.take(4 * source.number()), "<f4").astype(np.float32)
        entries[name] = values / np.float32(calls) if calls > 0 else values
    if not source.rest:
        return Importance(path, entries)
    chunks = source.number()
    return Importance(path, entries, (source.text(),) if source.rest else (), max(chunks, 0))
