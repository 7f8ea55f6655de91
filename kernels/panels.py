"""The three ways of a batch matmul behind one interface.

Each way says how tokens are packed, and adds products of some rows of weights with packed tokens
into sums (rows, tokens) in the worker's scratch memory. See ``tile_panels``,
``int8_panels`` and ``float_panels``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from pyllama.gguf.types import TensorType
from pyllama.kernels import activation, amx, float_panels, int8_panels, tile_panels
from pyllama.kernels.isa.base import ISA
from pyllama.kernels.kernel import Fields
from pyllama.kernels.language import Builder, Pointer, Value
from pyllama.kernels.transpose import pack_rows
from pyllama.kernels.types import f32, u8, u32


class Panels(ABC):
    """A way of batch float_panels."""

    name: str
    form: str
    """What is packed: ``float`` rows or ``int8`` records."""
    task_rows: int | None = None
    """Rows of weights that a task computes, where the way knows no other number."""

    def __repr__(self) -> str:
        return self.name

    @abstractmethod
    def block(self, isa: ISA) -> int:
        """Tokens that are packed and multiplied together."""

    def padded(self, k: Builder, tokens: Value) -> Value:
        """So many tokens in whole blocks."""
        block = self.block(k.isa)
        return (tokens + (block - 1)) // block * block

    @abstractmethod
    def words(self, width: int) -> int:
        """32-bit words of a packed token."""

    @abstractmethod
    def scratch_bytes(self, rows: int, tokens: int, matrices: int = 1) -> int:
        """Scratch memory of a task of so many rows; ``tokens`` are whole blocks."""

    def pack(self, k: Builder, rows: list[Pointer], width: Value, out: Pointer) -> None:
        """Pack the rows of a block of tokens: ``width`` floats each, or their record."""
        pack_rows(k, rows, width, out)

    @abstractmethod
    def multiply(
        self,
        k: Builder,
        a: Fields,
        type: TensorType,
        matrices: list[Pointer],
        count: Value,
        memory: Pointer,
        padded: Value,
    ) -> list[Pointer]:
        """Sums (count, padded) of rows of every matrix with ``a.x``, whole blocks of tokens.

        ``a`` has ``x``, ``words``, ``width``, ``row_bytes`` and ``task_rows``; ``memory`` is the
        worker's scratch memory.
        """


class Tiles(Panels):
    """Tiles of bfloat16."""

    name, form = "tiles", "float"

    def block(self, isa: ISA) -> int:
        """See ``Panels``."""
        return amx.BLOCK

    def words(self, width: int) -> int:
        """See ``Panels``."""
        return tile_panels.packed_bytes(1, width) // u32.bytes

    def scratch_bytes(self, rows: int, tokens: int, matrices: int = 1) -> int:
        """See ``Panels``."""
        return tile_panels.scratch_bytes(rows, tokens, matrices)

    def pack(self, k: Builder, rows: list[Pointer], width: Value, out: Pointer) -> None:
        """See ``Panels``."""
        for i in range(0, amx.BLOCK, amx.EDGE):
            place = out.at(tile_panels.tile_words(width) * (i // amx.EDGE))
            tile_panels.pack_tile(k, rows[i : i + amx.EDGE], width, place)

    def multiply(
        self,
        k: Builder,
        a: Fields,
        type: TensorType,
        matrices: list[Pointer],
        count: Value,
        memory: Pointer,
        padded: Value,
    ) -> list[Pointer]:
        """See ``Panels``."""
        a = a.having(x=a.x.of(u8))
        first = memory.at(a.task_rows * (tile_panels.PANEL_DEPTH * 2)).of(f32)
        sums = [first.at(a.task_rows * padded * m) for m in range(len(matrices))]
        amx.start(k)
        for weights, place in zip(matrices, sums, strict=True):
            tile_panels.accumulate(k, a, type, weights, count, memory, place, padded)
        amx.stop(k)
        return sums


class Integers(Panels):
    """Integer dot products."""

    name, form = "int8", "int8"
    task_rows = int8_panels.PANEL_ROWS

    def block(self, isa: ISA) -> int:
        """See ``Panels``."""
        return int8_panels.tile_tokens(isa)

    def words(self, width: int) -> int:
        """See ``Panels``."""
        return activation.record_bytes(width) // u32.bytes

    def scratch_bytes(self, rows: int, tokens: int, matrices: int = 1) -> int:
        """See ``Panels``."""
        return int8_panels.scratch_bytes(tokens, matrices)

    def pack(self, k: Builder, rows: list[Pointer], width: Value, out: Pointer) -> None:
        """See ``Panels``."""
        int8_panels.pack(k, rows, width, out)

    def multiply(
        self,
        k: Builder,
        a: Fields,
        type: TensorType,
        matrices: list[Pointer],
        count: Value,
        memory: Pointer,
        padded: Value,
    ) -> list[Pointer]:
        """See ``Panels``."""
        panel = int8_panels.Panel(k, type, memory)
        sums = [panel.end.at(a.task_rows * padded * m) for m in range(len(matrices))]
        for weights, place in zip(matrices, sums, strict=True):
            int8_panels.accumulate(k, a, weights, count, panel, place, padded)
        return sums


class Floats(Panels):
    """Float32."""

    name, form = "floats", "float"
    task_rows = float_panels.PANEL_ROWS

    def block(self, isa: ISA) -> int:
        """See ``Panels``."""
        return float_panels.tile_tokens(isa)

    def words(self, width: int) -> int:
        """See ``Panels``."""
        return width

    def scratch_bytes(self, rows: int, tokens: int, matrices: int = 1) -> int:
        """See ``Panels``."""
        return float_panels.scratch_bytes(tokens, matrices)

    def multiply(
        self,
        k: Builder,
        a: Fields,
        type: TensorType,
        matrices: list[Pointer],
        count: Value,
        memory: Pointer,
        padded: Value,
    ) -> list[Pointer]:
        """See ``Panels``."""
        a, panel = a.having(x=a.x.of(f32)), memory.of(f32)
        first = panel.at(float_panels.PANEL_ROWS * float_panels.DEPTH)
        sums = [first.at(a.task_rows * padded * m) for m in range(len(matrices))]
        for weights, place in zip(matrices, sums, strict=True):
            float_panels.accumulate(k, a, type, weights, count, panel, place, padded)
        return sums


TILES, INTEGERS, FLOATS = Tiles(), Integers(), Floats()
PANELS: dict[str, Panels] = {way.name: way for way in (TILES, INTEGERS, FLOATS)}
