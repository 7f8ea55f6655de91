"""Constant tables of the formats: what a code stands for. All arrays are read-only.

The 4-bit floats of MXFP4 and NVFP4 (sign, two exponent bits, one fraction bit) are tabulated
doubled, so that they are integers; the tables of their block scales are halved to make up for it.

Sources: OCP Microscaling Formats (MX) v1.0 for E2M1 and E8M0, OCP 8-bit Floating Point (OFP8) v1.0
for E4M3, ggml's tables for the IQ formats.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", bound=np.generic)


def _constant(array: NDArray[Number]) -> NDArray[Number]:
    array.flags.writeable = False
    return array


def _parity_mask(index: int) -> int:
    return index | (index.bit_count() & 1) << 7


def _ue4m3_half(byte: int) -> float:
    exponent, fraction = byte >> 3 & 15, byte & 7
    if byte == 0x7F:  # NaN in OFP8; ggml reads it as 0. Bit 7 does not count.
        return 0.0
    value = fraction * 2.0**-9 if exponent == 0 else (8 + fraction) * 2.0 ** (exponent - 10)
    return value / 2


KSIGNS = _constant(np.array([_parity_mask(index) for index in range(128)], np.uint8))
"""(128,) uint8: masks of eight signs by their lower seven bits; bit 7 makes the bit count even."""

KVALUES_IQ4NL = _constant(
    np.array([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], np.int8)
)
"""(16,) int8: values of the 4-bit codes of IQ4_NL and IQ4_XS."""

KVALUES_MXFP4 = _constant(
    np.array([0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12], np.int8)
)
"""(16,) int8: E2M1 values times 2, of the 4-bit codes of MXFP4 and NVFP4."""

E8M0_HALF = _constant(np.array([2.0 ** (byte - 128) for byte in range(256)], np.float32))
"""(256,) float32: scale byte of MXFP4 to 2**(byte - 127) / 2; 255, a NaN in MX, is no exception."""

UE4M3_HALF = _constant(np.array([_ue4m3_half(byte) for byte in range(256)], np.float32))
"""(256,) float32: scale byte of NVFP4, an E4M3 float (bias 7) without sign, to its value / 2."""
