"""Formats of 4-bit floats with an 8-bit float as scale: MXFP4, NVFP4.

The bit layouts are drawn in ``pyllama/quants/float4.py``. The lanes are the floats doubled, which
makes them integers, and raised by the largest, which makes them unsigned; the scales are halved.
"""

from __future__ import annotations

from pyllama.gguf.types import TensorType
from pyllama.kernels.formats.base import Block, QuantizedFormat, nibbles
from pyllama.kernels.formats.stripes import StripedNibbles
from pyllama.kernels.language import Builder, Value
from pyllama.kernels.types import f32, u32
from pyllama.quants import KVALUES_MXFP4, UE4M3_HALF

_LARGEST = int(KVALUES_MXFP4.max())
_VALUES = tuple((KVALUES_MXFP4 + _LARGEST).tolist())


def e8m0_half(k: Builder, e: Value) -> Value:
    """``2**(e - 127) / 2``, e: u32 below 256. ``2**-127``, where e is 0, is a subnormal."""
    return k.max(e << 23, 1 << 22).bits_as(f32 * e.type.lanes) * 0.5


class _Raised(QuantizedFormat):
    """Lanes from a table, above the values by the largest."""

    def values(self, k: Builder, codes: Value) -> Value:
        """The lanes of (n,) u8 codes."""
        return k.isa.lookup(k, _VALUES, codes).bits_as(codes.type)

    def offsets(self, k: Builder, block: Block, scales: Value) -> Value | None:
        return scales * -_LARGEST


class MXFP4(_Raised, StripedNibbles):
    """``2**(e - 127) * float``, e: 8 bits."""

    type = TensorType.MXFP4
    offset_group = 32
    largest = 2 * _LARGEST
    levels = _VALUES
    gathers = True

    def of_codes(self, k: Builder, codes: Value) -> Value:
        return self.values(k, codes)

    def scales(self, k: Builder, block: Block) -> Value:
        return e8m0_half(k, block.e.to(u32))


class NVFP4(_Raised):
    """``d * float``, d: an E4M3 float for each of four groups of 16."""

    type = TensorType.NVFP4
    group = offset_group = 16

    def lanes(self, k: Builder, block: Block) -> list[Value]:
        chunks = []
        for start in (0, 16):
            low, high = nibbles(k, block.qs.load(start, 16))
            groups = [*range(8), *range(16, 24), *range(8, 16), *range(24, 32)]
            chunks.append(self.values(k, k.shuffle(low, high, groups)))
        return chunks

    def scales(self, k: Builder, block: Block) -> Value:
        values = k.table(f32, UE4M3_HALF)
        return k.concat([values[block.d[g]] for g in range(4)])
