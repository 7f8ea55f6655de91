"""Formats of 4-bit floats with an 8-bit float as scale: MXFP4, NVFP4.

The bit layouts are drawn in ``pyllama/quants/float4.py``. The lanes are the floats doubled, which
makes them integers; the scales are halved.
"""

from __future__ import annotations

from pyllama.gguf.types import TensorType
from pyllama.kernels.formats.base import Block, QuantizedFormat, nibbles
from pyllama.kernels.language import Builder, Value
from pyllama.kernels.types import f32, u32
from pyllama.quants import KVALUES_MXFP4, UE4M3_HALF

_VALUES = tuple(KVALUES_MXFP4.tolist())


class MXFP4(QuantizedFormat):
    """``2**(e - 127) * float``, e: 8 bits.

    Half of the scale is the float32 whose exponent field is ``e - 1``, or a subnormal for 0 and 1.
    """

    type = TensorType.MXFP4
    group = 32
    gathers = True

    def lanes(self, k: Builder, block: Block) -> list[Value]:
        return [k.isa.lookup(k, _VALUES, k.concat(nibbles(k, block.qs.load(0, 16))))]

    def scales(self, k: Builder, block: Block) -> Value:
        e: Value = block.e.to(u32)
        subnormal = k.const(e.type, 1 << 21) << (e & 1)
        return k.select(e > 1, (e - 1) << 23, subnormal).bits_as(f32 * e.type.lanes)


class NVFP4(QuantizedFormat):
    """``d * float``, d: an E4M3 float for each of four groups of 16."""

    type = TensorType.NVFP4
    group = 16

    def lanes(self, k: Builder, block: Block) -> list[Value]:
        chunks = []
        for start in (0, 16):
            low, high = nibbles(k, block.qs.load(start, 16))
            groups = [*range(8), *range(16, 24), *range(8, 16), *range(24, 32)]
            chunks.append(k.isa.lookup(k, _VALUES, k.shuffle(low, high, groups)))
        return chunks

    def scales(self, k: Builder, block: Block) -> Value:
        values = k.table(f32, UE4M3_HALF)
        return k.concat([values[block.d[g]] for g in range(4)])
