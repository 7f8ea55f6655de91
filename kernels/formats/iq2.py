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
from pyllama.kernels.language import Builder, Pointer, Value
from pyllama.kernels.orders import EIGHTHS, PAIR_LANES, PAIRS, STRIPE, Order
from pyllama.kernels.types import f32, u8, u16, u32, u64
from pyllama.quants import GridName

WORDS = STRIPE // 4
"""Lanes of 32 bits."""

LANES = sorted((lane, i // CHUNKS, i % CHUNKS) for i, lane in enumerate(PAIR_LANES))
"""For each of them, in the order ``PAIRS``, its block and its chunk."""

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

        low, high: (STRIPE,) u8, of the first four components of points and of the others.
        """
        raise TypeError(f"{type(self).__name__} does not say how points share scales")

    def lane_scales(self, k: Builder, pair: Sequence[Block]) -> list[Value]:
        """(WORDS,) f32 for each piece."""
        raise TypeError(f"{type(self).__name__} does not say where its scales are")

    def order(self, isa: ISA) -> Order:
        return self.looked_up if isa.looks_up_bytes else super().order(isa)

    def unpacked(self, k: Builder, blocks: Sequence[Block]) -> Unpacked:
        if not k.isa.looks_up_bytes:
            return super().unpacked(k, blocks)
        eights = self.eights(k, blocks)
        signs = [k.isa.parities(k, (0, 0, 0, 0, *two, 0, 0), eights) for two in self._sign_pairs]
        low, high = (
            self.point_codes.with_signs(k, packed, signs[2 * i : 2 * i + 2])
            for i, packed in enumerate(self.point_codes.packed(k, *self.numbers(k, blocks)))
        )
        pieces, place = [], 0
        for n, part in enumerate(self.pieces(k, low, high)):
            vectors = [vector for pair in part for vector in self.point_codes.signed(k, pair)]
            places = [place + i * STRIPE for i in range(len(vectors))]
            pieces.append(Piece(vectors, places, [n * WORDS + lane for lane in range(WORDS)]))
            place += len(vectors) * STRIPE
        scales = k.concat(self.lane_scales(k, blocks))
        return Unpacked(pieces, scales, [*range(WORDS)] * len(pieces), lifted=True)

    @property
    def _sign_pairs(self) -> list[tuple[int, ...]]:
        return [self.sign_rows[i : i + 2] for i in range(0, 8, 2)]


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
        d = k.pair(*(block.d for block in pair)).to(f32).take([0] * CHUNKS + [1] * CHUNKS)
        return [odd(d, self._words(k, pair, 1) >> 28, 1 / 8)]

    @staticmethod
    def _words(k: Builder, pair: Sequence[Block], which: int) -> Value:
        """(WORDS,) u32: the first word of each chunk or the second."""
        a, b = (block.qs.of(u32).load(0, WORDS) for block in pair)
        return k.shuffle(a, b, range(which, 2 * WORDS, 2))


class _Halved(_Grid8):
    """Scales of 16 weights, two in a byte."""

    group = 16
    looked_up = PAIRS

    def scales(self, k: Builder, block: Block) -> Value:
        return odd(block.d, nibbles_in_order(k, block.scales.load(0, CHUNKS)), 1 / 8)

    def pieces(self, k: Builder, low: Sequence[Value], high: Sequence[Value]) -> list[list[Value]]:
        words = u32 * WORDS
        firsts, seconds = [], []
        for a, b in zip(low, high, strict=True):
            ours, theirs = a.bits_as(words), b.bits_as(words)
            firsts.append((ours & 0xFFFF | theirs << 16).bits_as(a.type))
            seconds.append((ours >> 16 | theirs & 0xFFFF0000).bits_as(a.type))
        return [firsts, seconds]

    def lane_scales(self, k: Builder, pair: Sequence[Block]) -> list[Value]:
        d = _spread(k, [block.d for block in pair])
        both = _spread(k, [block.scales.load(0, CHUNKS) for block in pair]).to(u32)
        return [odd(d, scale, 1 / 8) for scale in nibbles(k, both & 0xFF)]


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
        words = (block.qs.of(u16).load(0, STRIPE // 2) for block in pair)
        a, b = ((v >> 8 if which else v & 0xFF).bits_as(u8 * STRIPE) for v in words)
        return k.shuffle(a, b, [STRIPE * b + 8 * c + 2 * i for _, b, c in LANES for i in range(4)])


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
        upper = _spread(k, [block.qh.load(0, CHUNKS) for block in pair], times=4)
        places = ([bit << 2 * i for i in range(4)] * WORDS for bit in (1, 2))
        ninth = [(upper & k.vector(u8, place)).differs(0) for place in places]
        return _fours(k, [block.qs for block in pair]), ninth

    def eights(self, k: Builder, pair: Sequence[Block]) -> Value:
        return _fours(k, [block.signs for block in pair])


def _fours(k: Builder, pair: Sequence[Pointer]) -> Value:
    """(STRIPE,) u8: four bytes of each chunk."""
    a, b = (place.of(u64).load(0, CHUNKS // 2) for place in pair)
    quarters = [lane for i in range(CHUNKS // 2) for lane in (i, i + CHUNKS // 2)]
    return k.shuffle(a, b, quarters).bits_as(u8 * STRIPE)


def _spread(k: Builder, pair: Sequence[Value], times: int = 1) -> Value:
    """For each lane, so many times, what both blocks have for each chunk, or for all of them."""
    a, b = pair
    count = a.type.lanes
    if count == 1:
        return k.pair(a, b).to(f32).take([block for _, block, _ in LANES])
    lanes = [block * count + chunk for _, block, chunk in LANES for _ in range(times)]
    return k.shuffle(a, b, lanes)
