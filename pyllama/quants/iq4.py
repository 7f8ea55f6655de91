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
from pyllama.quants.bits import bitfields, column, planes, scaled
from pyllama.quants.block_format import BlockFormat, Blocks, Floats, register
from pyllama.quants.tables import KVALUES_IQ4NL


@register
class IQ4_NL(BlockFormat):
    """4-bit codes into a table."""

    type = TensorType.IQ4_NL
    dtype = np.dtype([("d", "<f2"), ("qs", "u1", 16)])

    def _decode(self, blocks: Blocks) -> Floats:
        values = KVALUES_IQ4NL[planes(blocks["qs"], bits=4, run=16)]
        return scaled(column(blocks["d"]), values)


@register
class IQ4_XS(BlockFormat):
    """The same with 6-bit scales of 32 elements."""

    type = TensorType.IQ4_XS
    dtype = np.dtype([("d", "<f2"), ("scales_h", "<u2"), ("scales_l", "u1", 4), ("qs", "u1", 128)])

    def _decode(self, blocks: Blocks) -> Floats:
        high = bitfields(blocks["scales_h"], bits=2, count=8)
        scale = planes(blocks["scales_l"], bits=4, run=1) | high << np.uint16(4)
        values = KVALUES_IQ4NL[planes(blocks["qs"], bits=4, run=16)]
        return scaled(column(blocks["d"]) * (scale.astype(np.float32) - 32), values)
