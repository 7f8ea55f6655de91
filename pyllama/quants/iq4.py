"""IQ formats of 4 bits: codes into sixteen values that lie denser around zero (``KVALUES_IQ4NL``).

IQ4_NL   d f16 | qs 16 bytes                                 32 elements
         w = d * value[q]
         q: element j < 16 has the low nibble of qs[j], element j + 16 its high nibble

IQ4_XS   d f16 | scales_h u16 | scales_l 4 bytes | qs 128    256 elements, 8 groups of 32
         w = d * (s[g] - 32) * value[q]
         q: each group has 16 bytes of qs, in the order of IQ4_NL
         s: lower four bits in nibbles of scales_l, upper two in scales_h, lowest bits first
"""

from __future__ import annotations

import numpy as np

from pyllama.gguf.types import TensorType
from pyllama.quants.bits import bitfields, column, pack_planes, planes, scaled
from pyllama.quants.block_format import Blocks, Floats, Weighable, assemble, register
from pyllama.quants.search import TINY, Codes, as_groups, largest, rounded, total
from pyllama.quants.tables import KVALUES_IQ4NL
from pyllama.quants.weighting import weights_by_block

_VALUES = KVALUES_IQ4NL.astype(np.float32)
MIDDLES = (_VALUES[1:] + _VALUES[:-1]) / 2
"""(15,) float32: where the nearest value changes; a middle belongs to the upper one."""

TRIES = 7
"""How far from the end of the table the largest value is laid, either way."""


@register
class IQ4_NL(Weighable):
    """4-bit codes into a table."""

    type = TensorType.IQ4_NL
    dtype = np.dtype([("d", "<f2"), ("qs", "u1", 16)])

    def _decode(self, blocks: Blocks) -> Floats:
        values = KVALUES_IQ4NL[planes(blocks["qs"], bits=4, run=16)]
        return scaled(column(blocks["d"]), values)

    def _encode(self, values: Floats) -> Blocks:
        return self._encode_by(values, values * values)

    def _encode_rows(self, rows: Floats, importance: Floats) -> Blocks:
        weights = weights_by_block(rows, importance, 32, factor=2)
        return self._encode_by(rows.reshape(-1, 32), weights)

    def _encode_by(self, values: Floats, weights: Floats) -> Blocks:
        d = _fit_table(as_groups(values, 32), as_groups(weights, 32))
        codes = _nearest(values * _reciprocal(d)[:, None])
        return assemble(self.dtype, d=d, qs=pack_planes(codes, bits=4, run=16))


@register
class IQ4_XS(Weighable):
    """The same with 6-bit scales of 32 elements."""

    type = TensorType.IQ4_XS
    dtype = np.dtype([("d", "<f2"), ("scales_h", "<u2"), ("scales_l", "u1", 4), ("qs", "u1", 128)])

    def _decode(self, blocks: Blocks) -> Floats:
        high = bitfields(blocks["scales_h"], bits=2, count=8)
        scale = planes(blocks["scales_l"], bits=4, run=1) | high << np.uint16(4)
        values = KVALUES_IQ4NL[planes(blocks["qs"], bits=4, run=16)]
        return scaled(column(blocks["d"]) * (scale.astype(np.float32) - 32), values)

    def _encode(self, values: Floats) -> Blocks:
        return self._encode_by(values, values * values)

    def _encode_rows(self, rows: Floats, importance: Floats) -> Blocks:
        weights = weights_by_block(rows, importance, 256, factor=2)
        return self._encode_by(rows.reshape(-1, 256), weights)

    def _encode_by(self, values: Floats, weights: Floats) -> Blocks:
        groups = as_groups(values, 32)
        scales = _fit_table(groups, as_groups(weights, 32)).reshape(-1, 8)
        d = largest(scales.T) / np.float32(-32)
        steps = rounded(scales * _reciprocal(d)[:, None], -32, 31)
        inverse = _reciprocal(d[:, None] * steps)
        codes = _nearest(values.reshape(-1, 8, 32) * inverse[:, :, None]).reshape(values.shape)
        stored = (steps + 32).astype(np.uint8)
        upper = pack_planes(stored >> np.uint8(4), bits=2, run=1).view("<u2")
        return assemble(
            self.dtype,
            d=d,
            scales_h=upper[:, 0],
            scales_l=pack_planes(stored & np.uint8(15), bits=4, run=1),
            qs=pack_planes(codes, bits=4, run=16),
        )


def _fit_table(values: Floats, weights: Floats) -> Floats:
    """Scales (m,) such that scale times a table value is near the values (32, m).

    The value of largest magnitude is laid on or near the lower end of the table (fifteen tries),
    and on the mirror image of that; each scale is improved by least squares. Source: ggml-quants.c.
    """
    peak = largest(values)
    scale, best = np.zeros_like(peak), np.zeros_like(peak)
    near = (np.float32(step) + _VALUES[0] for step in range(-TRIES, TRIES + 1))
    for inverse in (1 / (-peak / _VALUES[0]), *(place / peak for place in near)):
        trial = _VALUES[_nearest(values * inverse)]
        along = total(weights * trial * values)
        power = total(weights * trial * trial)
        better = (power > 0) & (along * along > best * power)
        np.copyto(scale, along / power, where=better)
        np.copyto(best, scale * along, where=better)
    scale[~(np.abs(peak) >= TINY)] = 0
    return scale


def _nearest(values: Floats) -> Codes:
    """Codes of the nearest table values, the upper one of two."""
    return np.searchsorted(MIDDLES, values, side="right").astype(np.uint8)


def _reciprocal(d: Floats) -> Floats:
    """1 / d, and 0 for 0."""
    return np.where(d == 0, np.float32(0), 1 / d)
