"""Formats of 32 weights with one scale: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0.

The bit layouts are drawn in ``pyllama/quants``. In the four- and five-bit formats byte ``j`` holds
weight ``j`` in its low and weight ``j + 16`` in its high half.
"""

from __future__ import annotations

from pyllama.gguf.types import TensorType
from pyllama.kernels.formats.base import NIBBLES, Block, QuantizedFormat, joined_nibbles, with_bit
from pyllama.kernels.formats.stripes import StripedNibbles
from pyllama.kernels.language import Builder, Value
from pyllama.kernels.types import f32, u32


class _Scaled(QuantizedFormat):
    """One f16 scale ``d`` for the 32 weights."""

    group = 32
    gathers = True

    def scales(self, k: Builder, block: Block) -> Value:
        return block.d.to(f32)


class Q8_0(_Scaled):
    """``d * q``, q: i8."""

    type = TensorType.Q8_0
    is_signed = True

    def lanes(self, k: Builder, block: Block) -> list[Value]:
        return [block.qs.load(0, 32)]


class _Centered(_Scaled):
    """``d * (q - center)``."""

    offset_group = 32
    center: int

    def offsets(self, k: Builder, block: Block, scales: Value) -> Value | None:
        return scales * -self.center


class Q4_0(_Centered, StripedNibbles):
    """``d * (q - 8)``, q: 4 bits."""

    type = TensorType.Q4_0
    largest = 15
    levels = NIBBLES
    center = 8


class Q4_1(_Scaled, StripedNibbles):
    """``d * q + m``, q: 4 bits."""

    type = TensorType.Q4_1
    offset_group = 32
    largest = 15
    levels = NIBBLES

    def offsets(self, k: Builder, block: Block, scales: Value) -> Value | None:
        return _minimum(block)


class Q5_0(_Centered):
    """``d * (q - 16)``, q: 4 bits in ``qs`` and the fifth in ``qh``."""

    type = TensorType.Q5_0
    center = 16

    def lanes(self, k: Builder, block: Block) -> list[Value]:
        low = joined_nibbles(k, block.qs.load(0, 16))
        return [with_bit(k, low, k.isa.bits(k, _fifth_bits(block)), 4)]


class Q5_1(Q5_0):
    """``d * q + m``, q: 5 bits."""

    type = TensorType.Q5_1

    def offsets(self, k: Builder, block: Block, scales: Value) -> Value | None:
        return _minimum(block)


def _minimum(block: Block) -> Value:
    """``m`` of one block, or of several."""
    m: Value = block.m
    return m.to(f32)


def _fifth_bits(block: Block) -> Value:
    """Bit ``i`` belongs to weight ``i``."""
    return block.qh.of(u32)[0]
