"""IQ formats of one bit and a half: 256 elements, each eight of them a point of a ternary grid.

A grid (see ``grids``) lists the vectors of eight values -1, 0, 1 that may occur. A block has an
index into the grid for each, shifts delta, and scales s of groups of elements:

    IQ1_S     d f16 | qs 32 bytes | qh 8 u16                       8 groups of 32
    IQ1_M     qs 32 bytes | qh 16 | scales 4 u16                   16 groups of 16

    w = d * (2 s + 1) * (value + delta),  delta = 0.125 or -0.125

All fields are least significant bits first, words little-endian:

    index   bits 0..7: a byte of qs; bits 8..10, in the same order: the four lower 3-bit fields of
            each word of qh in IQ1_S, bits 0..2 of each nibble of qh in IQ1_M
    s       IQ1_S: bits 12..14 of each word of qh
            IQ1_M: four 3-bit fields of each word of scales; the bits 12..15 of the four words
            together are d, lowest nibble first
    delta   negative in a group of IQ1_S where bit 15 of its word of qh is set, in the eight
            elements of a point of IQ1_M where bit 3 of its nibble of qh is

Encoding: see ``iq1_search``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyllama.gguf.types import TensorType
from pyllama.quants.bits import bitfields, pack_planes, planes, scaled
from pyllama.quants.block_format import Blocks, Floats, Weighable, assemble, register
from pyllama.quants.grids import grid
from pyllama.quants.i_quants import extended, odd_scales
from pyllama.quants.iq1_search import (
    DELTA,
    ShiftedCodes,
    fit_one_shift,
    fit_two_shifts,
    point_values,
)
from pyllama.quants.search import Codes, as_groups, rounded, total
from pyllama.quants.weighting import weights_by_block

FUDGE_S, FUDGE_M = np.float32(1.125), np.float32(1.1125)


@register
class IQ1_S(Weighable):
    """1.56 bits: 2048 ternary grid points, shifted by an eighth."""

    type = TensorType.IQ1_S
    dtype = np.dtype([("d", "<f2"), ("qs", "u1", 32), ("qh", "<u2", 8)])

    def _decode(self, blocks: Blocks) -> Floats:
        qh = blocks["qh"]
        index = extended(blocks["qs"], bitfields(qh, bits=3, count=4).reshape(len(blocks), 32))
        scale = qh >> np.uint16(12) & np.uint16(7)
        negative = (qh >> np.uint16(15)).repeat(4, axis=1)
        return scaled(odd_scales(blocks["d"], scale), _shifted_points(index, negative))

    def _encode(self, values: Floats) -> Blocks:
        return self._encode_rows(values, np.ones(values.shape[1], np.float32))

    def _encode_rows(self, rows: Floats, importance: Floats) -> Blocks:
        weights = weights_by_block(rows, importance, 256, factor=2)
        coded = fit_one_shift(as_groups(rows, 32), as_groups(weights, 32), tiny=1e-12)
        d, scale, alive = _scales(coded.scale.reshape(-1, 8))
        index = _by_block(coded.index, len(d)) * alive
        down = coded.down[0].reshape(-1, 8) * alive
        upper = (index >> np.uint16(8)).reshape(-1, 8, 4) << np.array([0, 3, 6, 9], np.uint16)
        qh = np.bitwise_or.reduce(upper, axis=2)
        qh |= (scale | down.astype(np.uint8) << np.uint8(3)).astype(np.uint16) << np.uint16(12)
        return assemble(self.dtype, d=d * FUDGE_S, qs=index.astype(np.uint8), qh=qh)


@register
class IQ1_M(Weighable):
    """1.75 bits: as IQ1_S, with finer scales and shifts, the block's scale spread over them."""

    type = TensorType.IQ1_M
    dtype = np.dtype([("qs", "u1", 32), ("qh", "u1", 16), ("scales", "<u2", 4)])

    def _decode(self, blocks: Blocks) -> Floats:
        scale = bitfields(blocks["scales"], bits=3, count=4).reshape(len(blocks), 16)
        upper = planes(blocks["qh"], bits=4, run=1)
        index = extended(blocks["qs"], upper & np.uint8(7))
        return scaled(
            odd_scales(_spread_half(blocks["scales"]), scale),
            _shifted_points(index, upper >> np.uint8(3)),
        )

    def _encode(self, values: Floats) -> Blocks:
        return self._encode_by(values, values * values)

    def _encode_rows(self, rows: Floats, importance: Floats) -> Blocks:
        weights = weights_by_block(rows, importance, 256, factor=2)
        return self._encode_by(rows.reshape(-1, 256), weights.reshape(-1, 256))

    def _encode_by(self, values: Floats, weights: Floats) -> Blocks:
        coded = fit_two_shifts(as_groups(values, 16), as_groups(weights, 16), tiny=1e-7)
        largest, scale, alive = _scales(coded.scale.reshape(-1, 16))
        d = _refitted(values, weights, coded, scale, largest) * FUDGE_M
        bits = np.where(alive, d[:, None], np.float32(0)).astype(np.float16).view(np.uint16)
        index = _by_block(coded.index, len(d)) * alive
        down = coded.down.T.reshape(len(d), 32) * alive
        nibbles = (index >> np.uint16(8)).astype(np.uint8) | down.astype(np.uint8) << np.uint8(3)
        fields = scale.reshape(-1, 4, 4).astype(np.uint16) << np.array([0, 3, 6, 9], np.uint16)
        d_bits = bits >> np.array([0, 4, 8, 12], np.uint16) << np.uint16(12)
        return assemble(
            self.dtype,
            qs=index.astype(np.uint8),
            qh=pack_planes(nibbles, bits=4, run=1),
            scales=np.bitwise_or.reduce(fields, axis=2) | d_bits,
        )


def _scales(scale: Floats) -> tuple[Floats, Codes, Codes]:
    """Scales (n, g) as a float (n,) and codes 0..7 (n, g), and 0 for blocks of zeros (n, 1)."""
    d = scale.max(axis=1) / np.float32(15)
    exact = np.float32(0.5) * ((1 / d)[:, None] * scale - np.float32(1))
    alive = (d > 0)[:, None]
    codes = np.where(alive, rounded(exact, 0, 7), np.float32(0))
    return d, codes.astype(np.uint8), alive.astype(np.uint8)


def _by_block(index: NDArray[np.intp], n: int) -> NDArray[np.uint16]:
    """Indices (points, groups) of n blocks as (n, 32)."""
    return index.T.reshape(n, 32).astype(np.uint16)


def _refitted(
    values: Floats, weights: Floats, coded: ShiftedCodes, scale: Codes, d: Floats
) -> Floats:
    """The scales (n,) that suit all the points of a block best; ``d`` where there are none."""
    steps = point_values(coded.index, coded.down) * (2 * scale.reshape(-1).astype(np.float32) + 1)
    by_block = np.ascontiguousarray(steps.T).reshape(values.shape)
    weighted = weights * by_block
    along = total(np.ascontiguousarray((weighted * values).T))
    power = total(np.ascontiguousarray((weighted * by_block).T))
    return np.where(power > 0, along / power, d)


def _spread_half(words: NDArray[np.uint16]) -> NDArray[np.float16]:
    """The f16, (n,), whose nibbles, lowest first, are the top nibbles of four words, (n, 4)."""
    places = np.array([0, 4, 8, 12], np.uint16)
    bits: NDArray[np.uint16] = np.bitwise_or.reduce(words >> np.uint16(12) << places, axis=1)
    return bits.view(np.float16)


def _shifted_points(index: NDArray[np.uint16], negative: NDArray[Any]) -> Floats:
    """Points of the iq1 grid plus or minus delta: (n, 256) of indices and flags (n, 32)."""
    delta = np.where(negative, -DELTA, DELTA)[:, :, None]
    return (grid("iq1_s")[index].astype(np.float32) + delta).reshape(len(index), 256)
