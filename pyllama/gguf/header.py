"""Parses the front of a GGUF file, versions 2 and 3, little-endian.

    magic "GGUF" | u32 version | i64 tensors | i64 keys
    key x keys:       string name | i32 value type | value
    tensor x tensors: string name | u32 dims | i64 ne[dims] | i32 type | u64 offset
    zeros up to the alignment
    data of the tensors, in order, each padded to the alignment

    string: u64 length | bytes        array: i32 element type | u64 count | elements

Source: the GGUF specification (ggml repository, docs/gguf.md). Each count is checked against the
bytes that remain before anything is allocated for it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from pyllama.gguf.cursor import Cursor
from pyllama.gguf.fields import ALIGNMENT_KEY, MAX_KEY_BYTES, Field
from pyllama.gguf.foreign import explain_type
from pyllama.gguf.magic import SNIFF_BYTES, explain_magic
from pyllama.gguf.strings import LENGTH_BYTES, StringArray
from pyllama.gguf.tensors import (
    MAX_ALIGNMENT,
    MAX_DIMS,
    MAX_NAME_BYTES,
    TensorInfo,
    is_alignment,
    padded,
    tensor_bytes,
)
from pyllama.gguf.types import DEFAULT_ALIGNMENT, MAGIC, READABLE_VERSIONS, TensorType, ValueType
from pyllama.gguf.wording import quoted

# No real model comes near; they keep a hostile file from filling memory with small objects.
MAX_FIELDS = 2**16
MAX_TENSORS = 2**18

_MIN_FIELD_BYTES = LENGTH_BYTES + 4 + 1
_MIN_TENSOR_BYTES = LENGTH_BYTES + 4 + 4 + 8


@dataclass(frozen=True, slots=True)
class Header:
    """What the front of one file says."""

    version: int
    alignment: int
    fields: dict[str, Field]
    tensors: dict[str, TensorInfo]


def read_header(stream: BinaryIO, path: Path, size: int, part: int = 0) -> Header:
    """Parse and check the header of a file of ``size`` bytes that ``stream`` is at the start of.

    Raises ``FileError`` for everything that is wrong with the file, ``OSError`` if reading fails.
    """
    cursor = Cursor(stream, path, size)
    version = _read_version(cursor)
    n_tensors = _read_count(cursor, _MIN_TENSOR_BYTES, "tensors", MAX_TENSORS)
    n_fields = _read_count(cursor, _MIN_FIELD_BYTES, "keys", MAX_FIELDS)
    fields = _read_fields(cursor, n_fields)
    alignment = _alignment(cursor, fields)
    tensors = _read_tensors(cursor, n_tensors, alignment, part)
    return Header(version, alignment, fields, tensors)


def _read_version(cursor: Cursor) -> int:
    start = cursor.peek(SNIFF_BYTES)
    if not start.startswith(MAGIC):
        raise cursor.error(*explain_magic(start))
    cursor.take(len(MAGIC))
    version: int = cursor.number(ValueType.UINT32)
    if version in READABLE_VERSIONS:
        return version
    if version == 1:
        raise cursor.error("GGUF version 1 is no longer read", "convert the original model again")
    if version and version & 0xFFFF == 0:
        raise cursor.error(
            "the file is big-endian, only little-endian GGUF is read",
            "convert the model for little-endian machines",
        )
    newest = max(READABLE_VERSIONS)
    if version > newest:
        remedy = "update pyllama or convert the model again"
        raise cursor.error(f"GGUF version {version} is newer than {newest}", remedy)
    raise cursor.error(f"bad GGUF version {version}")


def _read_count(cursor: Cursor, item_bytes: int, items: str, limit: int) -> int:
    count = cursor.count(item_bytes, items)
    if count > limit:
        raise cursor.error(f"{cursor.section} claims {count} {items}, more than any model has")
    return count


def _read_name(cursor: Cursor, limit: int) -> str:
    """The name of a key or tensor: valid UTF-8 of at most ``limit`` bytes."""
    length = cursor.count(1, "bytes of name")
    if length > limit:
        raise cursor.error(f"{cursor.section} has a name of {length} bytes, {limit} are allowed")
    raw = cursor.take(length)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        name = quoted(raw.decode("utf-8", "replace"))
        raise cursor.error(f"{cursor.section} has a name that is not UTF-8: {name}") from None


def _read_fields(cursor: Cursor, count: int) -> dict[str, Field]:
    fields: dict[str, Field] = {}
    for i in range(count):
        cursor.section = f"metadata key {i + 1} of {count}"
        key = _read_name(cursor, MAX_KEY_BYTES)
        if not key:
            raise cursor.error(f"{cursor.section} is empty")
        cursor.section = f"metadata key {quoted(key)}"
        if key in fields:
            raise cursor.error(f"{cursor.section} occurs twice")
        fields[key] = _read_field(cursor)
    return fields


def _read_field(cursor: Cursor) -> Field:
    type = _read_value_type(cursor, "value")
    if type is ValueType.STRING:
        return Field(type, cursor.string().decode("utf-8", "surrogateescape"))
    if type is not ValueType.ARRAY:
        return Field(type, cursor.number(type))
    element_type = _read_value_type(cursor, "element")
    if element_type is ValueType.ARRAY:
        raise cursor.error(f"{cursor.section} is an array of arrays, which GGUF does not allow")
    if element_type is ValueType.STRING:
        strings: StringArray = cursor.strings(cursor.count(LENGTH_BYTES, "strings"))
        return Field(type, strings, element_type)
    count = cursor.count(element_type.dtype.itemsize, "numbers")
    return Field(type, cursor.numbers(element_type, count), element_type)


def _read_value_type(cursor: Cursor, what: str) -> ValueType:
    number = cursor.number(ValueType.INT32)
    try:
        return ValueType(number)
    except ValueError:
        raise cursor.error(f"{cursor.section} has the unknown {what} type {number}") from None


def _alignment(cursor: Cursor, fields: dict[str, Field]) -> int:
    field = fields.get(ALIGNMENT_KEY)
    if field is None:
        return DEFAULT_ALIGNMENT
    if field.type is not ValueType.UINT32:
        raise cursor.error(f"{ALIGNMENT_KEY} has the type {field.type.name}, not UINT32")
    assert isinstance(field.value, int)
    if not is_alignment(field.value):
        raise cursor.error(
            f"{ALIGNMENT_KEY} is {field.value}, not a power of two up to {MAX_ALIGNMENT}"
        )
    return field.value


def _read_tensors(cursor: Cursor, count: int, alignment: int, part: int) -> dict[str, TensorInfo]:
    """The tensor table, with the offsets of the file's data in place of those in the table."""
    tensors: dict[str, TensorInfo] = {}
    expected = 0
    for i in range(count):
        cursor.section = f"tensor {i + 1} of {count}"
        name = _read_name(cursor, MAX_NAME_BYTES)
        cursor.section = f"tensor {quoted(name)}"
        if name in tensors:
            raise cursor.error(f"{cursor.section} occurs twice")
        tensor = tensors[name] = _read_tensor(cursor, name, part)
        if tensor.offset != expected:
            raise cursor.error(f"{cursor.section} has the offset {tensor.offset}, not {expected}")
        expected = padded(expected + tensor.n_bytes, alignment)
    data_start = padded(cursor.position, alignment)
    return {name: _placed(cursor, tensor, data_start) for name, tensor in tensors.items()}


def _read_tensor(cursor: Cursor, name: str, part: int) -> TensorInfo:
    """The rest of a line of the table; its offset counts from the start of the data."""
    n_dims = cursor.number(ValueType.UINT32)
    if n_dims > MAX_DIMS:
        raise cursor.error(f"{cursor.section} has {n_dims} dimensions, GGUF allows {MAX_DIMS}")
    shape = struct.unpack(f"<{n_dims}q", cursor.take(8 * n_dims))[::-1]
    type = _read_tensor_type(cursor)
    try:
        n_bytes = tensor_bytes(shape, type)
    except ValueError as problem:
        raise cursor.error(f"{cursor.section} {problem}") from None
    return TensorInfo(name, shape, type, n_bytes, cursor.number(ValueType.UINT64), part)


def _read_tensor_type(cursor: Cursor) -> TensorType:
    number = cursor.number(ValueType.INT32)
    try:
        return TensorType(number)
    except ValueError:
        problem, remedy = explain_type(number)
        raise cursor.error(f"{cursor.section} has {problem}", remedy) from None


def _placed(cursor: Cursor, tensor: TensorInfo, data_start: int) -> TensorInfo:
    placed = replace(tensor, offset=data_start + tensor.offset)
    end = placed.offset + placed.n_bytes
    if end > cursor.size:
        name = quoted(tensor.name)
        raise cursor.error(
            f"incomplete: tensor {name} reaches to byte {end}, the file has {cursor.size}"
        )
    return placed
