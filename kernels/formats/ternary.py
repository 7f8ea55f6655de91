"""Formats of few levels: TQ1_0, TQ2_0, Q1_0, Q2_0.

The bit layouts are drawn in ``pyllama/quants/ternary.py``. One scale serves the whole block; it is
given once for each 32 weights, as activations have a scale for so many.
"""

from __future__ import annotations

from pyllama.gguf.types import TensorType
from pyllama.kernels.formats.base import CHUNK, Block, QuantizedFormat, two_bits
from pyllama.kernels.formats.stripes import CHUNKS, StripedFormat, striped_planes
from pyllama.kernels.language import Builder, Value
from pyllama.kernels.types import f32, u8, u32, u64


class _Levels(QuantizedFormat):
    """``d * (level - 1)``."""

    group = offset_group = CHUNK
    gathers = True

    def scales(self, k: Builder, block: Block) -> Value:
        return _repeated(block.d.to(f32), self.block_size // CHUNK)

    def offsets(self, k: Builder, block: Block, scales: Value) -> Value | None:
        return -scales


class TQ2_0(StripedFormat, _Levels):
    """Levels of 2 bits, in planes of 32 bytes."""

    type = TensorType.TQ2_0
    largest = 2

    def lanes(self, k: Builder, block: Block) -> list[Value]:
        return two_bits(block)

    def stripes(self, k: Builder, block: Block) -> list[Value]:
        return striped_planes(k, block.qs.of(u64).load(0, CHUNKS), 2, 3)


class TQ1_0(_Levels):
    """Levels that are digits of base 3, five a byte; the last four bytes hold four each."""

    type = TensorType.TQ1_0

    def lanes(self, k: Builder, block: Block) -> list[Value]:
        first = _digits(block.qs.load(0, 32), 5)
        second = _digits(block.qs.load(32, 16), 5)
        last = k.concat(_digits(block.qh.load(0, 4), 4))
        return [*first, k.concat(second[:2]), k.concat(second[2:4]), k.concat([second[4], last])]


class Q2_0(_Levels):
    """Levels of 2 bits in plain order."""

    type = TensorType.Q2_0

    def lanes(self, k: Builder, block: Block) -> list[Value]:
        chunks = []
        for start in (0, 8):
            four = block.qs.load(start, 8).to(u32)
            apart = four | four << 6 | four << 12 | four << 18
            chunks.append((apart & 0x03030303).bits_as(u8 * CHUNK))
        return chunks


class Q1_0(QuantizedFormat):
    """``d`` where the bit is set, else ``-d``."""

    type = TensorType.Q1_0
    group = offset_group = CHUNK
    gathers = True

    def lanes(self, k: Builder, block: Block) -> list[Value]:
        masks = block.qs.of(u32)
        return [k.isa.bits(k, masks[c]).to(u8) for c in range(4)]

    def scales(self, k: Builder, block: Block) -> Value:
        return _repeated(block.d.to(f32) * 2, 4)

    def offsets(self, k: Builder, block: Block, scales: Value) -> Value | None:
        return scales * -0.5


def _repeated(values: Value, times: int) -> Value:
    """Every lane so many times."""
    return values.take([i // times for i in range(values.type.lanes * times)])


def _digits(packed: Value, count: int) -> list[Value]:
    """The first digits of every byte, which is a fraction of 256: ``floor(byte * 3 / 256)``.

    Three times the byte, modulo 256, is what is left of the fraction.
    """
    digits = []
    for _ in range(count):
        digits.append((packed >= 86).to(u8) + (packed >= 171).to(u8))
        packed = packed + packed + packed
    return digits
