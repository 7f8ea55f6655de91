"""Metadata values of a GGUF file, as text for tables and as what JSON can hold."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyllama.gguf import Field, StringArray, ValueType

_ITEMS = 6
"""Items of an array that are shown."""

_LONGEST, _LONGEST_ITEM = 72, 24
"""Characters of a text, and of one in an array, that are shown in a table."""


def type_text(field: Field) -> str:
    """``UINT32``; of an array ``STRING[32000]``."""
    if field.element_type is None:
        return field.type.name
    return f"{field.element_type.name}[{_length(field)}]"


def value_text(field: Field, *, full: bool) -> str:
    """The value in one line; unless ``full`` cut to what a table can hold."""
    items = _items(field, None if full else _ITEMS)
    if field.element_type is None:
        return _text(items[0], None if full else _LONGEST)
    texts = [_text(item, None if full else _LONGEST_ITEM) for item in items]
    if len(items) < _length(field):
        texts.append("...")
    return f"[{', '.join(texts)}]"


def value_json(field: Field, *, full: bool) -> dict[str, Any]:
    """Type and value; of an array the number of items and, unless ``full``, only the first.

    JSON has no infinite numbers and no NaN: they become null.
    """
    items = [_finite(item) for item in _items(field, None if full else _ITEMS)]
    described: dict[str, Any] = {"type": field.type.name}
    if field.element_type is None:
        return described | {"value": items[0]}
    described |= {"element_type": field.element_type.name, "count": _length(field)}
    return described | {"value": items}


def _length(field: Field) -> int:
    value = field.value
    return len(value) if isinstance(value, StringArray | np.ndarray) else 1


def _items(field: Field, limit: int | None) -> list[Any]:
    """The value, or the first values of an array, as Python's own types."""
    value = field.value
    if isinstance(value, StringArray):
        return value[:limit]
    if isinstance(value, np.ndarray):
        return _numbers(value[:limit])
    return _numbers(np.array([value], np.float32)) if field.type is ValueType.FLOAT32 else [value]


def _numbers(array: NDArray[Any]) -> list[Any]:
    """Numbers; of float32 the shortest that are the same float32: 1e-05, not 9.99999974e-06."""
    if array.dtype == np.float32:
        return [float(str(number)) for number in array]
    values: list[Any] = array.tolist()
    return values


def _text(value: Any, longest: int | None) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str):
        return str(value)
    if longest is None or len(value) <= longest:
        return repr(value)
    return repr(value[:longest]) + "..."


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
