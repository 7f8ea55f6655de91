"""IQ3_XXS and IQ3_S: four weights are one point of a grid, and have signs of their own.

The bit layouts are drawn in ``pyllama/quants/i_quants.py``.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyllama.gguf.types import TensorType
from pyllama.kernels.formats.base import Block, Piece, Unpacked
from pyllama.kernels.formats.grids import Codes, even_masks, nibbles_in_order, odd, points
from pyllama.kernels.formats.stripes import CHUNKS, COUNT, StripedFormat
from pyllama.kernels.isa.base import ISA
from pyllama.kernels.language import Builder, Value
from pyllama.kernels.orders import QUARTERS, RUN, STRIPE, Order
from pyllama.kernels.types import u8, u32, u64
from pyllama.quants import GridName


class _Grid4(StripedFormat):
    """Points of four, a byte of ``qs`` each; the lanes of a quarter are one weight of every point.

    They are in quarters where bytes are looked up, else in stripes.
    """

    grid: GridName
    is_signed = True
    group = 32

    def __init__(self) -> None:
        super().__init__()
        self.point_codes = Codes(self.grid)

    def ninth(self, k: Builder, block: Block) -> list[Value]:
        """(STRIPE,) booleans: a further bit of every point's number, where it has one."""
        return []

    def eights(self, k: Builder, block: Block) -> Value:
        """(STRIPE,) u8: for each point the signs of the eight weights it belongs to."""
        raise TypeError(f"{type(self).__name__} does not say where its signs are")

    def order(self, isa: ISA) -> Order:
        return QUARTERS if isa.looks_up_bytes else super().order(isa)

    def unpacked(self, k: Builder, blocks: Sequence[Block]) -> Unpacked:
        if not k.isa.looks_up_bytes:
            return super().unpacked(k, blocks)
        (block,) = blocks
        index, eights = block.qs.load(0, STRIPE), self.eights(k, block)
        packed = self.point_codes.packed(k, index, self.ninth(k, block))
        quarters = [q for part in packed for q in self.point_codes.unpacked(k, part)]
        negative = [
            (eights & k.vector(u8, [1 << s, 16 << s] * (STRIPE // 2))).differs(0)
            for s in range(len(quarters))
        ]
        places = [s * STRIPE for s in range(len(quarters))]
        groups = [lane * CHUNKS // (STRIPE // 4) for lane in range(STRIPE // 4)]
        piece = Piece(quarters, places, groups, negative)
        return Unpacked([piece], self.scales(k, block), self.chunks(1))


class IQ3_XXS(_Grid4):
    """``d * (scale + 0.5) / 2 * point``; signs and scale of a chunk in a u32."""

    type = TensorType.IQ3_XXS
    grid = "iq3_xxs"
    largest = 62

    def stripes(self, k: Builder, block: Block) -> list[Value]:
        return [points(k, self.grid, index) for index in _pairs(k, block)]

    def signs(self, k: Builder, block: Block) -> Value | None:
        return even_masks(k, block.scales_and_signs.load(0, CHUNKS).to(u64))

    def scales(self, k: Builder, block: Block) -> Value:
        return odd(block.d, block.scales_and_signs.load(0, CHUNKS) >> 28, 1 / 4)

    def eights(self, k: Builder, block: Block) -> Value:
        words = block.scales_and_signs.load(0, CHUNKS).to(u64)
        starts = tuple(7 * (i // 2) for i in range(8))
        return k.isa.even_bytes(k, k.isa.bytes_at(k, starts, words))


class IQ3_S(_Grid4):
    """``d * (2 * scale + 1) * point``; the ninth bit of the indices in ``qh``."""

    type = TensorType.IQ3_S
    grid = "iq3_s"
    largest = 15

    def stripes(self, k: Builder, block: Block) -> list[Value]:
        upper = block.qh.load(0, CHUNKS).take([i // 2 for i in range(2 * CHUNKS)]).to(u32)
        ninth = (
            upper << k.vector(u32, [8 - 2 * s, 7 - 2 * s] * CHUNKS) & 0x100 for s in range(COUNT)
        )
        pairs = zip(_pairs(k, block), ninth, strict=True)
        return [points(k, self.grid, low | high) for low, high in pairs]

    def signs(self, k: Builder, block: Block) -> Value | None:
        masks: Value = block.signs.of(u32).load(0, CHUNKS)
        return masks.to(u64)

    def scales(self, k: Builder, block: Block) -> Value:
        return odd(block.d, nibbles_in_order(k, block.scales.load(0, 4)))

    def ninth(self, k: Builder, block: Block) -> list[Value]:
        return [k.isa.bits(k, block.qh.of(u64)[0])]

    def eights(self, k: Builder, block: Block) -> Value:
        return block.signs.load(0, STRIPE // 2).take([i // 2 for i in range(STRIPE)])


def _pairs(k: Builder, block: Block) -> list[Value]:
    """The bytes of ``qs`` as indices of points of four, for each stripe two of every chunk."""
    packed = block.qs.load(0, STRIPE)
    zero = k.zero(packed.type)
    stripes = []
    for s in range(COUNT):
        places = [RUN * c + 2 * s + i for c in range(CHUNKS) for i in range(2)]
        lanes = [lane for place in places for lane in (place, STRIPE, STRIPE, STRIPE)]
        stripes.append(k.shuffle(packed, zero, lanes).bits_as(u32 * (2 * CHUNKS)))
    return stripes
