"""IQ1_S and IQ1_M: eight weights are one point of a grid of -1, 0 and 1.

The bit layouts are drawn in ``pyllama/quants/iq1.py``.
"""

from __future__ import annotations

from pyllama.gguf.types import TensorType
from pyllama.kernels.formats.base import Block
from pyllama.kernels.formats.grids import indices, odd, points
from pyllama.kernels.formats.stripes import CHUNKS, StripedFormat
from pyllama.kernels.language import Builder, Value
from pyllama.kernels.orders import STRIPE
from pyllama.kernels.types import f16, u8, u16, u32, u64


class IQ1_S(StripedFormat):
    """``d * (2 * scale + 1) * (point + delta)``, delta 1/8 or -1/8 for each group.

    Lanes are ``point + 1``, which has no sign.
    """

    type = TensorType.IQ1_S
    largest = 2
    group = offset_group = 32

    def stripes(self, k: Builder, block: Block) -> list[Value]:
        numbers = indices(k, block.qs.of(u32).load(0, CHUNKS), block.qh.load(0, CHUNKS), bits=3)
        return [points(k, "iq1_s", index, add=1) for index in numbers]

    def scales(self, k: Builder, block: Block) -> Value:
        return odd(block.d, block.qh.load(0, CHUNKS) >> 12 & 7)

    def offsets(self, k: Builder, block: Block, scales: Value) -> Value | None:
        negative = block.qh.load(0, CHUNKS) >= 0x8000
        delta = k.select(negative, k.const(scales.type, -1 / 8), k.const(scales.type, 1 / 8))
        return scales * (delta - 1)


class IQ1_M(StripedFormat):
    """``d * (2 * scale + 1) * (point + delta)``, delta 1/8 or -1/8 for each point.

    Lanes are ``8 * (point + 1)``, and 2 more where delta is positive: eight times the sum, plus 9.
    """

    type = TensorType.IQ1_M
    largest = 18
    group = offset_group = 16

    def stripes(self, k: Builder, block: Block) -> list[Value]:
        upper = block.qh.of(u16).load(0, CHUNKS)
        numbers = indices(k, block.qs.of(u32).load(0, CHUNKS), upper, bits=3, stride=4)
        parts = []
        for s, index in enumerate(numbers):
            point = points(k, "iq1_s", index, add=1, times=8).bits_as(u64 * CHUNKS)
            positive = (upper & 8 << 4 * s).equals(0)
            more = k.select(positive, k.const(point.type, 0x0202020202020202), k.zero(point.type))
            parts.append((point + more).bits_as(u8 * STRIPE))
        return parts

    def scales(self, k: Builder, block: Block) -> Value:
        words = block.scales.load(0, 4)
        nibbles = [words[i] >> 12 << 4 * i for i in range(4)]
        d = (nibbles[0] | nibbles[1] | nibbles[2] | nibbles[3]).bits_as(f16)
        spread = words.to(u32).take([i // 4 for i in range(16)])
        return odd(d, spread >> k.vector(u32, [0, 3, 6, 9] * 4) & 7, 1 / 8)

    def offsets(self, k: Builder, block: Block, scales: Value) -> Value | None:
        return scales * -9
