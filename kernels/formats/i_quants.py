"""Formats on grids: eight or four weights are one point of a table of vectors.

The bit layouts are drawn in ``pyllama/quants/i_quants.py``. A point is one 64- or
32-bit number.
"""

from __future__ import annotations

import numpy as np

from pyllama.gguf.types import TensorType
from pyllama.kernels.formats.base import CHUNK, Block, QuantizedFormat, nibbles
from pyllama.kernels.language import Builder, Value
from pyllama.kernels.types import f16, f32, i8, u8, u16, u32, u64
from pyllama.quants import GridName, grid

CHUNKS = 8
"""Chunks of a block; all these formats have blocks of 256."""

PIECES = CHUNKS // 2
PIECE = 2 * CHUNK
"""Weights that are looked up together: they fill the widest vectors."""


class _Signed(QuantizedFormat):
    """Magnitudes from a grid, and a mask of signs for each eight of them."""

    grid: GridName

    def lanes(self, k: Builder, block: Block) -> list[Value]:
        masks = self.masks(k, block)
        chunks = []
        for i, points in enumerate(_points(k, self.grid, self.indices(k, block))):
            value = points.bits_as(i8 * PIECE)
            signed = k.select(k.isa.bits(k, masks[i]), -value, value)
            chunks += _halves_of(signed)
        return chunks

    def indices(self, k: Builder, block: Block) -> Value:
        """(points,) u32: the points of the block in order."""
        raise TypeError(f"{type(self).__name__} does not say where its indices are")

    def masks(self, k: Builder, block: Block) -> list[Value]:
        """For each piece a u64, whose bit ``i`` is set where weight ``i`` is negative."""
        return [block.signs.of(u64)[i] for i in range(PIECES)]


class IQ2_XXS(_Signed):
    """``d * (scale + 0.5) / 4 * point``; a chunk is two u32: four indices, then signs and scale."""

    type = TensorType.IQ2_XXS
    grid: GridName = "iq2_xxs"
    group = 32

    def indices(self, k: Builder, block: Block) -> Value:
        halves = block.qs.of(u8).load(0, 64)
        return halves.take([8 * c + i for c in range(CHUNKS) for i in range(4)]).to(u32)

    def masks(self, k: Builder, block: Block) -> list[Value]:
        return _masks(_even_masks(_seven_bits(self._words(block))))

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

    def indices(self, k: Builder, block: Block) -> Value:
        return block.qs.load(0, 32).to(u32) & 0x1FF

    def masks(self, k: Builder, block: Block) -> list[Value]:
        seven = (block.qs.load(0, 32) >> 9).to(u8)
        return _masks(_even_masks(seven.bits_as(u32 * CHUNKS)))

    def scales(self, k: Builder, block: Block) -> Value:
        return _halves(block, _nibbles_in_order(k, block.scales.load(0, 8)), 0.25)


class IQ2_S(_Signed):
    """``d * (scale + 0.5) / 4 * point``; two upper bits of the indices in ``qh``."""

    type = TensorType.IQ2_S
    grid: GridName = "iq2_s"
    group = 16

    def indices(self, k: Builder, block: Block) -> Value:
        return _extended(k, block.qs.load(0, 32), block.qh.load(0, CHUNKS), bits=2)

    def scales(self, k: Builder, block: Block) -> Value:
        return _halves(block, _nibbles_in_order(k, block.scales.load(0, 8)), 0.25)


class IQ3_XXS(_Signed):
    """``d * (scale + 0.5) / 2 * point``; signs and scale of a chunk in a u32."""

    type = TensorType.IQ3_XXS
    grid: GridName = "iq3_xxs"
    group = 32

    def indices(self, k: Builder, block: Block) -> Value:
        return block.qs.load(0, 64).to(u32)

    def masks(self, k: Builder, block: Block) -> list[Value]:
        return _masks(_even_masks(_seven_bits(block.scales_and_signs.load(0, CHUNKS))))

    def scales(self, k: Builder, block: Block) -> Value:
        return _halves(block, block.scales_and_signs.load(0, CHUNKS) >> 28, 0.5)


class IQ3_S(_Signed):
    """``d * (2 * scale + 1) * point``; the ninth bit of the indices in ``qh``."""

    type = TensorType.IQ3_S
    grid: GridName = "iq3_s"
    group = 32

    def indices(self, k: Builder, block: Block) -> Value:
        return _extended(k, block.qs.load(0, 64), block.qh.load(0, CHUNKS), bits=1)

    def scales(self, k: Builder, block: Block) -> Value:
        return _odd(block.d, _nibbles_in_order(k, block.scales.load(0, 4)))


class IQ1_S(QuantizedFormat):
    """``d * (2 * scale + 1) * (point + delta)``, delta 1/8 or -1/8 for each group.

    Lanes are ``point + 1``, which has no sign.
    """

    type = TensorType.IQ1_S
    group = offset_group = 32

    def lanes(self, k: Builder, block: Block) -> list[Value]:
        indices = _extended(k, block.qs.load(0, 32), block.qh.load(0, CHUNKS), bits=3)
        pieces = _points(k, "iq1_s", indices, add=1)
        return [chunk for piece in pieces for chunk in _halves_of(piece)]

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
        upper = block.qh.of(u16).load(0, CHUNKS)
        indices = _extended(k, block.qs.load(0, 32), upper, bits=3, stride=4)
        negative = _nibbles_in_order(k, block.qh.load(0, 16)) >> 3
        more = (negative ^ 1) << 1
        chunks = []
        for p, piece in enumerate(_points(k, "iq1_s", indices, add=1, times=8)):
            chunks += _halves_of(piece + more.take([8 * p + i // 8 for i in range(PIECE)]))
        return chunks

    def scales(self, k: Builder, block: Block) -> Value:
        words = block.scales.load(0, 4)
        nibbles = [words[i] >> 12 << 4 * i for i in range(4)]
        d = (nibbles[0] | nibbles[1] | nibbles[2] | nibbles[3]).bits_as(f16)
        spread = words.to(u32).take([i // 4 for i in range(16)])
        return _odd(d, spread >> k.vector(u32, [0, 3, 6, 9] * 4) & 7) * (1 / 8)

    def offsets(self, k: Builder, block: Block, scales: Value) -> Value | None:
        return scales * -9


def _points(
    k: Builder, name: GridName, indices: Value, add: int = 0, times: int = 1
) -> list[Value]:
    """``(component + add) * times`` of the grid's points at the indices, in pieces."""
    points = ((grid(name) + add) * times).astype(np.uint8)
    element = {4: u32, 8: u64}[points.shape[1]]
    table = tuple(points.view(element.numpy).ravel().tolist())
    n = PIECE // element.bytes
    return [
        k.isa.gather(k, element, table, indices.take(range(i, i + n))).bits_as(u8 * PIECE)
        for i in range(0, indices.type.lanes, n)
    ]


def _halves_of(piece: Value) -> list[Value]:
    """A piece as chunks."""
    return [piece.take(range(i, i + CHUNK)) for i in range(0, PIECE, CHUNK)]


def _extended(k: Builder, low: Value, upper: Value, bits: int, stride: int | None = None) -> Value:
    """Indices of ``8 + bits`` bits; each upper number holds those of several indices, in fields
    ``stride`` bits apart.
    """
    count = low.type.lanes // upper.type.lanes
    shifts = [i * (stride or bits) for i in range(count)] * upper.type.lanes
    spread = upper.to(u32).take([i // count for i in range(low.type.lanes)])
    fields = spread >> k.vector(u32, shifts) & ((1 << bits) - 1)
    return low.to(u32) | fields << 8


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


def _masks(words: Value) -> list[Value]:
    """A mask for each piece from the u32 of each chunk."""
    pairs = words.bits_as(u64 * PIECES)
    return [pairs[i] for i in range(PIECES)]


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
