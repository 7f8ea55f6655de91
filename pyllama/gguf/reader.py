"""Opens a GGUF model: metadata parsed, tensors memory-mapped in place."""

from __future__ import annotations

import mmap
import os
import stat
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from pyllama.errors import FileError, UsageError
from pyllama.gguf.fields import Field
from pyllama.gguf.header import Header, read_header
from pyllama.gguf.split import check_part, check_present, check_total, part_paths
from pyllama.gguf.tensors import TensorInfo
from pyllama.gguf.wording import AGAIN, quoted


@dataclass(slots=True)
class _Part:
    """One file: its parsed header and its bytes, mapped read-only."""

    path: Path
    header: Header
    mapping: mmap.mmap
    bytes: NDArray[np.uint8]

    def close(self) -> None:
        self.bytes = np.empty(0, np.uint8)
        with suppress(BufferError):  # views are still in use; the last one to go unmaps the file
            self.mapping.close()


class GGUFFile:
    """An open GGUF model, of one file or split over several.

    Immutable, so that any number of threads can share it. Tensor data are views of the page cache;
    they stay valid after ``close``, which gives the mapping back when the last view is gone.

    Attributes:
        path: the file that was opened; of a split model the first part.
        paths: all parts.
        version: of the format, 2 or 3.
        alignment: of the tensor data in bytes.
        fields: metadata with types, in the file's order.
        metadata: the values alone: ``int``, ``float``, ``bool``, ``str``; arrays of numbers as
            read-only NumPy arrays, arrays of strings as ``StringArray``. Text that is not UTF-8
            keeps its odd bytes as lone surrogates (``surrogateescape``).
        tensors: by name, in the file's order.
    """

    def __init__(self, parts: list[_Part]) -> None:
        """Use ``open``."""
        first = parts[0]
        self.path = first.path
        self.paths = tuple(part.path for part in parts)
        self.version = first.header.version
        self.alignment = first.header.alignment
        self.fields: Mapping[str, Field] = MappingProxyType(first.header.fields)
        self.metadata: Mapping[str, Any] = MappingProxyType(
            {key: field.value for key, field in self.fields.items()}
        )
        self.tensors: Mapping[str, TensorInfo] = MappingProxyType(_join_tensors(parts))
        self._parts = parts

    @classmethod
    def open(cls, path: str | PathLike[str]) -> Self:
        """Open a model; of a split one, its first part.

        Raises ``FileError`` for whatever is wrong with the file or one of its parts.
        """
        path = Path(path)
        with ExitStack() as opened:
            parts: list[_Part] = []

            def open_next(part_path: Path) -> Header:
                parts.append(_open_part(part_path, len(parts)))
                opened.callback(parts[-1].close)
                return parts[-1].header

            fields = open_next(path).fields
            paths = part_paths(path, fields)
            for index, part_path in enumerate(paths[1:], start=1):
                check_present(part_path, index, len(paths))
                check_part(part_path, open_next(part_path).fields, index, len(paths))
            file = cls(parts)
            if len(parts) > 1:
                check_total(path, fields, len(file.tensors))
            opened.pop_all()
        return file

    def data(self, name: str) -> NDArray[np.uint8]:
        """The bytes of a tensor: uint8 ``(n_bytes,)``, read-only, a view of the mapped file.

        Raises ``FileError`` if there is no such tensor or the file has shrunk, ``UsageError`` if
        it is closed.
        """
        if not self._parts:
            raise UsageError(f"{self.path}: the file is closed")
        tensor = self.tensors.get(name)
        if tensor is None:
            raise FileError(self.path, f"has no tensor {quoted(name)}")
        part = self._parts[tensor.part]
        end = tensor.offset + tensor.n_bytes
        if part.mapping.size() < end:  # reading mapped pages beyond the end would kill the process
            raise FileError(part.path, "the file has shrunk since it was opened", AGAIN)
        return part.bytes[tensor.offset : end]

    def release(self, name: str, start: int = 0, end: int | None = None) -> None:
        """Let go of the memory that the data of a tensor occupy, where the system can.

        ``start``, ``end``: which bytes of them, all by default. Reading them again reads the file
        again.
        """
        tensor = self.tensors[name]
        end = tensor.offset + (tensor.n_bytes if end is None else end)
        start = (tensor.offset + start) // mmap.PAGESIZE * mmap.PAGESIZE
        if self._parts and start < end and hasattr(mmap, "MADV_DONTNEED"):
            self._parts[tensor.part].mapping.madvise(mmap.MADV_DONTNEED, start, end - start)

    def close(self) -> None:
        """Give the mapping back, at the latest when the last view of it is gone."""
        parts, self._parts = self._parts, []
        for part in parts:
            part.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<GGUFFile {self.path}: {len(self.fields)} keys, {len(self.tensors)} tensors>"


def _open_part(path: Path, index: int) -> _Part:
    try:
        _require_regular(path)
        with path.open("rb") as stream:
            size = _size_of(stream)
            header = read_header(stream, path, size, index)
            mapping = _map(stream, path, size)
    except OSError as error:
        raise FileError.from_os_error(path, error) from error
    return _Part(path, header, mapping, np.frombuffer(mapping, np.uint8))


def _require_regular(path: Path) -> None:
    """Anything else cannot be mapped, and opening a pipe would wait for its writer."""
    try:
        mode = path.stat().st_mode
    except ValueError as error:
        raise FileError(path, f"no file can have this name ({error})", "check the path") from error
    if stat.S_ISDIR(mode):
        raise FileError(path, "is a directory", "name a .gguf file")
    if not stat.S_ISREG(mode):
        raise FileError(path, "is not a regular file", "name a .gguf file")


def _size_of(stream: BinaryIO) -> int:
    return os.fstat(stream.fileno()).st_size


def _map(stream: BinaryIO, path: Path, size: int) -> mmap.mmap:
    try:
        mapping = mmap.mmap(stream.fileno(), size, access=mmap.ACCESS_READ)
    except ValueError as error:
        raise FileError(path, "the file shrank while it was read", AGAIN) from error
    if hasattr(mmap, "MADV_HUGEPAGE"):
        # pages of 2 MB, where the file system has them, spare look-ups that cost a third of the
        # bandwidth; a kernel without them says no, and that is all
        with suppress(OSError):
            mapping.madvise(mmap.MADV_HUGEPAGE)
    return mapping


def _join_tensors(parts: list[_Part]) -> dict[str, TensorInfo]:
    tensors: dict[str, TensorInfo] = {}
    for part in parts:
        for name, tensor in part.header.tensors.items():
            if name in tensors:
                holder = parts[tensors[name].part].path.name
                raise FileError(part.path, f"tensor {quoted(name)} is also in {holder}", AGAIN)
            tensors[name] = tensor
    return tensors
