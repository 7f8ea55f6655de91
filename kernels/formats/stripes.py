"""Formats whose weights meet activations in stripes, for which these are striped too.

A stripe (see ``orders``) is eight weights of each of eight chunks: of a block of 256, or of eight
blocks. Its lanes belong to all scales alike, so that products of several stripes are added up
before they meet them::

    weight    0 .. 7   8 .. 15   16 .. 23   24 .. 31   32 .. 39   ...
    chunk       0         0         0          0          1
    stripe      0         1         2          3          0
"""

from __future__ import annotations

from collections.abc import Sequence

from pyllama.kernels.formats.base import (
    BIAS,
    CHUNK,
    Block,
    Piece,
    QuantizedFormat,
    Unpacked,
    halves,
    joined_nibbles,
)
from pyllama.kernels.isa.base import ISA
from pyllama.kernels.language import Builder, Value
from pyllama.kernels.orders import RUN, STRIPE, STRIPES, Order
from pyllama.kernels.types import i8, u8, u64

EACH_BYTE = 0x0101010101010101
"""A one in each byte of a u64."""

CHUNKS = STRIPE // RUN
"""Chunks of a block."""

COUNT = CHUNK // RUN
"""Stripes of a block."""


class StripedFormat(QuantizedFormat):
    """A format with blocks of 256 that is unpacked stripe by stripe."""

    def order(self, isa: ISA) -> Order:
        return STRIPES

    def stripes(self, k: Builder, block: Block) -> list[Value]:
        """The lanes of each stripe, without signs: (STRIPE,) u8 up to 127."""
        raise TypeError(f"{type(self).__name__} does not say how its stripes are unpacked")

    def signs(self, k: Builder, block: Block) -> Value | None:
        """(CHUNKS,) u64: where bit ``i`` of byte ``s`` is set, weight ``i`` of the chunk's run in
        stripe ``s`` is negative. None where no weight is.
        """
        return None

    def unpacked(self, k: Builder, blocks: Sequence[Block]) -> Unpacked:
        """See ``QuantizedFormat``. Signs are left to the activations: magnitudes are unsigned as
        they are, without an offset that would have to be taken back.
        """
        (block,) = blocks
        pieces = self._pieces(k, self.stripes(k, block), self._negative(k, block))
        scales, offsets = self.scales_and_offsets(k, blocks)
        return Unpacked(pieces, scales, self.chunks(1), offsets)

    def piece_size(self, k: Builder) -> int:
        return min(STRIPE, k.isa.dot_lanes)

    @property
    def _groups(self) -> int:
        """Scales of a chunk."""
        return CHUNK // self.group

    def _pieces(self, k: Builder, stripes: list[Value], negative: list[Value]) -> list[Piece]:
        size = self.piece_size(k)
        return [
            self._piece(stripes, negative, group, range(at, at + size))
            for group in range(self._groups)
            for at in range(0, STRIPE, size)
        ]

    def _piece(
        self, stripes: list[Value], negative: list[Value], group: int, lanes: range
    ) -> Piece:
        """Some lanes of the stripes that one group of each chunk is in."""
        count = COUNT // self._groups
        mine = range(group * count, (group + 1) * count)
        return Piece(
            vectors=[stripes[s].take(lanes) for s in mine],
            places=[s * STRIPE + lanes.start for s in mine],
            groups=[i // RUN * self._groups + group for i in lanes[::4]],
            negative=[negative[s].take(lanes) for s in mine] if negative else [],
        )

    def _negative(self, k: Builder, block: Block) -> list[Value]:
        """Of each stripe the lanes that are negative, as booleans; nothing where none is."""
        masks = self.signs(k, block)
        if masks is None:
            return []
        places = k.vector(u8, [1 << i % RUN for i in range(STRIPE)])
        stripes = (_bytes_of(masks, s) for s in range(COUNT))
        return [(stripe & places).equals(places) for stripe in stripes]

    def lanes(self, k: Builder, block: Block) -> list[Value]:
        stripes, negative = self.stripes(k, block), self._negative(k, block)
        if negative:
            signed = (stripe.bits_as(i8 * STRIPE) for stripe in stripes)
            stripes = [k.isa.negated(k, v, n) for v, n in zip(signed, negative, strict=True)]
        return _in_order(k, stripes)


class StripedNibbles(StripedFormat):
    """A format of chunks with a nibble a weight, of which eight are unpacked at a time.

    Byte ``j`` of a chunk holds weight ``j`` in its low and weight ``j + 16`` in its high half.
    """

    group = CHUNK

    def unpacked(self, k: Builder, blocks: Sequence[Block]) -> Unpacked:
        """See ``QuantizedFormat``. The blocks have eight chunks, a span of activations."""
        words = k.concat([block.qs.load(0, self.block_size // 2) for block in blocks])
        runs = words.bits_as(u64 * (2 * CHUNKS))
        sides = [runs.take(range(at, 2 * CHUNKS, 2)).bits_as(u8 * STRIPE) for at in (0, 1)]
        codes = [side & 15 for side in sides] + [side >> 4 for side in sides]
        scales, offsets = self.scales_and_offsets(k, blocks)
        of_codes = self.of_codes
        if k.isa.dots_whole_bytes and self.is_signed:
            of_codes, offsets = self.raised_of_codes, scales * -BIAS
        pieces = self._pieces(k, [of_codes(k, stripe) for stripe in codes], [])
        return Unpacked(pieces, scales, self.chunks(len(blocks)), offsets)

    def lanes(self, k: Builder, block: Block) -> list[Value]:
        return [self.of_codes(k, codes) for codes in self.codes(k, block)]

    def raised(self, k: Builder, block: Block) -> list[Value]:
        return [self.raised_of_codes(k, codes) for codes in self.codes(k, block)]

    def codes(self, k: Builder, block: Block) -> list[Value]:
        half = CHUNK // 2
        starts = range(0, self.block_size // 2, half)
        return [joined_nibbles(k, block.qs.load(start, half)) for start in starts]

    def of_codes(self, k: Builder, codes: Value) -> Value:
        """The lanes of (n,) u8 codes below 16."""
        return codes

    def raised_of_codes(self, k: Builder, codes: Value) -> Value:
        """Signed lanes, raised by ``BIAS``: (n,) u8."""
        return self.of_codes(k, codes).bits_as(codes.type) ^ BIAS


def _bytes_of(masks: Value, stripe: int) -> Value:
    """The mask of a chunk's run in each of the run's lanes."""
    lanes = [i // RUN * RUN + stripe for i in range(STRIPE)]
    return masks.bits_as(u8 * STRIPE).take(lanes)


def _in_order(k: Builder, stripes: list[Value]) -> list[Value]:
    """Chunks in the order of the weights."""
    runs = [stripe.bits_as(u64 * CHUNKS) for stripe in stripes]
    type = stripes[0].type.scalar * (2 * CHUNK)
    chunks = []
    for c in range(0, CHUNKS, 2):
        first, second = (
            k.shuffle(runs[s], runs[s + 1], [c, c + CHUNKS, c + 1, c + 1 + CHUNKS]) for s in (0, 2)
        )
        pair = k.shuffle(first, second, [0, 1, 4, 5, 2, 3, 6, 7]).bits_as(type)
        chunks += halves(pair)
    return chunks


def striped_planes(k: Builder, words: Value, step: int, kept: int) -> list[Value]:
    """Stripes of bit fields: the bits ``kept`` of bytes, after a shift by ``step`` for each chunk.

    words: (CHUNKS,) u64, of 32 bytes for the first four chunks and 32 for the others, which hold a
    field for each of the four.
    """
    shifts = k.vector(u64, [c % 4 * step for c in range(CHUNKS)])
    spread = (words.take([c // 4 * 4 + s for c in range(CHUNKS)]) for s in range(COUNT))
    return [(word >> shifts & kept * EACH_BYTE).bits_as(u8 * STRIPE) for word in spread]
