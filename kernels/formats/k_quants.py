"""Formats of 256 weights in groups of 16 or 32 with small integer scales: Q2_K to Q6_K.

The bit layouts are drawn in ``pyllama/quants``.
"""

from __future__ import annotations

from pyllama.gguf.types import TensorType
from pyllama.kernels.formats.base import NIBBLES, Block, QuantizedFormat, nibbles, two_bits
from pyllama.kernels.formats.stripes import CHUNKS, COUNT, EACH_BYTE, StripedFormat, striped_planes
from pyllama.kernels.language import Builder, Value
from pyllama.kernels.orders import STRIPE
from pyllama.kernels.types import f32, i8, u8, u32, u64

_SIX, _FOUR, _TWO = 0x3F3F3F3F, 0x0F0F0F0F, 0x30303030
"""The lower six or four bits of each byte, and the two above the four."""


def _bytes(k: Builder, *words: Value) -> Value:
    """The bytes of several u32 words as one vector."""
    return k.concat(words).bits_as(u8 * (4 * len(words)))


class _SixBitScales(QuantizedFormat):
    """Eight groups of 32 with 6-bit ``scale`` and ``min``, which ``d`` and ``dmin`` scale."""

    group = offset_group = 32

    def scales(self, k: Builder, block: Block) -> Value:
        return self._scales_and_mins(k, block).take(range(8))

    def offsets(self, k: Builder, block: Block, scales: Value) -> Value | None:
        return self._scales_and_mins(k, block).take(range(8, 16))

    @staticmethod
    def _scales_and_mins(k: Builder, block: Block) -> Value:
        """(16,) f32: ``d * scale`` of each group, then ``-dmin * min``."""
        words = block.scales.of(u32).load(0, 4)  # a whole vector: what follows them is not used
        low = words.take([0, 2, 1, 2]) >> k.vector(u32, [0, 0, 0, 4])
        high = words.take([0, 0, 1, 1]) >> 2
        packed = low & k.vector(u32, [_SIX, _FOUR] * 2) | high & k.vector(u32, [0, _TWO] * 2)
        d = k.concat([block.d, block.dmin]).to(f32) * k.vector(f32, [1, -1])
        return packed.bits_as(u8 * 16).to(f32) * d.take([0] * 8 + [1] * 8)


class Q4_K(_SixBitScales, StripedFormat):
    """``d * scale * q - dmin * min``, q: 4 bits."""

    type = TensorType.Q4_K
    largest = 15
    levels = NIBBLES

    def lanes(self, k: Builder, block: Block) -> list[Value]:
        return [half for j in range(4) for half in nibbles(k, block.qs.load(32 * j, 32))]

    def stripes(self, k: Builder, block: Block) -> list[Value]:
        words = block.qs.of(u64).load(0, 2 * CHUNKS)
        shifts = k.vector(u64, [c % 2 * 4 for c in range(CHUNKS)])
        spread = (words.take([c // 2 * 4 + s for c in range(CHUNKS)]) for s in range(COUNT))
        return [(word >> shifts & 15 * EACH_BYTE).bits_as(u8 * STRIPE) for word in spread]


class Q5_K(_SixBitScales):
    """As Q4_K with a fifth bit: bit ``g`` of ``qh[l]`` is for weight ``l`` of group ``g``.

    Not in stripes, for which AVX2 has too few registers.
    """

    type = TensorType.Q5_K
    largest = 31

    def lanes(self, k: Builder, block: Block) -> list[Value]:
        fifth = block.qh.load(0, 32)
        lows = (half for j in range(4) for half in nibbles(k, block.qs.load(32 * j, 32)))
        return [low | (fifth >> g & 1) << 4 for g, low in enumerate(lows)]


class Q2_K(StripedFormat):
    """``d * scale * q - dmin * min``; sixteen groups of 16 with 4-bit scale and min."""

    type = TensorType.Q2_K
    largest = 3
    group = offset_group = 16

    def lanes(self, k: Builder, block: Block) -> list[Value]:
        return two_bits(block)

    def stripes(self, k: Builder, block: Block) -> list[Value]:
        return striped_planes(k, block.qs.of(u64).load(0, CHUNKS), 2, 3)

    def scales(self, k: Builder, block: Block) -> Value:
        return (block.scales.load(0, 16) & 15).to(f32) * block.d.to(f32)

    def offsets(self, k: Builder, block: Block, scales: Value) -> Value | None:
        return (block.scales.load(0, 16) >> 4).to(f32) * -block.dmin.to(f32)


class Q3_K(Q2_K):
    """``d * (scale - 32) * (q - 4)``; sixteen groups of 16, the third bit of q in ``hmask``."""

    type = TensorType.Q3_K
    largest = 7

    def lanes(self, k: Builder, block: Block) -> list[Value]:
        third = block.hmask.load(0, 32)
        return [low | (third >> c & 1) << 2 for c, low in enumerate(two_bits(block))]

    def stripes(self, k: Builder, block: Block) -> list[Value]:
        third = block.hmask.of(u64).load(0, COUNT)
        halves = k.concat([third << 2, third >> 2])  # bit 2 is that of the half's first chunk
        planes = zip(super().stripes(k, block), striped_planes(k, halves, 1, 4), strict=True)
        return [low | high for low, high in planes]

    def scales(self, k: Builder, block: Block) -> Value:
        low, middle, high = (block.scales.of(u32)[i] for i in range(3))
        fours = (low, middle, low >> 4, middle >> 4)
        packed = _bytes(
            k, *((four & 0x0F0F0F0F) | (high >> 2 * i & 0x03030303) << 4
                 for i, four in enumerate(fours))
        )  # fmt: skip
        return (packed.bits_as(i8 * 16) - 32).to(f32) * block.d.to(f32)

    def offsets(self, k: Builder, block: Block, scales: Value) -> Value | None:
        return scales * -4


class Q6_K(QuantizedFormat):
    """``d * scale * (q - 32)``; sixteen groups of 16 with i8 scales, q: 4 bits and 2 bits."""

    type = TensorType.Q6_K
    group = offset_group = 16

    def lanes(self, k: Builder, block: Block) -> list[Value]:
        chunks = []
        for half in range(2):
            first, second = (nibbles(k, block.ql.load(64 * half + 32 * i, 32)) for i in range(2))
            high = block.qh.load(32 * half, 32)
            lows = (first[0], second[0], first[1], second[1])
            chunks += [low | (high >> 2 * i & 3) << 4 for i, low in enumerate(lows)]
        return chunks

    def scales(self, k: Builder, block: Block) -> Value:
        return block.scales.load(0, 16).to(f32) * block.d.to(f32)

    def offsets(self, k: Builder, block: Block, scales: Value) -> Value | None:
        return scales * -32
