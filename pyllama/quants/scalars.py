"""Types whose blocks are single elements.

    F32, F64      x       IEEE 754
    F16           x       IEEE 754 half precision: 1 sign, 5 exponent, 10 fraction bits
    BF16          bits    the upper half of a float32: 1 sign, 8 exponent, 7 fraction bits
    I8 .. I64     x       two's complement

Decoded they are rounded to float32, which is exact for F32, F16, BF16, I8 and I16.
"""

from __future__ import annotations

import numpy as np

from pyllama.gguf.types import TensorType
from pyllama.quants.bits import column
from pyllama.quants.block_format import BlockFormat, Blocks, Encodable, Floats, register


class Scalar(BlockFormat):
    """An element that NumPy knows: field ``x``."""

    def _decode(self, blocks: Blocks) -> Floats:
        return column(blocks["x"])


class EncodableScalar(Scalar, Encodable):
    """The same, rounded to nearest even when encoded; what overflows becomes infinite."""

    def _encode(self, values: Floats) -> Blocks:
        blocks = np.empty(len(values), self.dtype)
        blocks["x"] = values[:, 0]
        return blocks


@register
class F32(EncodableScalar):
    """Single precision."""

    type = TensorType.F32
    dtype = np.dtype([("x", "<f4")])


@register
class F16(EncodableScalar):
    """Half precision."""

    type = TensorType.F16
    dtype = np.dtype([("x", "<f2")])


@register
class F64(Scalar):
    """Double precision."""

    type = TensorType.F64
    dtype = np.dtype([("x", "<f8")])


@register
class I8(Scalar):
    """Signed 8-bit integer."""

    type = TensorType.I8
    dtype = np.dtype([("x", "i1")])


@register
class I16(Scalar):
    """Signed 16-bit integer."""

    type = TensorType.I16
    dtype = np.dtype([("x", "<i2")])


@register
class I32(Scalar):
    """Signed 32-bit integer."""

    type = TensorType.I32
    dtype = np.dtype([("x", "<i4")])


@register
class I64(Scalar):
    """Signed 64-bit integer."""

    type = TensorType.I64
    dtype = np.dtype([("x", "<i8")])


@register
class BF16(Encodable):
    """The upper half of a float32, rounded to nearest even; a NaN stays one, made quiet."""

    type = TensorType.BF16
    dtype = np.dtype([("bits", "<u2")])

    def _decode(self, blocks: Blocks) -> Floats:
        return (blocks["bits"].astype(np.uint32) << np.uint32(16)).view(np.float32)[:, None]

    def _encode(self, values: Floats) -> Blocks:
        bits = np.ascontiguousarray(values[:, 0]).view(np.uint32)
        upper = bits >> np.uint32(16)
        # Half of the dropped part, less one unless the kept part is odd: ties go to even. Only the
        # sum of a NaN can wrap around, and that is not taken.
        rounded = (bits + np.uint32(0x7FFF) + (upper & np.uint32(1))) >> np.uint32(16)
        blocks = np.empty(len(values), self.dtype)
        blocks["bits"] = np.where(np.isnan(values[:, 0]), upper | np.uint32(0x40), rounded)
        return blocks
