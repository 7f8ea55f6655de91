"""Formats of few levels: TQ1_0, TQ2_0, Q1_0, Q2_0.

The bit layouts are drawn in ``pyllama/quants/ternary.py``. One scale serves the whole block; it is
given once for each 32 weights, as activations have a scale for so many.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyllama.gguf.types import TensorType
from pyllama.kernels.formats.base import (
    CHUNK,
    Block,
    Gathered,
    Piece,
    QuantizedFormat,
    Unpacked,
    halves,
    two_bits,
)
from pyllama.kernels.formats.stripes import CHUNKS, StripedFormat, striped_planes
from pyllama.kernels.isa.base import ISA
from pyllama.kernels.language import Builder, Value
from pyllama.kernels.orders import DIGITS, EIGHTHS, LANES, LIFT, STRIPE, Order
from pyllama.kernels.types import f32, u8, u32, u64

TWICE = (0, *(1 << i for i in range(7)))
"""A matrix of bits: each moves up by one."""


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
    largest = 3  # no level, but a file may hold it

    def lanes(self, k: Builder, block: Block) -> list[Value]:
        return two_bits(block)

    def stripes(self, k: Builder, block: Block) -> list[Value]:
        return striped_planes(k, block.qs.of(u64).load(0, CHUNKS), 2, 3)


class TQ1_0(_Levels):
    """Levels that are digits of base 3, five a byte; the last four bytes hold four each.

    A byte is a fraction of 256. Three times a fraction is ``256 * digit`` and a rest, which is the
    fraction that has the next digit first. So no digit need be unpacked: thrice the products of
    fractions, less those of rests, are the products of ``256 * digit``.
    """

    type = TensorType.TQ1_0

    def order(self, isa: ISA) -> Order:
        return DIGITS if isa.looks_up_bytes else super().order(isa)

    def unpacked(self, k: Builder, blocks: Sequence[Block]) -> Unpacked:
        """See ``QuantizedFormat``. A piece has fractions, of which ``dots`` makes digits."""
        if not k.isa.looks_up_bytes:
            return super().unpacked(k, blocks)
        (block,) = blocks
        fractions = [k.concat([block.qs.load(0, 32), block.qs.load(20, 32)])]  # qh follows qs
        for _ in range(4):
            fractions.append(_thrice(k, fractions[-1]))
        places = [digit * STRIPE for digit in range(5)]
        scales = _repeated(block.d.to(f32) * (1 / DIGITS.lift), LANES)
        groups = [*range(LANES)]
        return Unpacked([Piece(fractions, places, groups)], scales, groups, lifted=True)

    def dots(self, k: Builder, start: Value, w: list[Value], x: list[Value]) -> Value:
        """See ``QuantizedFormat``: products of ``-256 * digit``."""
        if not k.isa.looks_up_bytes:
            return super().dots(k, start, w, x)
        whole, rest = k.zero(start.type), start
        for fraction, numbers in zip(w, x, strict=True):
            whole = k.isa.dot(k, whole, fraction, numbers)
            rest = k.isa.dot(k, rest, _thrice(k, fraction), numbers)
        return rest - (whole + whole + whole)

    def lanes(self, k: Builder, block: Block) -> list[Value]:
        last = block.qh.load(0, 4).take([i % 4 for i in range(16)])
        every = k.concat([block.qs.load(0, 32), k.concat([block.qs.load(32, 16), last])])
        digits = _digits(every, 5)
        middle = [digit.take(range(32, 48)) for digit in digits]
        ends = k.concat([digit.take(range(48, 52)) for digit in digits[:4]])
        rest = [k.concat(middle[i : i + 2]) for i in (0, 2)]
        return [*(d.take(range(CHUNK)) for d in digits), *rest, k.concat([middle[4], ends])]


class Q2_0(_Levels):
    """Levels of 2 bits in plain order."""

    type = TensorType.Q2_0

    def lanes(self, k: Builder, block: Block) -> list[Value]:
        fours = block.qs.load(0, 16).to(u32)
        codes = k.isa.fields(k, tuple((bit, 2) for bit in range(0, 8, 2)), fours)
        return halves(codes.bits_as(u8 * self.block_size))


class Q1_0(QuantizedFormat):
    """``d`` where the bit is set, else ``-d``.

    Where bits move freely, four blocks are unpacked together, one bit of every byte at a time.
    """

    type = TensorType.Q1_0
    group = offset_group = CHUNK
    gathers = True
    largest = 2 * LIFT

    def lanes(self, k: Builder, block: Block) -> list[Value]:
        masks = block.qs.of(u64)
        return [chunk for i in range(2) for chunk in halves(k.isa.bits(k, masks[i]).to(u8))]

    def scales(self, k: Builder, block: Block) -> Value:
        return _repeated(block.d.to(f32) * 2, 4)

    def offsets(self, k: Builder, block: Block, scales: Value) -> Value | None:
        return scales * -0.5

    def order(self, isa: ISA) -> Order:
        return EIGHTHS if isa.looks_up_bytes else super().order(isa)

    def unpacked(self, k: Builder, blocks: Sequence[Block]) -> Unpacked:
        if not k.isa.looks_up_bytes:
            return super().unpacked(k, blocks)
        packed = k.concat([block.qs.load(0, 16) for block in blocks])
        twice = [k.isa.parities(k, (0,) * 7 + (1 << bit,), packed) for bit in range(8)]
        d = Gathered(k, blocks).d.to(f32) * (1 / LIFT)
        groups = range(STRIPE // 4)
        piece = Piece(twice, [bit * STRIPE for bit in range(8)], [*groups])
        return Unpacked([piece], _repeated(d, 4), [*groups], lifted=True)


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


def _thrice(k: Builder, value: Value) -> Value:
    """Three times the bytes, modulo 256. The shift is one that LLVM leaves alone: it would make a
    multiplication of several, for which there is no instruction.
    """
    return value + k.isa.parities(k, TWICE, value)
