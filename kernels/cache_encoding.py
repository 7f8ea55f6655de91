"""How new keys and values become blocks of the cache."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pyllama.gguf.types import TensorType
from pyllama.kernels.cache_layout import NewHeads
from pyllama.kernels.encode import ENCODERS
from pyllama.kernels.encode.base import Task
from pyllama.kernels.encode.iq4 import OneTryIQ4_NL
from pyllama.kernels.encode.lanes import LANES, BlockBytes, Column, Scratch, load_rows
from pyllama.kernels.formats import QuantizedFormat
from pyllama.kernels.language import Builder, Pointer, Value
from pyllama.kernels.types import f32, u8

_QUICK = {TensorType.IQ4_NL: OneTryIQ4_NL()}
"""Encoders in the place of those of files, which search longer than a step can wait."""


def store_blocks(k: Builder, format: QuantizedFormat, new: NewHeads) -> None:
    """Encode the heads of new tokens, ``LANES`` blocks of whichever heads side by side."""
    side, size = new.side, format.block_size
    per_head = side.head_dim // size
    start, end = (token * side.kv_heads * per_head for token in (new.first, new.end))
    with k.loop(start, end, LANES) as first:
        sources = [new.x.at(k.min(first + i, end - 1) * size) for i in range(LANES)]
        encoded = _encode(k, format, sources, Scratch(new.scratch))
        with k.loop(k.min(end - first, LANES)) as i:
            head, number = (first + i) // per_head, (first + i) % per_head
            cells, cell = new.place(head // side.kv_heads, head % side.kv_heads)
            n = side.side_by_side
            block = cells.at(number * (n * format.layout.itemsize))
            _scatter(k, format.layout, encoded.place.at(i), block, cell, n)


def _encode(
    k: Builder, format: QuantizedFormat, sources: Sequence[Pointer], scratch: Scratch
) -> Column:
    """The bytes of ``LANES`` blocks."""
    values, weights = (scratch.column(f32, format.block_size) for _ in range(2))
    encoded = scratch.column(u8, format.layout.itemsize)
    with k.loop(format.layout.itemsize) as byte:
        encoded[byte] = k.zero(u8 * LANES)
    load_rows(k, sources, values, format.block_size)
    out = BlockBytes(encoded, format.layout)
    encoder = _QUICK.get(format.type) or ENCODERS[format.type]
    encoder.encode(Task(k, values, weights, None, out, scratch, None))
    return encoded


def _scatter(
    k: Builder, layout: np.dtype[Any], block: Pointer, target: Pointer, cell: Value, n: int
) -> None:
    """Write a block, whose bytes stand ``LANES`` apart, among those of ``n`` cells."""
    for dtype, offset, *_ in (layout.fields or {}).values():
        size = dtype.base.itemsize
        with k.loop(dtype.itemsize // size) as i:
            for byte in range(size):
                place = (i * n + cell) * size + (offset * n + byte)
                target[place] = block[(i * size + (offset + byte)) * LANES]
