"""Writes a GGUF file as a stream: metadata, tensor table, then one tensor after the other.

Memory holds the metadata and the table; of the tensors only what the caller passes in.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from os import PathLike
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pyllama.errors import FileError, UsageError
from pyllama.gguf.atomic import AtomicFile
from pyllama.gguf.fields import ALIGNMENT_KEY, MAX_KEY_BYTES, Field
from pyllama.gguf.tensors import (
    MAX_ALIGNMENT,
    MAX_NAME_BYTES,
    TensorInfo,
    is_alignment,
    padded,
    tensor_bytes,
)
from pyllama.gguf.types import DEFAULT_ALIGNMENT, MAGIC, VERSION, TensorType, ValueType
from pyllama.gguf.values import encode, resolve_types
from pyllama.gguf.wording import counted, quoted

Bytes = bytes | bytearray | memoryview | NDArray[Any]


class GGUFWriter:
    """A GGUF file (version 3, little-endian) that appears whole or not at all.

    Use it in a ``with`` block: first every ``add`` and ``add_tensor_info``, then ``write_tensor``
    for each tensor in the order of their declaration. The file takes its name at the clean end of
    the block; an existing one stays untouched until then. Any exception removes what was written.

    Raises ``FileError`` for content that the format cannot hold and for failures of the operating
    system, ``UsageError`` for calls out of order.
    """

    def __init__(self, path: str | PathLike[str], alignment: int = DEFAULT_ALIGNMENT) -> None:
        """``alignment``: of the tensor data in bytes, a power of two."""
        self._output = AtomicFile(path)
        self.path = self._output.path
        if not is_alignment(alignment):
            raise UsageError(
                f"{self.path}: alignment {alignment} is not a power of two up to {MAX_ALIGNMENT}"
            )
        self.alignment = alignment
        self._fields: dict[str, bytes] = {}
        self._tensors: dict[str, TensorInfo] = {}
        self._data_start = 0
        self._data_end = 0
        self._unwritten: Iterator[TensorInfo] | None = None

    def add(
        self,
        key: str,
        value: Any,
        type: ValueType | None = None,
        element_type: ValueType | None = None,
    ) -> None:
        """Add a metadata value; types that are not given are inferred.

        A ``Field`` keeps its types. ``str`` is a STRING, ``bool`` a BOOL, ``float`` a FLOAT32; an
        ``int`` becomes the first of UINT32, INT32, UINT64, INT64 that holds it, integers in a list
        the first of INT32, UINT32, INT64, UINT64 that holds all. NumPy values keep their type.
        Text that is not UTF-8 is given with surrogate escapes, or as ``bytes`` with its type.
        """
        self._require_open_header()
        if isinstance(value, Field):
            value, type, element_type = value.value, value.type, value.element_type
        self._check_name(key, "metadata key", self._fields, MAX_KEY_BYTES)
        if not key:
            raise self._error("a metadata key is empty")
        try:
            type, element_type = resolve_types(value, type, element_type)
            encoded = encode(value, type, element_type)
        except ValueError as problem:
            raise self._error(f"metadata key {quoted(key)} {problem}") from None
        if key == ALIGNMENT_KEY and encoded != self._encoded_alignment():
            remedy = f"give the writer alignment={value!r:.20}"
            raise self._error(f"{key} does not match the alignment {self.alignment}", remedy)
        self._fields[key] = encoded

    def add_tensor_info(self, name: str, shape: Iterable[int], type: TensorType) -> None:
        """Declare the next tensor; ``shape`` in NumPy order, in elements, outermost first."""
        self._require_open_header()
        self._check_name(name, "tensor", self._tensors, MAX_NAME_BYTES)
        shape = tuple(int(n) for n in shape)
        try:
            n_bytes = tensor_bytes(shape, type)
        except ValueError as problem:
            raise self._error(f"tensor {quoted(name)} {problem}") from None
        self._tensors[name] = TensorInfo(name, shape, type, n_bytes, self._data_end)
        self._data_end = padded(self._data_end + n_bytes, self.alignment)

    def write_tensor(self, name: str, data: Bytes | Iterable[Bytes]) -> None:
        """Write the data of the next declared tensor.

        ``data``: a buffer or array, or an iterable of them, that hold exactly the tensor's bytes;
        arrays are written in C order and little-endian.
        """
        tensor = next(self._begin_data(), None)
        if tensor is None or tensor.name != name:
            expected = quoted(tensor.name) if tensor else "none"
            raise UsageError(f"{self.path}: tensor {quoted(name)} written, {expected} is next")
        written = 0
        for piece in _pieces(data):
            written += len(piece)
            if written > tensor.n_bytes:
                break
            self._output.write(piece)
        if written != tensor.n_bytes:
            more = "or more " if written > tensor.n_bytes else ""
            raise UsageError(
                f"{self.path}: tensor {quoted(name)} got {written} bytes {more}"
                f"where its shape {tensor.shape} in {tensor.type.label} needs {tensor.n_bytes}"
            )
        self._pad()

    def __enter__(self) -> Self:
        self._output.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._output.__exit__(kind, error, trace)
            return
        try:
            self._finish()
        except BaseException as failure:
            self._output.__exit__(failure.__class__, failure, failure.__traceback__)
            raise
        self._output.__exit__(None, None, None)

    def _finish(self) -> None:
        missing = list(self._begin_data())
        if missing:
            names = f"{counted(len(missing), 'tensor')} from {quoted(missing[0].name)} on"
            raise UsageError(f"{self.path}: {names} declared but not written")
        if self._output.size != self._data_start + self._data_end:
            raise UsageError(f"{self.path}: a tensor failed and was not written whole")

    def _begin_data(self) -> Iterator[TensorInfo]:
        """The tensors that are still to be written; the first call writes the header."""
        if self._unwritten is None:
            self._write_header()
            self._data_start = self._output.size
            self._unwritten = iter(self._tensors.values())
        return self._unwritten

    def _write_header(self) -> None:
        if self.alignment != DEFAULT_ALIGNMENT and ALIGNMENT_KEY not in self._fields:
            self._fields[ALIGNMENT_KEY] = self._encoded_alignment()
        head = MAGIC + struct.pack("<Iqq", VERSION, len(self._tensors), len(self._fields))
        self._output.write(head)
        for name, rest in self._header_entries():
            raw = name.encode()
            self._output.write(struct.pack("<Q", len(raw)) + raw + rest)
        self._pad()

    def _pad(self) -> None:
        self._output.write(bytes(-self._output.size % self.alignment))

    def _header_entries(self) -> Iterator[tuple[str, bytes]]:
        yield from self._fields.items()
        for t in self._tensors.values():
            yield t.name, struct.pack(f"<I{len(t.dims)}qiQ", len(t.dims), *t.dims, t.type, t.offset)

    def _encoded_alignment(self) -> bytes:
        return encode(self.alignment, ValueType.UINT32, None)

    def _require_open_header(self) -> None:
        if self._unwritten is not None:
            raise UsageError(f"{self.path}: metadata and tensors must be declared before any data")

    def _check_name(self, name: str, what: str, known: Mapping[str, Any], limit: int) -> None:
        if name in known:
            raise self._error(f"{what} {quoted(name)} occurs twice")
        try:
            length = len(name.encode())
        except UnicodeEncodeError:
            raise self._error(f"{what} {quoted(name)} is not UTF-8") from None
        if length > limit:
            raise self._error(f"{what} {quoted(name)} has {length} bytes, {limit} are allowed")

    def _error(self, problem: str, remedy: str = "") -> FileError:
        return FileError(self.path, f"cannot be written: {problem}", remedy)


def write_gguf(
    path: str | PathLike[str],
    fields: Mapping[str, Any],
    tensors: Mapping[str, tuple[Iterable[int], TensorType, Bytes | Iterable[Bytes]]],
    alignment: int = DEFAULT_ALIGNMENT,
) -> None:
    """Write a whole file at once.

    ``fields``: values or ``Field``s by key. ``tensors``: (shape, type, data) by name. Raises as
    ``GGUFWriter`` does.
    """
    with GGUFWriter(path, alignment) as writer:
        for key, value in fields.items():
            writer.add(key, value)
        for name, (shape, type, _) in tensors.items():
            writer.add_tensor_info(name, shape, type)
        for name, (_, _, data) in tensors.items():
            writer.write_tensor(name, data)


def _pieces(data: Bytes | Iterable[Bytes]) -> Iterator[memoryview]:
    """The bytes of one or several buffers, as one-dimensional views."""
    if isinstance(data, bytes | bytearray | memoryview | np.ndarray):
        yield _view(data)
        return
    for piece in data:
        yield _view(piece)


def _view(data: Bytes) -> memoryview:
    array = data if isinstance(data, np.ndarray) else np.frombuffer(data, np.uint8)
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return np.ascontiguousarray(little).reshape(-1).view(np.uint8).data
