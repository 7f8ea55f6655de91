"""IQ2_XXS, IQ2_XS and IQ2_S: eight weights are one point of a grid, and have signs of their own.

The bit layouts are drawn in ``pyllama/quants/i_quants.py``.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyllama.gguf.types import TensorType
from pyllama.kernels.formats.base import Block, Piece, Unpacked, nibbles
from pyllama.kernels.formats.grids import (
    Codes,
    even_masks,
    indices,
    nibbles_in_order,
    odd,
    points,
)
from pyllama.kernels.formats.stripes import CHUNKS, COUNT, StripedFormat
from pyllama.kernels.isa.base import ISA
from pyllama.kernels.language import Builder, Value
from pyllama.kernels.orders import EIGHTHS, HALVES, STRIPE, Order
from pyllama.kernels.types import f32, u8, u16, u32, u64
from pyllama.quants import GridName

WORDS = STRIPE // 4
"""Lanes of 32 bits."""

FOUR_TIMES = [i // 4 for i in range(STRIPE)]

AS_THEY_ARE = tuple(1 << i for i in range(8))
"""Each bit by itself, as ``parities`` takes it."""


def even_rows(start: int) -> tuple[int, ...]:
    """Seven bits from this one on, and their parity."""
    return (*(1 << start + i for i in range(7)), 0x7F << start)


class _Grid8(StripedFormat):
    """Points of eight.

    Where bytes are looked up, two blocks are unpacked together: a lane of 32 bits has one byte for
    each of the four points of a chunk. Else they are in stripes.
    """

    grid: GridName
    is_signed = True
    largest = 43
    looked_up: Order
    """The order where bytes are looked up."""
    sign_rows: tuple[int, ...]
    """Of the bytes that hold signs the bits whose parity is the sign of each component."""

    def __init__(self) -> None:
        super().__init__()
        self.point_codes = Codes(self.grid)

    def numbers(self, k: Builder, pair: Sequence[Block]) -> tuple[Value, list[Value]]:
        """Of each point the lower eight bits of its number, and the others as booleans."""
        raise TypeError(f"{type(self).__name__} does not say where its points are")

    def eights(self, k: Builder, pair: Sequence[Block]) -> Value:
        """(STRIPE,) u8: bytes that hold the signs of each point."""
        raise TypeError(f"{type(self).__name__} does not say where its signs are")

    def pieces(self, k: Builder, low: Sequence[Value], high: Sequence[Value]) -> list[list[Value]]:
        """Bytes of two components: those that share scales.

        low, high: (STRIPE,) u8, of the first four components of points, and of the others,
        ``turned``.
        """
        raise TypeError(f"{type(self).__name__} does not say how points share scales")

    def turned(self, high: Value) -> Value:
        """Bytes of points in the order that ``pieces`` wants of the others."""
        return high

    def lane_scales(self, k: Builder, pair: Sequence[Block]) -> list[Value]:
        """(WORDS,) f32 for each piece."""
        raise TypeError(f"{type(self).__name__} does not say where its scales are")

    def order(self, isa: ISA) -> Order:
        return self.looked_up if isa.looks_up_bytes else super().order(isa)

    def unpacked(self, k: Builder, blocks: Sequence[Block]) -> Unpacked:
        if not k.isa.looks_up_bytes:
            return super().unpacked(k, blocks)
        first, second = self.point_codes.packed(k, *self.numbers(k, blocks))
        eights = self.eights(k, blocks)
        low = self._with_signs(k, first, eights, self.sign_rows[:4])
        high = self._with_signs(k, self.turned(second), self.turned(eights), self.sign_rows[4:])
        pieces, place = [], 0
        for n, part in enumerate(self.pieces(k, low, high)):
            vectors = [vector for pair in part for vector in self.point_codes.signed(k, pair)]
            places = [place + i * STRIPE for i in range(len(vectors))]
            pieces.append(Piece(vectors, places, [n * WORDS + lane for lane in range(WORDS)]))
            place += len(vectors) * STRIPE
        scales = k.concat(self.lane_scales(k, blocks))
        return Unpacked(pieces, scales, [*range(WORDS)] * len(pieces), lifted=True)

    def _with_signs(
        self, k: Builder, packed: Value, eights: Value, rows: tuple[int, ...]
    ) -> list[Value]:
        """Bytes of four components -> bytes of two, with the signs that ``rows`` choose."""
        pairs = (rows[:2], rows[2:])
        signs = [k.isa.parities(k, (0, 0, 0, 0, *pair, 0, 0), eights) for pair in pairs]
        return self.point_codes.with_signs(k, packed, signs)


class IQ2_XXS(_Grid8):
    """``d * (scale + 0.5) / 4 * point``; a chunk is two u32: four indices, then signs and scale."""

    type = TensorType.IQ2_XXS
    grid = "iq2_xxs"
    group = 32
    looked_up = EIGHTHS
    sign_rows = even_rows(0)

    def stripes(self, k: Builder, block: Block) -> list[Value]:
        words = block.qs.of(u64).load(0, CHUNKS)
        return [points(k, self.grid, words >> 8 * s & 0xFF) for s in range(COUNT)]

    def signs(self, k: Builder, block: Block) -> Value | None:
        return even_masks(k, block.qs.of(u64).load(0, CHUNKS), start=32)

    def scales(self, k: Builder, block: Block) -> Value:
        return odd(block.d, (block.qs.of(u64).load(0, CHUNKS) >> 60).to(u32), 1 / 8)

    def numbers(self, k: Builder, pair: Sequence[Block]) -> tuple[Value, list[Value]]:
        return self._words(k, pair, 0).bits_as(u8 * STRIPE), []

    def eights(self, k: Builder, pair: Sequence[Block]) -> Value:
        words = self._words(k, pair, 1).bits_as(u64 * CHUNKS)
        return k.isa.bytes_at(k, (0, 7, 14, 21, 32, 39, 46, 53), words)

    def pieces(self, k: Builder, low: Sequence[Value], high: Sequence[Value]) -> list[list[Value]]:
        return [[*low, *high]]

    def lane_scales(self, k: Builder, pair: Sequence[Block]) -> list[Value]:
        d = _of_blocks(k, pair)
        return [odd(d, self._words(k, pair, 1) >> 28, 1 / 8)]

    @staticmethod
    def _words(k: Builder, pair: Sequence[Block], which: int) -> Value:
        """(WORDS,) u32: the first word of each chunk or the second."""
        a, b = (block.qs.of(u32).load(0, WORDS) for block in pair)
        return k.shuffle(a, b, range(which, 2 * WORDS, 2))


class _Halved(_Grid8):
    """Scales of 16 weights, two in a byte."""

    group = 16
    looked_up = HALVES

    def scales(self, k: Builder, block: Block) -> Value:
        return odd(block.d, nibbles_in_order(k, block.scales.load(0, CHUNKS)), 1 / 8)

    def pieces(self, k: Builder, low: Sequence[Value], high: Sequence[Value]) -> list[list[Value]]:
        words = u16 * (STRIPE // 2)
        both = [[v.bits_as(words) for v in pair] for pair in zip(low, high, strict=True)]
        upper = k.vector(u16, [0, 1] * WORDS).differs(0)
        firsts = [k.select(upper, theirs, ours) for ours, theirs in both]
        seconds = [k.select(upper, ours, theirs) for ours, theirs in both]
        return [[v.bits_as(u8 * STRIPE) for v in half] for half in (firsts, seconds)]

    def turned(self, high: Value) -> Value:
        """The first two points of each chunk change places with the other two."""
        words = high.bits_as(u32 * WORDS)
        return (words << 16 | words >> 16).bits_as(high.type)

    def lane_scales(self, k: Builder, pair: Sequence[Block]) -> list[Value]:
        d = _of_blocks(k, pair)
        both = k.concat([block.scales.load(0, CHUNKS) for block in pair]).to(u32)
        return [odd(d, scale, 1 / 8) for scale in nibbles(k, both)]


class IQ2_XS(_Halved):
    """``d * (scale + 0.5) / 4 * point``; words of a 9-bit index and 7 bits of signs."""

    type = TensorType.IQ2_XS
    grid = "iq2_xs"
    sign_rows = even_rows(1)

    def stripes(self, k: Builder, block: Block) -> list[Value]:
        words = block.qs.of(u64).load(0, CHUNKS)
        return [points(k, self.grid, words >> 16 * s & 0x1FF) for s in range(COUNT)]

    def signs(self, k: Builder, block: Block) -> Value | None:
        return even_masks(k, block.qs.of(u64).load(0, CHUNKS), start=9, stride=16)

    def numbers(self, k: Builder, pair: Sequence[Block]) -> tuple[Value, list[Value]]:
        return self._bytes(k, pair, 0), [(self._bytes(k, pair, 1) & 1).differs(0)]

    def eights(self, k: Builder, pair: Sequence[Block]) -> Value:
        return self._bytes(k, pair, 1)

    @staticmethod
    def _bytes(k: Builder, pair: Sequence[Block], which: int) -> Value:
        """(STRIPE,) u8: the lower byte of each word or the upper."""
        words = (block.qs.of(u64).load(0, CHUNKS) for block in pair)
        starts = (0, 16, 32, 48, 8, 24, 40, 56)  # four lower bytes, then four upper
        a, b = (k.isa.bytes_at(k, starts, w).bits_as(u32 * WORDS) for w in words)
        return k.shuffle(a, b, range(which, 2 * WORDS, 2)).bits_as(u8 * STRIPE)


class IQ2_S(_Halved):
    """``d * (scale + 0.5) / 4 * point``; two upper bits of the indices in ``qh``."""

    type = TensorType.IQ2_S
    grid = "iq2_s"
    sign_rows = AS_THEY_ARE

    def stripes(self, k: Builder, block: Block) -> list[Value]:
        numbers = indices(k, block.qs.of(u32).load(0, CHUNKS), block.qh.load(0, CHUNKS), bits=2)
        return [points(k, self.grid, number) for number in numbers]

    def signs(self, k: Builder, block: Block) -> Value | None:
        masks: Value = block.signs.of(u32).load(0, CHUNKS)
        return masks.to(u64)

    def numbers(self, k: Builder, pair: Sequence[Block]) -> tuple[Value, list[Value]]:
        upper = k.concat([block.qh.load(0, CHUNKS) for block in pair]).take(FOUR_TIMES)
        places = ([bit << 2 * i for i in range(4)] * WORDS for bit in (1, 2))
        ninth = [(upper & k.vector(u8, place)).differs(0) for place in places]
        return k.concat([block.qs.load(0, STRIPE // 2) for block in pair]), ninth

    def eights(self, k: Builder, pair: Sequence[Block]) -> Value:
        return k.concat([block.signs.load(0, STRIPE // 2) for block in pair])


def _of_blocks(k: Builder, pair: Sequence[Block]) -> Value:
    """(WORDS,) f32: the factor of each chunk's block."""
    return k.pair(*(block.d for block in pair)).to(f32).take([0] * CHUNKS + [1] * CHUNKS)
