"""Blocks of 4-bit floats with an 8-bit float as scale.

    MXFP4   e 1 byte  | qs 16 bytes      32 elements                    w = 2**(e - 127) * E2M1(q)
    NVFP4   d 4 bytes | qs 32 bytes      64 elements, 4 groups of 16    w = E4M3(d[g]) * E2M1(q)

E2M1 is 0, 0.5, 1, 1.5, 2, 3, 4, 6 for codes 0..7 and the negatives of these for 8..15; values and
scales come from ``tables``, doubled and halved. MXFP4: element j < 16 has the low nibble of
``qs[j]``, element j + 16 its high nibble. NVFP4: group g has ``qs[8 g : 8 g + 8]``, and the same
order within: the eight low nibbles first.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pyllama.gguf.types import TensorType
from pyllama.quants.bits import pack_planes, planes, scaled
from pyllama.quants.block_format import (
    BlockFormat,
    Blocks,
    Encodable,
    Floats,
    assemble,
    register,
)
from pyllama.quants.tables import E8M0_HALF, KVALUES_MXFP4, UE4M3_HALF

_MAGNITUDES = KVALUES_MXFP4[:8].astype(np.float32)
MIDDLES = (_MAGNITUDES[1:] + _MAGNITUDES[:-1]) / 2
"""(7,) float32: above which magnitudes, doubled, the next code is nearer."""


@register
class MXFP4(Encodable):
    """4-bit floats with a power of two as scale (OCP Microscaling Formats v1.0)."""

    type = TensorType.MXFP4
    dtype = np.dtype([("e", "u1"), ("qs", "u1", 16)])

    def _decode(self, blocks: Blocks) -> Floats:
        values = KVALUES_MXFP4[planes(blocks["qs"], bits=4, run=16)]
        return scaled(E8M0_HALF[blocks["e"]][:, None], values)

    def _encode(self, values: Floats) -> Blocks:
        magnitudes = np.abs(values)
        e = exponents(magnitudes.max(axis=1))
        scale = E8M0_HALF[e][:, None]
        codes = np.zeros(values.shape, np.uint8)
        for middle in MIDDLES:
            codes += magnitudes > middle * scale
        codes += np.uint8(8) * ((values < 0) & (codes > 0))
        return assemble(self.dtype, e=e, qs=pack_planes(codes, bits=4, run=16))


@register
class NVFP4(BlockFormat):
    """4-bit floats with an 8-bit float as scale of 16 elements."""

    type = TensorType.NVFP4
    dtype = np.dtype([("d", "u1", 4), ("qs", "u1", 32)])

    def _decode(self, blocks: Blocks) -> Floats:
        values = KVALUES_MXFP4[planes(blocks["qs"], bits=4, run=8)]
        return scaled(UE4M3_HALF[blocks["d"]], values)


def exponents(largest: Floats) -> NDArray[np.uint8]:
    """Scale bytes that bring the largest magnitudes (n,) to 4..8, just beyond the last code."""
    # ggml takes the logarithm in float32: just below a power of two it is rounded to the whole
    # number. The nearest float32 of the exact one is what a good log2f returns.
    exact: Floats = np.log2(largest.astype(np.float64)).astype(np.float32)
    power = np.where(largest > 0, np.floor(exact) - 2 + 127, np.float32(0))
    exponents: NDArray[np.uint8] = np.clip(power, 0, 254).astype(np.uint8)
    return exponents
