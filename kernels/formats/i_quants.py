"""Formats on grids, where eight or four weights are one point of a table: IQ1, IQ2 and IQ3.

The bit layouts are drawn in ``pyllama/quants/i_quants.py`` and ``iq1.py``.
"""

from __future__ import annotations

import numpy as np

from pyllama.gguf.types import TensorType
from pyllama.kernels.activation import RUN, STRIPE, STRIPES
from pyllama.kernels.formats.base import Block, nibbles
from pyllama.kernels.formats.stripes import CHUNKS, StripedFormat
from pyllama.kernels.language import Builder, Value
from pyllama.kernels.types import f16, f32, u8, u16, u32, u64
from pyllama.quants import GridName, grid


class IQ2_XXS(StripedFormat):
    """``d * (scale + 0.5) / 4 * point``; a chunk is two u32: four indices, then signs and scale."""

    type = TensorType.IQ2_XXS
    is_signed = True
    largest = 43
    group = 32

    def stripes(self, k: Builder, block: Block) -> list[Value]:
        words = block.qs.of(u64).load(0, CHUNKS)
        return [_points(k, "iq2_xxs", words >> 8 * s & 0xFF) for s in range(STRIPES)]

    def signs(self, k: Builder, block: Block) -> Value | None:
        return _even_masks(k, block.qs.of(u64).load(0, CHUNKS), start=32)

    def scales(self, k: Builder, block: Block) -> Value:
        return _odd(block.d, (block.qs.of(u64).load(0, CHUNKS) >> 60).to(u32), 1 / 8)


class IQ2_XS(StripedFormat):
    """``d * (scale + 0.5) / 4 * point``; words of a 9-bit index and 7 bits of signs."""

    type = TensorType.IQ2_XS
    is_signed = True
    largest = 43
    group = 16

    def stripes(self, k: Builder, block: Block) -> list[Value]:
        words = block.qs.of(u64).load(0, CHUNKS)
        return [_points(k, "iq2_xs", words >> 16 * s & 0x1FF) for s in range(STRIPES)]

    def signs(self, k: Builder, block: Block) -> Value | None:
        return _even_masks(k, block.qs.of(u64).load(0, CHUNKS), start=9, stride=16)

    def scales(self, k: Builder, block: Block) -> Value:
        return _odd(block.d, _nibbles_in_order(k, block.scales.load(0, 8)), 1 / 8)


class IQ2_S(StripedFormat):
    """``d * (scale + 0.5) / 4 * point``; two upper bits of the indices in ``qh``."""

    type = TensorType.IQ2_S
    is_signed = True
    largest = 43
    group = 16

    def stripes(self, k: Builder, block: Block) -> list[Value]:
        indices = _indices(k, block.qs.of(u32).load(0, CHUNKS), block.qh.load(0, CHUNKS), bits=2)
        return [_points(k, "iq2_s", index) for index in indices]

    def signs(self, k: Builder, block: Block) -> Value | None:
        return _masks(block)

    def scales(self, k: Builder, block: Block) -> Value:
        return _odd(block.d, _nibbles_in_order(k, block.scales.load(0, 8)), 1 / 8)


class IQ3_XXS(StripedFormat):
    """``d * (scale + 0.5) / 2 * point``; signs and scale of a chunk in a u32."""

    type = TensorType.IQ3_XXS
    is_signed = True
    largest = 62
    group = 32

    def stripes(self, k: Builder, block: Block) -> list[Value]:
        return [_points(k, "iq3_xxs", index) for index in _pairs(k, block)]

    def signs(self, k: Builder, block: Block) -> Value | None:
        return _even_masks(k, block.scales_and_signs.load(0, CHUNKS).to(u64))

    def scales(self, k: Builder, block: Block) -> Value:
        return _odd(block.d, block.scales_and_signs.load(0, CHUNKS) >> 28, 1 / 4)


class IQ3_S(StripedFormat):
    """``d * (2 * scale + 1) * point``; the ninth bit of the indices in ``qh``."""

    type = TensorType.IQ3_S
    is_signed = True
    largest = 15
    group = 32

    def stripes(self, k: Builder, block: Block) -> list[Value]:
        upper = block.qh.load(0, CHUNKS).take([i // 2 for i in range(2 * CHUNKS)]).to(u32)
        ninth = (
            upper << k.vector(u32, [8 - 2 * s, 7 - 2 * s] * CHUNKS) & 0x100 for s in range(STRIPES)
        )
        pairs = zip(_pairs(k, block), ninth, strict=True)
        return [_points(k, "iq3_s", low | high) for low, high in pairs]

    def signs(self, k: Builder, block: Block) -> Value | None:
        return _masks(block)

    def scales(self, k: Builder, block: Block) -> Value:
        return _odd(block.d, _nibbles_in_order(k, block.scales.load(0, 4)))


class IQ1_S(StripedFormat):
    """``d * (2 * scale + 1) * (point + delta)``, delta 1/8 or -1/8 for each group.

    Lanes are ``point + 1``, which has no sign.
    """

    type = TensorType.IQ1_S
    largest = 2
    group = offset_group = 32

    def stripes(self, k: Builder, block: Block) -> list[Value]:
        indices = _indices(k, block.qs.of(u32).load(0, CHUNKS), block.qh.load(0, CHUNKS), bits=3)
        return [_points(k, "iq1_s", index, add=1) for index in indices]

    def scales(self, k: Builder, block: Block) -> Value:
        return _odd(block.d, block.qh.load(0, CHUNKS) >> 12 & 7)

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
        indices = _indices(k, block.qs.of(u32).load(0, CHUNKS), upper, bits=3, stride=4)
        parts = []
        for s, index in enumerate(indices):
            point = _points(k, "iq1_s", index, add=1, times=8).bits_as(u64 * CHUNKS)
            positive = (upper & 8 << 4 * s).equals(0)
            more = k.select(positive, k.const(point.type, 0x0202020202020202), k.zero(point.type))
            parts.append((point + more).bits_as(u8 * STRIPE))
        return parts

    def scales(self, k: Builder, block: Block) -> Value:
        words = block.scales.load(0, 4)
        nibbles = [words[i] >> 12 << 4 * i for i in range(4)]
        d = (nibbles[0] | nibbles[1] | nibbles[2] | nibbles[3]).bits_as(f16)
        spread = words.to(u32).take([i // 4 for i in range(16)])
        return _odd(d, spread >> k.vector(u32, [0, 3, 6, 9] * 4) & 7, 1 / 8)

    def offsets(self, k: Builder, block: Block, scales: Value) -> Value | None:
        return scales * -9


def _points(k: Builder, name: GridName, index: Value, add: int = 0, times: int = 1) -> Value:
    """``(component + add) * times`` of a grid's points: a stripe.

    index: a number for each point, a u64 where it has eight components, a u32 where it has four.
    """
    components = ((grid(name) + add) * times).astype(np.uint8)
    element = index.type.scalar
    table = tuple(components.view(element.numpy).ravel().tolist())
    return k.isa.gather(k, element, table, index).bits_as(u8 * STRIPE)


def _indices(
    k: Builder, low: Value, upper: Value, bits: int, stride: int | None = None
) -> list[Value]:
    """Indices of ``8 + bits`` bits, for each stripe one of every chunk.

    low: (CHUNKS,) u32, the lower bytes; upper: their other bits, ``stride`` bits apart.
    """
    words = low.to(u64) | upper.to(u64) << 32
    stride = stride or bits
    return [k.isa.fields(k, ((8 * s, 8), (32 + s * stride, bits)), words) for s in range(STRIPES)]


def _pairs(k: Builder, block: Block) -> list[Value]:
    """The bytes of ``qs`` as indices of points of four, for each stripe two of every chunk."""
    packed = block.qs.load(0, STRIPE)
    zero = k.zero(packed.type)
    stripes = []
    for s in range(STRIPES):
        places = [RUN * c + 2 * s + i for c in range(CHUNKS) for i in range(2)]
        lanes = [lane for place in places for lane in (place, STRIPE, STRIPE, STRIPE)]
        stripes.append(k.shuffle(packed, zero, lanes).bits_as(u32 * (2 * CHUNKS)))
    return stripes


def _masks(block: Block) -> Value:
    """Signs that are stored as they are."""
    masks: Value = block.signs.of(u32).load(0, CHUNKS)
    return masks.to(u64)


def _even_masks(k: Builder, words: Value, start: int = 0, stride: int = 7) -> Value:
    """Signs that are stored without every eighth, which makes the number of set bits even."""
    sevens = k.isa.fields(k, tuple((start + s * stride, 7) for s in range(STRIPES)), words)
    return k.isa.even_bytes(k, sevens.bits_as(u8 * STRIPE)).bits_as(words.type)


def _nibbles_in_order(k: Builder, packed: Value) -> Value:
    """Low and high four bits of every byte, byte after byte."""
    low, high = nibbles(k, packed)
    count = packed.type.lanes
    return k.shuffle(low, high, [i + side for i in range(count) for side in (0, count)])


def _odd(d: Value, scale: Value, factor: float = 1) -> Value:
    """``d * (2 * scale + 1) * factor``."""
    spread = d.take([0] * scale.type.lanes).to(f32)
    return scale.k.fma(scale.to(f32), 2 * factor, factor) * spread
