"""Cached elements that are numbers of their own."""

from __future__ import annotations

from dataclasses import dataclass

from pyllama.kernels.cache_layout import CELLS, Count, KeyGroup, NewHeads
from pyllama.kernels.language import Builder, Pointer, Value
from pyllama.kernels.types import Type, f32, u8, u16


@dataclass(frozen=True)
class Numbers:
    """See ``CacheType``; ``u16`` stands for bfloat16."""

    name: str
    element: Type
    group = 1
    unroll = 2
    scratch_bytes = 0

    @property
    def row_bytes(self) -> int:
        """Bytes of a row of keys."""
        return CELLS * self.element.bytes

    def head_bytes(self, elements: Count) -> Count:
        """Bytes of one head of one cell."""
        return elements * self.element.bytes

    def read(self, k: Builder, value: Value) -> Value:
        """Stored elements as f32."""
        return k.isa.bf16_to_f32(k, value) if self.element == u16 else value.to(f32)

    def write(self, k: Builder, value: Value) -> Value:
        """f32 as stored elements."""
        return k.isa.f32_to_bf16(k, value) if self.element == u16 else value.to(self.element)

    def store(self, k: Builder, new: NewHeads) -> None:
        """See ``CacheType``."""
        side, dim = new.side, new.side.head_dim
        lanes = k.lanes_that_divide(dim)
        with k.loop(new.first, new.end) as token, k.loop(side.kv_heads) as head:
            source = new.x.at((token * side.kv_heads + head) * dim)
            memory, cell = new.place(token, head)
            place = memory.of(self.element)
            with k.loop(0, dim, lanes) as i:
                numbers = self.write(k, source.load(i, lanes))
                if side.side_by_side == 1:
                    place.store(i, numbers)
                else:
                    for lane in range(lanes):
                        place[(i + lane) * side.side_by_side + cell] = numbers.take([lane])

    def groups(self, head_dim: int) -> int:
        """All keys are one group."""
        return 1

    def keys(self, k: Builder, cells: Pointer, index: Value, head_dim: int) -> KeyGroup:
        """See ``CacheType``."""
        return _KeyNumbers(self, cells, head_dim)

    def values(self, k: Builder, cell: Pointer, start: Value | int, part: int, n: int) -> Value:
        """See ``CacheType``."""
        return self.read(k, cell.of(self.element).load(k.integer(start) + part, n))


class _KeyNumbers:
    """Rows of one element of ``CELLS`` cells."""

    def __init__(self, type: Numbers, cells: Pointer, rows: int) -> None:
        self._type, self._cells, self.rows = type, cells.of(type.element), rows

    def place(self, row: Value) -> Pointer:
        """See ``KeyGroup``."""
        return self._cells.at(row * CELLS).of(u8)

    def load(self, row: Value, ahead: int) -> list[Value]:
        """See ``KeyGroup``."""
        numbers = self._cells.load((row + ahead) * CELLS, CELLS)
        return [self._type.read(self._cells.k, numbers)]
