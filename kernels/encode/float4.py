"""MXFP4; meaning: ``pyllama/quants/float4.py``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pyllama.gguf.types import TensorType
from pyllama.kernels.encode.base import Encoder, Task, pack
from pyllama.kernels.encode.lanes import LANES, largest_magnitude
from pyllama.kernels.formats.float4 import e8m0_half
from pyllama.kernels.types import i32, u8, u32
from pyllama.quants.float4 import MIDDLES, exponents

SIZE = 32
_FRACTION_BITS = 23
_NEAR = 128
"""So many floats below a power of two its logarithm may be rounded to a whole number."""


class MXFP4(Encoder):
    """Floats of four bits with a power of two as scale."""

    type = TensorType.MXFP4
    takes_importance = False

    def encode(self, task: Task) -> None:
        """The largest magnitude comes just below the end of the codes or beyond it."""
        k, codes = task.k, task.scratch.column(u8, SIZE)
        bits = largest_magnitude(k, task.values, SIZE).bits_as(u32 * LANES)
        field = bits >> _FRACTION_BITS
        limits = k.table(u32, next_scale_limits())
        limit = k.concat([limits[field[lane]] for lane in range(LANES)])
        power = (field + (bits >= limit).to(u32)).to(i32) - 2
        e = k.min(k.max(power, 0), 254).to(u32)
        task.out["e"] = e
        half = e8m0_half(k, e)
        with k.loop(SIZE) as i:
            value = task.values[i]
            code = k.zero(u8 * LANES)
            for middle in MIDDLES:
                code = code + (k.abs(value) > half * float(middle)).to(u8)
            sign = (value < 0) & (code > 0)
            codes[i] = code | sign.to(u8) << 3
        pack(k, codes, task.out, "qs", SIZE, bits=4, run=16)


def next_scale_limits() -> NDArray[np.uint32]:
    """(256,) for each exponent field the bits of the first float whose scale is the next one's."""
    starts = np.arange(256, dtype=np.uint32) << np.uint32(_FRACTION_BITS)
    ends = starts[1:]
    below = ends[:, None] - np.arange(_NEAR, 0, -1, dtype=np.uint32)
    own = exponents(np.maximum(starts[:-1], 1).view(np.float32))
    is_next = exponents(below.view(np.float32)) > own[:, None]
    near = np.where(is_next.any(axis=1), _NEAR - is_next.argmax(axis=1), 0)
    limits = ends - near.astype(np.uint32)
    return np.append(limits, np.uint32(0xFFFFFFFF))
