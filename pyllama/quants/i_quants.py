"""IQ formats on grids: 256 elements, eight (or four) of them coded by one point of a grid.

A grid (see ``grids``) lists the vectors that may occur: eight magnitudes for iq2, four for iq3,
eight values -1, 0, 1 for iq1. A block has an index into the grid for each, signs for each eight
magnitudes, and scales s of groups of elements:

    IQ2_XXS   d f16 | qs 32 u16                                    8 groups of 32
    IQ2_XS    d f16 | qs 32 u16 | scales 8 bytes                   16 groups of 16
    IQ2_S     d f16 | qs 32 bytes | signs 32 | qh 8 | scales 8     16 groups of 16
    IQ3_XXS   d f16 | qs 64 bytes | scales_and_signs 8 u32         8 groups of 32
    IQ3_S     d f16 | qs 64 bytes | qh 8 | signs 32 | scales 4     8 groups of 32
    IQ1_S     d f16 | qs 32 bytes | qh 8 u16                       8 groups of 32
    IQ1_M     qs 32 bytes | qh 16 | scales 4 u16                   16 groups of 16

    IQ2_*     w = d * (s + 0.5) / 4 * sign * magnitude
    IQ3_XXS   w = d * (s + 0.5) / 2 * sign * magnitude
    IQ3_S     w = d * (2 s + 1) * sign * magnitude
    IQ1_*     w = d * (2 s + 1) * (value + delta),  delta = 0.125 or -0.125

Where the indices are (all fields least significant bits first, words little-endian):

    IQ2_XXS   of each eight bytes of qs, the first four
    IQ2_XS    bits 0..8 of each word of qs
    others    bits 0..7: a byte of qs; more bits, in the same order: 2-bit fields of qh in IQ2_S,
              1-bit in IQ3_S, the four lower 3-bit fields of each word in IQ1_S, bits 0..2 of each
              nibble in IQ1_M

Signs are masks of eight bits, bit i set where element i is negative; seven bits index ``KSIGNS``:

    IQ2_XXS, IQ3_XXS    bits 0..27 of a u32 (of each eight bytes of qs, the last four): 4 indices
    IQ2_XS              bits 9..15 of each word of qs: an index
    IQ2_S, IQ3_S        signs: masks

Scales s:

    IQ2_XXS, IQ3_XXS       bits 28..31 of the u32 that holds the signs
    IQ2_XS, IQ2_S, IQ3_S   nibbles of scales
    IQ1_S                  bits 12..14 of each word of qh
    IQ1_M                  four 3-bit fields of each word of scales; the bits 12..15 of the four
                           words together are d, lowest nibble first

Delta is negative in a group of IQ1_S where bit 15 of its word of ``qh`` is set, in the eight
elements of a point of IQ1_M where bit 3 of its nibble of ``qh`` is.

ggml's structs count the signs of IQ2_S and the words of IQ3_XXS to ``qs``; they have names here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyllama.gguf.types import TensorType
from pyllama.quants.bits import bitfields, column, planes, scaled, signs
from pyllama.quants.block_format import BlockFormat, Blocks, Floats, register
from pyllama.quants.grids import GridName, grid
from pyllama.quants.tables import KSIGNS

DELTA = np.float32(0.125)


@register
class IQ2_XXS(BlockFormat):
    """2.06 bits: 256 grid points, 7-bit sign indices."""

    type = TensorType.IQ2_XXS
    dtype = np.dtype([("d", "<f2"), ("qs", "<u2", 32)])

    def _decode(self, blocks: Blocks) -> Floats:
        words = np.ascontiguousarray(blocks["qs"]).view("<u4").reshape(len(blocks), 8, 2)
        index = bitfields(words[:, :, 0], bits=8, count=4).reshape(len(blocks), 32)
        masks, scale = _signs_and_scale(words[:, :, 1])
        return scaled(_halves(blocks, scale) * np.float32(0.25), _points("iq2_xxs", index, masks))


@register
class IQ2_XS(BlockFormat):
    """2.31 bits: 512 grid points, 7-bit sign indices."""

    type = TensorType.IQ2_XS
    dtype = np.dtype([("d", "<f2"), ("qs", "<u2", 32), ("scales", "u1", 8)])

    def _decode(self, blocks: Blocks) -> Floats:
        index = blocks["qs"] & np.uint16(0x1FF)
        masks = KSIGNS[blocks["qs"] >> np.uint16(9)]
        scale = planes(blocks["scales"], bits=4, run=1)
        return scaled(_halves(blocks, scale) * np.float32(0.25), _points("iq2_xs", index, masks))


@register
class IQ2_S(BlockFormat):
    """2.56 bits: 1024 grid points, sign masks."""

    type = TensorType.IQ2_S
    dtype = np.dtype(
        [("d", "<f2"), ("qs", "u1", 32), ("signs", "u1", 32), ("qh", "u1", 8), ("scales", "u1", 8)]
    )

    def _decode(self, blocks: Blocks) -> Floats:
        index = _extended(blocks["qs"], planes(blocks["qh"], bits=2, run=1))
        scale = planes(blocks["scales"], bits=4, run=1)
        points = _points("iq2_s", index, blocks["signs"])
        return scaled(_halves(blocks, scale) * np.float32(0.25), points)


@register
class IQ3_XXS(BlockFormat):
    """3.06 bits: 256 grid points, 7-bit sign indices."""

    type = TensorType.IQ3_XXS
    dtype = np.dtype([("d", "<f2"), ("qs", "u1", 64), ("scales_and_signs", "<u4", 8)])

    def _decode(self, blocks: Blocks) -> Floats:
        masks, scale = _signs_and_scale(blocks["scales_and_signs"])
        points = _points("iq3_xxs", blocks["qs"], masks)
        return scaled(_halves(blocks, scale) * np.float32(0.5), points)


@register
class IQ3_S(BlockFormat):
    """3.44 bits: 512 grid points, sign masks."""

    type = TensorType.IQ3_S
    dtype = np.dtype(
        [("d", "<f2"), ("qs", "u1", 64), ("qh", "u1", 8), ("signs", "u1", 32), ("scales", "u1", 4)]
    )

    def _decode(self, blocks: Blocks) -> Floats:
        index = _extended(blocks["qs"], planes(blocks["qh"], bits=1, run=1))
        scale = planes(blocks["scales"], bits=4, run=1)
        return scaled(_odd(blocks["d"], scale), _points("iq3_s", index, blocks["signs"]))


@register
class IQ1_S(BlockFormat):
    """1.56 bits: 2048 ternary grid points, shifted by an eighth."""

    type = TensorType.IQ1_S
    dtype = np.dtype([("d", "<f2"), ("qs", "u1", 32), ("qh", "<u2", 8)])

    def _decode(self, blocks: Blocks) -> Floats:
        qh = blocks["qh"]
        index = _extended(blocks["qs"], bitfields(qh, bits=3, count=4).reshape(len(blocks), 32))
        scale = qh >> np.uint16(12) & np.uint16(7)
        negative = (qh >> np.uint16(15)).repeat(4, axis=1)
        return scaled(_odd(blocks["d"], scale), _shifted_points(index, negative))


@register
class IQ1_M(BlockFormat):
    """1.75 bits: as IQ1_S, with finer scales and shifts, the block's scale spread over them."""

    type = TensorType.IQ1_M
    dtype = np.dtype([("qs", "u1", 32), ("qh", "u1", 16), ("scales", "<u2", 4)])

    def _decode(self, blocks: Blocks) -> Floats:
        scale = bitfields(blocks["scales"], bits=3, count=4).reshape(len(blocks), 16)
        upper = planes(blocks["qh"], bits=4, run=1)
        index = _extended(blocks["qs"], upper & np.uint8(7))
        return scaled(
            _odd(_spread_half(blocks["scales"]), scale),
            _shifted_points(index, upper >> np.uint8(3)),
        )


def _spread_half(words: NDArray[np.uint16]) -> NDArray[np.float16]:
    """The f16, (n,), whose nibbles, lowest first, are the top nibbles of four words, (n, 4)."""
    places = np.array([0, 4, 8, 12], np.uint16)
    bits: NDArray[np.uint16] = np.bitwise_or.reduce(words >> np.uint16(12) << places, axis=1)
    return bits.view(np.float16)


def _signs_and_scale(words: NDArray[np.uint32]) -> tuple[NDArray[np.uint8], NDArray[np.uint32]]:
    """Sign masks (n, 32) and scales (n, 8) of words (n, 8): four 7-bit indices, then 4 bits."""
    masks = KSIGNS[bitfields(words, bits=7, count=4)]
    return masks.reshape(len(words), 32), words >> np.uint32(28)


def _extended(low: NDArray[np.uint8], high: NDArray[Any]) -> NDArray[np.uint16]:
    """Indices of more than eight bits."""
    return low | high.astype(np.uint16) << np.uint16(8)


def _halves(blocks: Blocks, scale: NDArray[Any]) -> Floats:
    """d * (s + 0.5), (n, groups)."""
    return column(blocks["d"]) * (scale.astype(np.float32) + np.float32(0.5))


def _odd(d: NDArray[np.float16], scale: NDArray[Any]) -> Floats:
    """d * (2 s + 1), (n, groups)."""
    return column(d) * (2 * scale.astype(np.float32) + 1)


def _points(name: GridName, index: NDArray[Any], masks: NDArray[np.uint8]) -> NDArray[np.int8]:
    """Grid points with their signs: int8 (n, 256) of indices (n, points) and masks (n, 32)."""
    points: NDArray[np.int8] = grid(name)[index].reshape(len(index), 256) * signs(masks)
    return points


def _shifted_points(index: NDArray[np.uint16], negative: NDArray[Any]) -> Floats:
    """Points of the iq1 grid plus or minus delta: (n, 256) of indices and flags (n, 32)."""
    delta = np.where(negative, -DELTA, DELTA)[:, :, None]
    return (grid("iq1_s")[index].astype(np.float32) + delta).reshape(len(index), 256)
