"""Weights of any type to float32, and whether all of them are finite."""

from __future__ import annotations

from pyllama.gguf.types import TensorType
from pyllama.kernels.formats import FORMATS, QuantizedFormat
from pyllama.kernels.kernel import Array, Fields, kernel
from pyllama.kernels.language import Builder, Value
from pyllama.kernels.types import f32, i64, u8, u32

NOT_FINITE = 0x7F800000
"""The bits of an infinity; those of finite magnitudes are less, those of NaN more."""


@kernel(data=Array(u8), n=i64, out=Array(f32), largest=Array(u32))
def decode(
    k: Builder, a: Fields, step: Fields, *, task: Value, thread: Value, type: TensorType
) -> None:
    """``out`` = the n weights of ``data``, whole blocks; ``largest`` = their largest magnitude.

    The magnitude is given by its bits, see ``NOT_FINITE``. One task.
    """
    fmt = FORMATS[type]
    size = fmt.block_size if isinstance(fmt, QuantizedFormat) else k.f32_lanes
    whole = a.n // size * size
    bits = k.variable(k.zero(u32 * k.f32_lanes))
    rest = k.variable(k.zero(u32))
    with k.loop(0, whole, size) as i:
        at = 0
        for value in fmt.floats(k, a.data, i, size):
            a.out.store(i + at, value)
            bits.value = k.max(bits.value, _magnitude(value))
            at += value.type.lanes
    if not isinstance(fmt, QuantizedFormat):
        with k.loop(whole, a.n) as i:
            value = fmt.load(k, a.data, i, 1)
            a.out[i] = value
            rest.value = k.max(rest.value, _magnitude(value))
    a.largest[0] = k.max(bits.value.max(), rest.value)


def _magnitude(value: Value) -> Value:
    lanes = value.type.lanes
    return value.bits_as(u32 * lanes) & 0x7FFFFFFF
