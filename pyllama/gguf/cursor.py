"""Reads a GGUF header from front to back, and never past what the file holds.

The header is read, not mapped: a file that shrinks while it is open then gives an error and not a
SIGBUS, and the strings do not pin pages of the file. It is read in growing pieces, so that nothing
is allocated which the file does not fill.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from pyllama.errors import FileError
from pyllama.gguf.strings import LENGTH_BYTES, StringArray
from pyllama.gguf.types import NUMERIC_TYPES, ValueType
from pyllama.gguf.wording import AGAIN

MAX_HEADER_BYTES = 2**30
_FIRST_PIECE = 4 * 2**20

_SCALARS = {t: struct.Struct("<" + t.code) for t in NUMERIC_TYPES}
_read_length = struct.Struct("<Q").unpack_from


class Cursor:
    """A position in a file's header, with typed reads that advance it.

    ``section`` says what is being read; errors name it. Every read raises ``FileError`` where the
    file ends too early, and ``OSError`` where the operating system cannot read it.
    """

    def __init__(self, stream: BinaryIO, path: Path, size: int) -> None:
        self.path = path
        self.size = size
        self.position = 0
        self.section = "the file header"
        self._stream = stream
        self._data = b""

    def error(self, problem: str, remedy: str = AGAIN) -> FileError:
        """An error about this file."""
        return FileError(self.path, problem, remedy)

    def peek(self, count: int) -> bytes:
        """Up to ``count`` bytes from the position on, fewer at the end of the file."""
        end = min(self.position + count, self.size)
        return self._load(end)[self.position : end]

    def take(self, count: int) -> bytes:
        """``count`` bytes."""
        end = self.position + count
        taken = self._load(end)[self.position : end]
        self.position = end
        return taken

    def number(self, type: ValueType) -> Any:
        """A number or bool."""
        form = _SCALARS[type]
        raw = self.take(form.size)
        if type is ValueType.BOOL and raw[0] > 1:
            raise self._bad_bool(raw[0])
        return form.unpack(raw)[0]

    def count(self, item_bytes: int, items: str) -> int:
        """A 64-bit count of ``items`` of at least ``item_bytes`` each, checked against the rest."""
        count: int = self.number(ValueType.UINT64)
        rest = self.size - self.position
        if count > rest // item_bytes:
            shown = count if count < 2**63 else count - 2**64
            raise self.error(f"{self.section} claims {shown} {items}, but {rest} bytes follow")
        return count

    def string(self) -> bytes:
        """A string's undecoded bytes."""
        return self.take(self.count(1, "bytes of text"))

    def numbers(self, type: ValueType, count: int) -> NDArray[Any]:
        """``count`` numbers or bools: a read-only, aligned 1-D array."""
        dtype = type.dtype
        raw = self.take(count * dtype.itemsize)
        if type is ValueType.BOOL:
            highest = int(np.frombuffer(raw, np.uint8).max(initial=0))
            if highest > 1:
                raise self._bad_bool(highest)
        return np.frombuffer(raw, dtype)

    def strings(self, count: int) -> StringArray:
        """``count`` strings, measured but not decoded."""
        start = self.position
        bounds = np.fromiter(self._string_bounds(count), np.int64, count + 1)
        region = self.take(int(bounds[-1]) - start)
        bounds -= start
        bounds.setflags(write=False)
        return StringArray(region, bounds)

    def _string_bounds(self, count: int) -> Iterator[int]:
        """Start of each of the next strings, and the end of the last; all lie within the file.

        The one loop of opening a file that runs some 100 000 times: its only check is whether the
        next length is already loaded, which also keeps it inside the file.
        """
        position = self.position
        data = self._data
        last = len(data) - LENGTH_BYTES
        for _ in range(count):
            if position > last:
                data = self._load(position + LENGTH_BYTES)
                last = len(data) - LENGTH_BYTES
            yield position
            position += _read_length(data, position)[0] + LENGTH_BYTES
        self._load(position)
        yield position

    def _load(self, end: int) -> bytes:
        """The file's bytes from 0 up to at least ``end``."""
        loaded = len(self._data)
        if end <= loaded:
            return self._data
        if end > self.size:
            raise self.error(
                f"truncated or corrupt: {self.section} reaches to byte {end}, "
                f"the file has {self.size}"
            )
        if end > MAX_HEADER_BYTES:
            raise self.error(f"corrupt: {self.section} reaches beyond a header of 1 GiB")
        wanted = min(max(end, 2 * loaded, _FIRST_PIECE), self.size) - loaded
        piece = self._stream.read(wanted)
        if len(piece) < wanted:
            raise self.error("the file shrank while it was read")
        self._data += piece
        return self._data

    def _bad_bool(self, value: int) -> FileError:
        return self.error(f"{self.section} is a bool with the value {value}, not 0 or 1")
