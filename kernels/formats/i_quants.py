"""Formats on grids: eight or four weights are one point of a table of vectors.

The bit layouts are drawn in ``pyllama/quants/i_quants.py``. A point is loaded as one 64- or 32-bit
number, so that a chunk of 32 weights is four or eight loads.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from pyllama.gguf.types import TensorType
from pyllama.kernels.formats.base import CHUNK, Block, QuantizedFormat, nibbles
from pyllama.kernels.language import Builder, Pointer, Value
from pyllama.kernels.types import f16, f32, i8, u8, u16, u32, u64
from pyllama.quants import GridName, grid

CHUNKS = 8
"""Chunks of a block; all these formats have blocks of 256."""


class _Signed(QuantizedFormat):
    """Magnitudes from a grid, and a mask of signs for each eight of them."""

    grid: GridName

    def lanes(self, k: Builder, block: Block) -> list[Value]:
        points = _grid(k, self.grid)
        masks = self.masks(k, block)
        chunks = [_chunk(k, points, self.indices(k, block, c)) for c in range(CHUNKS)]
        signed = []
        for chunk, mask in zip(chunks, masks, strict=True):
            value = chunk.bits_as(i8 * CHUNK)
            signed.append(k.select(k.isa.bits(k, mask), -value, value))
        return signed

    def indices(self, k: Builder, block: Block, c: int) -> list[Value]:
        """Points of chunk ``c``."""
        raise TypeError(f"{type(self).__name__} does not say where its indices are")

    def masks(self, k: Builder, block: Block) -> list[Value]:
        """For each chunk a u32, whose bit ``i`` is set where weight ``i`` is negative."""
        return [block.signs.of(u32)[c] for c in range(CHUNKS)]


class IQ2_XXS(_Signed):
    """``d * (scale + 0.5) / 4 * point``; a chunk is two u32: four indices, then signs and scale."""

    type = TensorType.IQ2_XXS
    grid: GridName = "iq2_xxs"
    group = 32

    def indices(self, k: Builder, block: Block, c: int) -> list[Value]:
        return _bytes(block.qs, 8 * c, 4)

    def masks(self, k: Builder, block: Block) -> list[Value]:
        return _lanes(_even_masks(_seven_bits(self._words(block))))

    def scales(self, k: Builder, block: Block) -> Value:
        return _halves(block, self._words(block) >> 28, 0.25)

    @staticmethod
    def _words(block: Block) -> Value:
        words: Value = block.qs.of(u32).load(0, 2 * CHUNKS)
        return words.take(range(1, 2 * CHUNKS, 2))


class IQ2_XS(_Signed):
    """``d * (scale + 0.5) / 4 * point``; words of a 9-bit index and 7 bits of signs."""

    type = TensorType.IQ2_XS
    grid: GridName = "iq2_xs"
    group = 16

    def indices(self, k: Builder, block: Block, c: int) -> list[Value]:
        return [block.qs[4 * c + i].to(u32) & 0x1FF for i in range(4)]

    def masks(self, k: Builder, block: Block) -> list[Value]:
        seven = (block.qs.load(0, 32) >> 9).to(u8)
        return _lanes(_even_masks(seven.bits_as(u32 * CHUNKS)))

    def scales(self, k: Builder, block: Block) -> Value:
        return _halves(block, _nibbles_in_order(k, block.scales.load(0, 8)), 0.25)


class IQ2_S(_Signed):
    """``d * (scale + 0.5) / 4 * point``; two upper bits of the indices in ``qh``."""

    type = TensorType.IQ2_S
    grid: GridName = "iq2_s"
    group = 16

    def indices(self, k: Builder, block: Block, c: int) -> list[Value]:
        return _extended(_bytes(block.qs, 4 * c, 4), block.qh[c], bits=2)

    def scales(self, k: Builder, block: Block) -> Value:
        return _halves(block, _nibbles_in_order(k, block.scales.load(0, 8)), 0.25)


class IQ3_XXS(_Signed):
    """``d * (scale + 0.5) / 2 * point``; signs and scale of a chunk in a u32."""

    type = TensorType.IQ3_XXS
    grid: GridName = "iq3_xxs"
    group = 32

    def indices(self, k: Builder, block: Block, c: int) -> list[Value]:
        return _bytes(block.qs, 8 * c, 8)

    def masks(self, k: Builder, block: Block) -> list[Value]:
        return _lanes(_even_masks(_seven_bits(block.scales_and_signs.load(0, CHUNKS))))

    def scales(self, k: Builder, block: Block) -> Value:
        return _halves(block, block.scales_and_signs.load(0, CHUNKS) >> 28, 0.5)


class IQ3_S(_Signed):
    """``d * (2 * scale + 1) * point``; the ninth bit of the indices in ``qh``."""

    type = TensorType.IQ3_S
    grid: GridName = "iq3_s"
    group = 32

    def indices(self, k: Builder, block: Block, c: int) -> list[Value]:
        return _extended(_bytes(block.qs, 8 * c, 8), block.qh[c], bits=1)

    def scales(self, k: Builder, block: Block) -> Value:
        return _odd(block.d, _nibbles_in_order(k, block.scales.load(0, 4)))


class IQ1_S(QuantizedFormat):
    """``d * (2 * scale + 1) * (point + delta)``, delta 1/8 or -1/8 for each group.

    Lanes are ``point + 1``, which has no sign.
    """

    type = TensorType.IQ1_S
    group = offset_group = 32

    def lanes(self, k: Builder, block: Block) -> list[Value]:
        points = _grid(k, "iq1_s", add=1)
        chunks = range(CHUNKS)
        low = [_bytes(block.qs, 4 * c, 4) for c in chunks]
        return [_chunk(k, points, _extended(low[c], block.qh[c], bits=3)) for c in chunks]

    def scales(self, k: Builder, block: Block) -> Value:
        return _odd(block.d, block.qh.load(0, CHUNKS) >> 12 & 7)

    def offsets(self, k: Builder, block: Block, scales: Value) -> Value | None:
        negative = block.qh.load(0, CHUNKS) >= 0x8000
        delta = k.select(negative, k.const(scales.type, -1 / 8), k.const(scales.type, 1 / 8))
        return scales * (delta - 1)


class IQ1_M(QuantizedFormat):
    """``d * (2 * scale + 1) * (point + delta)``, delta 1/8 or -1/8 for each point.

    Lanes are ``8 * (point + 1)``, and 2 more where delta is positive: eight times the sum, plus 9.
    """

    type = TensorType.IQ1_M
    group = offset_group = 16

    def lanes(self, k: Builder, block: Block) -> list[Value]:
        points = _grid(k, "iq1_s", add=1, times=8)
        negative = _nibbles_in_order(k, block.qh.load(0, 16)) >> 3
        more = (negative ^ 1) << 1
        chunks = []
        for c in range(CHUNKS):
            upper = block.qh.of(u16)[c]
            indices = _extended(_bytes(block.qs, 4 * c, 4), upper, bits=3, stride=4)
            spread = more.take([4 * c + i // 8 for i in range(CHUNK)])
            chunks.append(_chunk(k, points, indices) + spread)
        return chunks

    def scales(self, k: Builder, block: Block) -> Value:
        words = block.scales.load(0, 4)
        nibbles = [words[i] >> 12 << 4 * i for i in range(4)]
        d = (nibbles[0] | nibbles[1] | nibbles[2] | nibbles[3]).bits_as(f16)
        spread = words.to(u32).take([i // 4 for i in range(16)])
        return _odd(d, spread >> k.vector(u32, [0, 3, 6, 9] * 4) & 7) * (1 / 8)

    def offsets(self, k: Builder, block: Block, scales: Value) -> Value | None:
        return scales * -9


def _grid(k: Builder, name: GridName, add: int = 0, times: int = 1) -> Pointer:
    """A grid as a table of numbers, whose bytes are ``(component + add) * times``."""
    points = ((grid(name) + add) * times).astype(np.uint8)
    element = {4: u32, 8: u64}[points.shape[1]]
    return k.table(element, points.view(element.numpy).ravel())


def _chunk(k: Builder, points: Pointer, indices: Iterable[Value]) -> Value:
    """32 weights: the points of the indices, one after the other."""
    return k.concat([points[index] for index in indices]).bits_as(u8 * CHUNK)


def _bytes(place: Pointer, start: int, count: int) -> list[Value]:
    """Bytes as indices."""
    return [place.of(u8)[start + i].to(u32) for i in range(count)]


def _extended(low: list[Value], upper: Value, bits: int, stride: int | None = None) -> list[Value]:
    """Indices of ``8 + bits`` bits, the upper ones in fields ``stride`` bits apart."""
    fields, mask = upper.to(u32), (1 << bits) - 1
    starts = (i * (stride or bits) for i in range(len(low)))
    return [index | (fields >> at & mask) << 8 for index, at in zip(low, starts, strict=True)]


def _seven_bits(words: Value) -> Value:
    """The lowest four 7-bit fields of every u32 as its four bytes."""
    return (
        (words & 0x7F) | (words << 1 & 0x7F00) | (words << 2 & 0x7F0000) | (words << 3 & 0x7F000000)
    )


def _even_masks(words: Value) -> Value:
    """Bytes of seven bits completed by an eighth that makes the number of set bits even."""
    folded = words ^ words >> 4
    folded = folded ^ folded >> 2
    folded = folded ^ folded >> 1
    return words | (folded & 0x01010101) << 7


def _lanes(vector: Value) -> list[Value]:
    return [vector[i] for i in range(vector.type.lanes)]


def _nibbles_in_order(k: Builder, packed: Value) -> Value:
    """Low and high four bits of every byte, byte after byte."""
    low, high = nibbles(k, packed)
    count = packed.type.lanes
    return k.shuffle(low, high, [i + side for i in range(count) for side in (0, count)])


def _halves(block: Block, scale: Value, factor: float) -> Value:
    """``d * (scale + 0.5) * factor``."""
    d: Value = block.d
    return (scale.to(f32) + 0.5) * (d.to(f32) * factor)


def _odd(d: Value, scale: Value) -> Value:
    """``d * (2 * scale + 1)``."""
    return (scale.to(f32) * 2 + 1) * d.to(f32)
