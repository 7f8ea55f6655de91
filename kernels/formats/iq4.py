"""Formats of 4-bit codes into sixteen values that lie denser around zero: IQ4_NL, IQ4_XS.

The bit layouts are drawn in ``pyllama/quants/iq4.py``.
"""

from __future__ import annotations

import numpy as np

from pyllama.gguf.types import TensorType
from pyllama.kernels.formats.base import BIAS, Block
from pyllama.kernels.formats.stripes import StripedNibbles
from pyllama.kernels.language import Builder, Value
from pyllama.kernels.types import f32, i32, u32
from pyllama.quants import KVALUES_IQ4NL

_VALUES = tuple(KVALUES_IQ4NL.tolist())

_RAISED = tuple((KVALUES_IQ4NL.astype(np.int16) + BIAS).astype(np.uint8).view(np.int8).tolist())


class IQ4_NL(StripedNibbles):
    """``d * value[q]``, q: 4 bits."""

    type = TensorType.IQ4_NL
    is_signed = True
    levels = _VALUES
    gathers = True

    def of_codes(self, k: Builder, codes: Value) -> Value:
        return k.isa.lookup(k, _VALUES, codes)

    def raised_of_codes(self, k: Builder, codes: Value) -> Value:
        return k.isa.lookup(k, _RAISED, codes).bits_as(codes.type)

    def scales(self, k: Builder, block: Block) -> Value:
        d: Value = block.d
        return d.to(f32)


class IQ4_XS(IQ4_NL):
    """``d * (scale - 32) * value[q]``; eight groups of 32 with 6-bit scales."""

    type = TensorType.IQ4_XS
    gathers = False

    def scales(self, k: Builder, block: Block) -> Value:
        low = k.splat(block.scales_l.of(u32)[0], 8) >> k.vector(u32, range(0, 32, 4)) & 15
        high = k.splat(block.scales_h.to(u32), 8) >> k.vector(u32, range(0, 16, 2)) & 3
        scale = (low | high << 4).bits_as(i32 * 8) - 32
        return scale.to(f32) * super().scales(k, block)
