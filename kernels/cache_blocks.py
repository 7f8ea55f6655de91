"""Cached elements in blocks of a quantized format of files, 32 elements each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from pyllama.gguf.types import TensorType
from pyllama.kernels.cache_layout import CELLS, Count, KeyGroup, NewHeads
from pyllama.kernels.formats import FORMATS
from pyllama.kernels.formats.base import NIBBLES, Block, QuantizedFormat, joined_nibbles, with_bit
from pyllama.kernels.language import Builder, Pointer, Value
from pyllama.kernels.types import f32, i8, u8

SIZE = 32
"""Elements of a block."""


@dataclass(frozen=True)
class Blocks:
    """See ``CacheType``; blocks are read by what ``kernels/formats`` knows of their format.

    center: which code stands for 0, where the format's offset says just that.
    """

    type: TensorType
    center: int = 0
    group = SIZE
    row_bytes = CELLS
    unroll = 8

    @property
    def name(self) -> str:
        """As ggml prints it."""
        return self.type.label

    @cached_property
    def format(self) -> QuantizedFormat:
        """How blocks are read."""
        format = FORMATS[self.type]
        assert isinstance(format, QuantizedFormat)
        return format

    @cached_property
    def key_layout(self) -> np.dtype[Any]:
        """The fields of the blocks of ``CELLS`` cells."""
        layout = self.format.layout
        kinds = ((name, layout[name]) for name in layout.names or ())
        return np.dtype([(name, kind.base, (*kind.shape, CELLS)) for name, kind in kinds])

    def head_bytes(self, elements: Count) -> Count:
        """Bytes of one head of one cell."""
        return elements // SIZE * self.format.layout.itemsize

    def groups(self, head_dim: int) -> int:
        """Groups of keys in a head."""
        return head_dim // SIZE

    def keys(self, k: Builder, cells: Pointer, index: Value, head_dim: int) -> KeyGroup:
        """See ``CacheType``."""
        return _KeyBlocks(k, self, cells.at(index * self.key_layout.itemsize))

    def values(self, k: Builder, cell: Pointer, start: Value | int, part: int, n: int) -> Value:
        """See ``CacheType``."""
        first, parts = k.integer(start) // SIZE, []
        for b in range(max(1, n // SIZE)):
            block = self.format.block(cell, first + b)
            (codes,) = self.format.lanes(k, block)
            taken = codes.take(range(part, part + min(n, SIZE)))
            parts.append(_Scaling(k, self, block).of(taken))
        return k.concat(parts)

    @property
    def scratch_bytes(self) -> int:
        """Memory of a worker that ``store`` needs."""
        from pyllama.kernels.encode.lanes import SCRATCH_BYTES

        return SCRATCH_BYTES

    def store(self, k: Builder, new: NewHeads) -> None:
        """See ``CacheType``."""
        # only now: importing the encoders takes 20 ms, and few caches are quantized
        from pyllama.kernels.cache_encoding import store_blocks

        store_blocks(k, self.format, new)


class _CellsOfBlocks(Block):
    """The fields of ``CELLS`` blocks: what is one number in each of them is a vector."""

    def __getattr__(self, name: str) -> Any:
        field = super().__getattr__(name)
        is_single = len(self._layout[name].shape) == 1
        return field.load(0, CELLS) if is_single else field


class _KeyBlocks:
    """Rows of ``qs`` of ``CELLS`` blocks: an element of eight bits, or two of the lower four."""

    def __init__(self, k: Builder, type: Blocks, place: Pointer) -> None:
        self._k, self._block = k, _CellsOfBlocks(place, type.key_layout)
        self._scaling = _Scaling(k, type, self._block)
        self._levels = type.format.levels
        self._has_fifth_bits = "qh" in (type.key_layout.names or ())
        self.rows = type.key_layout["qs"].shape[0]

    def place(self, row: Value) -> Pointer:
        """See ``KeyGroup``."""
        qs: Pointer = self._block.qs
        return qs.at(row * CELLS).of(u8)

    def load(self, row: Value, ahead: int) -> list[Value]:
        """See ``KeyGroup``."""
        codes: Value = self._block.qs.load((row + ahead) * CELLS, CELLS)
        if self.rows < SIZE:
            codes = self._two_elements(codes, row, ahead)
        lanes = (range(at, at + CELLS) for at in range(0, codes.type.lanes, CELLS))
        return [self._scaling.of(codes.take(element)) for element in lanes]

    def _two_elements(self, packed: Value, row: Value, ahead: int) -> Value:
        """Lanes of an element of all cells, then of the one that shares its bytes."""
        k = self._k
        codes = joined_nibbles(k, packed)
        if self._has_fifth_bits:  # byte b has those of elements 8b to 8b + 7
            lower = row // 8
            fifth = k.concat([self._block.qh.load(b * CELLS, CELLS) for b in (lower, lower + 2)])
            codes = with_bit(k, codes, (fifth & 1 << ahead).differs(0), 4)
        if self._levels in ((), NIBBLES):
            return codes
        return k.isa.lookup(k, self._levels, codes)


class _Scaling:
    """Scale and offset of a block, or of several side by side."""

    def __init__(self, k: Builder, type: Blocks, block: Block) -> None:
        self._k, self._center = k, type.center
        self._scale, self._offset = type.format.scales_and_offsets(k, [block])

    def of(self, codes: Value) -> Value:
        """What codes stand for, as f32."""
        n = codes.type.lanes
        if self._center:  # on bytes, which is cheaper than to add the offset
            return (codes.bits_as(i8 * n) - self._center).to(f32) * self._scale
        if self._offset is None:
            return codes.to(f32) * self._scale
        offset = self._k.splat(self._offset, n // self._offset.type.lanes)
        return self._k.fma(codes.to(f32), self._scale, offset)
