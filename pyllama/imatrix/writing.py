"""Writes importance matrices in the formats that ``pyllama.imatrix.reading`` describes."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import StrEnum

import numpy as np

from pyllama.gguf import GGUFWriter, TensorType, ValueType
from pyllama.gguf.atomic import AtomicFile
from pyllama.imatrix.imatrix import Entry, Imatrix
from pyllama.imatrix.reading import CHUNK_COUNT, CHUNK_SIZE, COUNTS, DATASETS, SUMS
from pyllama.quants import Floats

_MOST = 2**31 - 1
"""What a number of the old format can be at most."""


class Format(StrEnum):
    """The format of a file."""

    GGUF = "gguf"
    DAT = "dat"


def write_imatrix(imatrix: Imatrix, format: Format = Format.GGUF) -> None:
    """Write the file ``imatrix.source``, entries sorted by name; whole or not at all.

    The old format has no place for counts of single experts, nor for tensors without any data: of
    the former it gets the means, the latter are left out. Raises FileError where it cannot be
    written.
    """
    if format is Format.GGUF:
        _write_gguf(imatrix)
        return
    with AtomicFile(imatrix.source) as file:
        for piece in _legacy(imatrix):
            file.write(piece)


def _write_gguf(imatrix: Imatrix) -> None:
    arrays: dict[str, Floats] = {}
    for name, entry in sorted(imatrix.entries.items()):
        arrays[name + SUMS] = entry.sums.astype(np.float32)
        arrays[name + COUNTS] = entry.counts.astype(np.float32)[:, None]
    with GGUFWriter(imatrix.source) as writer:
        writer.add("general.type", "imatrix")
        writer.add(DATASETS, list(imatrix.datasets), ValueType.ARRAY, ValueType.STRING)
        writer.add(CHUNK_COUNT, imatrix.chunks, ValueType.UINT32)
        writer.add(CHUNK_SIZE, imatrix.chunk_size, ValueType.UINT32)
        for name, array in arrays.items():
            shape = array.shape if len(array) > 1 else array.shape[1:]  # as ggml leaves ones out
            writer.add_tensor_info(name, shape, TensorType.F32)
        for name, array in arrays.items():
            writer.write_tensor(name, array)


def _legacy(imatrix: Imatrix) -> Iterator[bytes]:
    entries = {name: e for name, e in sorted(imatrix.entries.items()) if e.counts.any()}
    yield struct.pack("<i", len(entries))
    for name, entry in entries.items():
        calls = _calls(entry, imatrix.chunk_size)
        values = entry.means.reshape(-1) * np.float32(calls)
        yield _text(name) + struct.pack("<ii", calls, values.size) + values.astype("<f4").tobytes()
    yield struct.pack("<i", min(imatrix.chunks, _MOST)) + _text("".join(imatrix.datasets[-1:]))


def _calls(entry: Entry, chunk_size: int) -> int:
    """Chunks that an entry is of, as its most used matrix says; at least one."""
    return min(-int(-entry.counts.max() // chunk_size), _MOST)


def _text(text: str) -> bytes:
    data = text.encode("utf-8", "surrogateescape")
    return struct.pack("<i", len(data)) + data
