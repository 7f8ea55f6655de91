"""Turns Python and NumPy values into the bytes of metadata values.

All functions raise ``ValueError``, with the problem as its text, for a value that does not fit.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from pyllama.gguf.strings import StringArray
from pyllama.gguf.types import NUMERIC_TYPES, ValueType

_BY_DTYPE = {type.dtype: type for type in NUMERIC_TYPES}

_SCALAR_INTEGERS = (ValueType.UINT32, ValueType.INT32, ValueType.UINT64, ValueType.INT64)
# Signed first: llama.cpp and its converters write arrays of small integers as INT32.
_ARRAY_INTEGERS = (ValueType.INT32, ValueType.UINT32, ValueType.INT64, ValueType.UINT64)


def resolve_types(
    value: Any, type: ValueType | None, element_type: ValueType | None
) -> tuple[ValueType, ValueType | None]:
    """The types of a value and of its elements; those that are None are inferred.

    A Python int becomes the first of UINT32, INT32, UINT64, INT64 that holds it, a float FLOAT32;
    integers in a list become the first of INT32, UINT32, INT64, UINT64 that holds all of them.
    NumPy values keep their type.
    """
    is_array = _is_array(value)
    if type is None:
        type = ValueType.ARRAY if is_array else _scalar_type(value)
    if type is not ValueType.ARRAY:
        if element_type is not None:
            raise ValueError(f"is a {type.name}, which has no elements")
        return type, None
    if not is_array:
        raise ValueError(f"needs a list or an array, not {value!r:.60}")
    if element_type is None:
        element_type = _element_type(value)
    if element_type is ValueType.ARRAY:
        raise ValueError("is an array of arrays, which GGUF does not allow")
    return type, element_type


def encode(value: Any, type: ValueType, element_type: ValueType | None) -> bytes:
    """Type number and value as they stand in the file."""
    if element_type is None:
        item = value.item() if isinstance(value, np.generic | np.ndarray) else value
        return struct.pack("<i", type) + _encode_items([item], type)
    head = struct.pack("<iiQ", type, element_type, len(value))
    return head + _encode_items(value, element_type)


def _is_array(value: Any) -> bool:
    return isinstance(value, list | tuple | StringArray) or (
        isinstance(value, np.ndarray) and value.ndim > 0
    )


def _scalar_type(value: Any) -> ValueType:
    if isinstance(value, np.generic | np.ndarray):
        return _numpy_type(value.dtype)
    if isinstance(value, str):
        return ValueType.STRING
    if isinstance(value, bool):
        return ValueType.BOOL
    if isinstance(value, int):
        return _integer_type([value], _SCALAR_INTEGERS)
    if isinstance(value, float):
        return ValueType.FLOAT32
    raise ValueError(f"has a value of the type {value.__class__.__name__}, which GGUF cannot hold")


def _element_type(values: Any) -> ValueType:
    if isinstance(values, StringArray):
        return ValueType.STRING
    if isinstance(values, np.ndarray):
        return _numpy_type(values.dtype)
    if not values:
        raise ValueError("is an empty list; give its element type")
    kinds = {_kind(value) for value in values}
    if kinds == {int}:
        return _integer_type(values, _ARRAY_INTEGERS)
    if kinds <= {str, bytes}:
        return ValueType.STRING
    if kinds <= {int, float}:
        return ValueType.FLOAT32
    if kinds == {bool}:
        return ValueType.BOOL
    names = ", ".join(sorted(kind.__name__ for kind in kinds))
    raise ValueError(f"is a list of {names}, which GGUF cannot hold")


def _kind(value: Any) -> type[Any]:
    plain: object = value.item() if isinstance(value, np.generic) else value
    return plain.__class__


def _numpy_type(dtype: np.dtype[Any]) -> ValueType:
    if dtype.newbyteorder("<") not in _BY_DTYPE:
        raise ValueError(f"has NumPy values of the type {dtype}, which GGUF cannot hold")
    return _BY_DTYPE[dtype.newbyteorder("<")]


def _integer_type(values: Sequence[int], candidates: Sequence[ValueType]) -> ValueType:
    low, high = min(values), max(values)
    for type in candidates:
        limits = np.iinfo(type.dtype.str)
        if limits.min <= low and high <= limits.max:
            return type
    raise ValueError(f"has integers from {low} to {high}, which no 64-bit type holds")


def _encode_items(values: Any, type: ValueType) -> bytes:
    if type is ValueType.STRING:
        return values.encoded if isinstance(values, StringArray) else _encode_strings(values)
    if isinstance(values, np.ndarray):
        if values.ndim != 1:
            raise ValueError(f"has {values.ndim} dimensions, GGUF arrays have one")
        if values.dtype == type.dtype:
            return values.tobytes()
        values = values.tolist()
    if type is ValueType.BOOL and not all(isinstance(v, bool | np.bool_) for v in values):
        raise ValueError("is a BOOL but its value is not")
    try:
        return struct.pack(f"<{len(values)}{type.code}", *values)
    except (struct.error, OverflowError) as error:
        raise ValueError(f"does not fit {type.name}: {error}") from None


def _encode_strings(texts: Sequence[str | bytes]) -> bytes:
    pieces: list[bytes] = []
    for text in texts:
        raw = text if isinstance(text, bytes) else _utf8(text)
        pieces += (len(raw).to_bytes(8, "little"), raw)
    return b"".join(pieces)


def _utf8(text: str) -> bytes:
    if not isinstance(text, str):
        raise ValueError(f"is a STRING but its value is not: {text!r:.60}")
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise ValueError(f"has a text that UTF-8 cannot hold: {text!r:.60}") from None
