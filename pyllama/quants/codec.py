"""Whole tensors from and to the bytes of a file."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyllama.errors import PyllamaError
from pyllama.gguf.types import TensorType
from pyllama.quants.block_format import FORMATS, Blocks, Encodable, Floats, Weighable

CHUNK_ELEMENTS = 1 << 16
"""Elements converted at a time: bounds temporary memory to a few megabytes, whatever the tensor."""


def dequantize(data: Any, type: TensorType, shape: tuple[int, ...]) -> Floats:
    """The tensor stored in ``data``, as a new float32 array.

    ``data`` is an array or contiguous buffer of exactly the bytes that ``shape`` takes. Shapes are
    in NumPy's order: the last dimension is contiguous, and blocks run along it.

    Raises PyllamaError where the type cannot be decoded, or bytes, shape and type do not agree.
    """
    block_format = FORMATS.get(type)
    if block_format is None:
        known = _labels(FORMATS)
        raise PyllamaError(f"cannot dequantize tensor type {_label(type)}; known types: {known}")
    stored = _as_bytes(data)
    n_blocks = _count_blocks(type, shape)
    size = n_blocks * type.block_bytes
    if stored.size != size:
        tensor = f"{_label(type)} tensor of shape {_text(shape)}"
        raise PyllamaError(f"{tensor} takes {size} bytes, but {stored.size} are given")
    blocks = stored.view(block_format.dtype)
    values = np.empty((n_blocks, type.block_size), np.float32)
    for part in _chunks(n_blocks, type):
        values[part] = block_format.dequantize(blocks[part])
    return values.reshape(shape)


def quantize(
    values: ArrayLike, type: TensorType, importance: Floats | None = None
) -> NDArray[np.uint8]:
    """``values`` rounded to ``type``: the bytes of its blocks in order, shape (bytes,).

    ``values`` are taken as float32; blocks run along the last dimension. ``importance``: how much
    the squared error of each column counts, float32 (columns,), finite and not negative; formats
    that have no use for it (scalars, Q8_0, ternary ones, MXFP4) disregard it.

    Raises PyllamaError where the type has no encoder or does not fit the last dimension, or the
    importance is that of another number of columns.
    """
    block_format = FORMATS.get(type)
    if not isinstance(block_format, Encodable):
        raise PyllamaError(
            f"cannot quantize to tensor type {_label(type)}; possible: {_labels(encodable_types())}"
        )
    with np.errstate(over="ignore"):
        source = np.asarray(values, np.float32)
    n_blocks = _count_blocks(type, source.shape)
    blocks = np.empty(n_blocks, block_format.dtype)
    if importance is None or not isinstance(block_format, Weighable):
        groups = source.reshape(n_blocks, type.block_size)
        for part in _chunks(n_blocks, type):
            blocks[part] = block_format.quantize(groups[part])
    elif n_blocks:
        _quantize_rows(source.reshape(-1, source.shape[-1]), importance, block_format, blocks)
    return blocks.view(np.uint8)


def encodable_types() -> frozenset[TensorType]:
    """The types that ``quantize`` can make."""
    return frozenset(type for type, format in FORMATS.items() if isinstance(format, Encodable))


def _quantize_rows(
    rows: Floats, importance: Floats, block_format: Weighable, blocks: Blocks
) -> None:
    columns = rows.shape[1]
    if importance.shape != (columns,):
        raise PyllamaError(
            f"importance of shape {_text(importance.shape)} does not fit rows of {columns}"
        )
    by_row = blocks.reshape(len(rows), -1)
    step = max(1, CHUNK_ELEMENTS // columns)
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        by_row[part] = block_format.quantize_rows(rows[part], importance).reshape(
            -1, by_row.shape[1]
        )


def _as_bytes(data: Any) -> NDArray[np.uint8]:
    """The memory of a buffer or array as (bytes,), without a copy where it is contiguous."""
    if isinstance(data, np.ndarray):
        return np.ascontiguousarray(data).reshape(-1).view(np.uint8)
    return np.frombuffer(data, np.uint8)


def _count_blocks(type: TensorType, shape: tuple[int, ...]) -> int:
    """Blocks of a tensor; refuses shapes that blocks do not divide."""
    row = shape[-1] if shape else 1
    if any(size < 0 for size in shape) or row % type.block_size:
        raise PyllamaError(
            f"shape {_text(shape)} does not fit {_label(type)}: "
            f"the last dimension must be a multiple of {type.block_size}"
        )
    return math.prod(shape) // type.block_size


def _chunks(n_blocks: int, type: TensorType) -> Iterator[slice]:
    step = CHUNK_ELEMENTS // type.block_size
    return (slice(start, start + step) for start in range(0, n_blocks, step))


def _label(type: int) -> str:
    return type.label if isinstance(type, TensorType) else str(type)


def _labels(types: Any) -> str:
    return ", ".join(_label(type) for type in sorted(types))


def _text(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "()"
