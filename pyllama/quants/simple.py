"""The formats of 32 elements with one scale, and their encoders.

    Q4_0   d f16 | qs 16 bytes                               w = d * (q - 8)
    Q4_1   d f16 | m f16 | qs 16 bytes                       w = d * q + m
    Q5_0   d f16 | qh 4 bytes | qs 16 bytes                  w = d * (q - 16)
    Q5_1   d f16 | m f16 | qh 4 bytes | qs 16 bytes          w = d * q + m
    Q8_0   d f16 | qs 32 int8                                w = d * q

Element j < 16 has the low nibble of ``qs[j]``, element j + 16 its high nibble. ``qh`` holds the
fifth bit of every element, that of element j in bit j % 8 of byte j / 8.

Encoding, with x the block's values (all arithmetic in float32, as in ggml, so that codes agree):

    Q4_0, Q5_0   d = (the x of largest magnitude) / -8, / -16;  q = floor(x / d + 8.5), + 16.5
    Q4_1, Q5_1   m = min x,  d = (max x - m) / 15, / 31;        q = floor((x - m) / d + 0.5)
    Q8_0         d = max |x| / 127;                             q = x / d, ties away from zero

With an importance matrix the scale of Q4_0..Q5_1 is searched for (see ``search``), with weights by
``weighting``. x / d is x * (1 / d), and 1 / 0 counts as 0. The scale is stored rounded to f16, but
the codes are chosen with the scale before rounding.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pyllama.gguf.types import TensorType
from pyllama.quants.bits import column, pack_planes, planes
from pyllama.quants.block_format import Blocks, Encodable, Floats, Weighable, assemble, register
from pyllama.quants.search import (
    WEIGHTED_STEPS,
    as_groups,
    fit_above_minimum,
    fit_around_zero,
    from_groups,
)
from pyllama.quants.weighting import weights_by_row


@register
class Q4_0(Weighable):
    """4-bit codes around 8."""

    type = TensorType.Q4_0
    dtype = np.dtype([("d", "<f2"), ("qs", "u1", 16)])

    def _decode(self, blocks: Blocks) -> Floats:
        return column(blocks["d"]) * (_nibbles(blocks) - 8)

    def _encode(self, values: Floats) -> Blocks:
        d, codes = _around_middle(values, 8)
        return assemble(self.dtype, d=d, qs=pack_planes(codes, bits=4, run=16))

    def _encode_rows(self, rows: Floats, importance: Floats) -> Blocks:
        d, codes = _fit_around_middle(rows, importance, 8)
        return assemble(self.dtype, d=d, qs=pack_planes(codes, bits=4, run=16))


@register
class Q4_1(Weighable):
    """4-bit codes above a minimum."""

    type = TensorType.Q4_1
    dtype = np.dtype([("d", "<f2"), ("m", "<f2"), ("qs", "u1", 16)])

    def _decode(self, blocks: Blocks) -> Floats:
        return column(blocks["d"]) * _nibbles(blocks) + column(blocks["m"])

    def _encode(self, values: Floats) -> Blocks:
        d, m, codes = _above_minimum(values, 15)
        return assemble(self.dtype, d=d, m=m, qs=pack_planes(codes, bits=4, run=16))

    def _encode_rows(self, rows: Floats, importance: Floats) -> Blocks:
        d, m, codes = _fit_above_minimum(rows, importance, 15)
        return assemble(self.dtype, d=d, m=m, qs=pack_planes(codes, bits=4, run=16))


@register
class Q5_0(Weighable):
    """5-bit codes around 16."""

    type = TensorType.Q5_0
    dtype = np.dtype([("d", "<f2"), ("qh", "u1", 4), ("qs", "u1", 16)])

    def _decode(self, blocks: Blocks) -> Floats:
        return column(blocks["d"]) * (_five_bits(blocks) - 16)

    def _encode(self, values: Floats) -> Blocks:
        d, codes = _around_middle(values, 16)
        return assemble(self.dtype, d=d, **_split_five_bits(codes))

    def _encode_rows(self, rows: Floats, importance: Floats) -> Blocks:
        d, codes = _fit_around_middle(rows, importance, 16)
        return assemble(self.dtype, d=d, **_split_five_bits(codes))


@register
class Q5_1(Weighable):
    """5-bit codes above a minimum."""

    type = TensorType.Q5_1
    dtype = np.dtype([("d", "<f2"), ("m", "<f2"), ("qh", "u1", 4), ("qs", "u1", 16)])

    def _decode(self, blocks: Blocks) -> Floats:
        return column(blocks["d"]) * _five_bits(blocks) + column(blocks["m"])

    def _encode(self, values: Floats) -> Blocks:
        d, m, codes = _above_minimum(values, 31)
        return assemble(self.dtype, d=d, m=m, **_split_five_bits(codes))

    def _encode_rows(self, rows: Floats, importance: Floats) -> Blocks:
        d, m, codes = _fit_above_minimum(rows, importance, 31)
        return assemble(self.dtype, d=d, m=m, **_split_five_bits(codes))


@register
class Q8_0(Encodable):
    """Signed 8-bit codes."""

    type = TensorType.Q8_0
    dtype = np.dtype([("d", "<f2"), ("qs", "i1", 32)])

    def _decode(self, blocks: Blocks) -> Floats:
        return column(blocks["d"]) * blocks["qs"].astype(np.float32)

    def _encode(self, values: Floats) -> Blocks:
        d = np.abs(values).max(axis=1) / np.float32(127)
        exact = values * _reciprocal(d)
        whole = np.trunc(exact)
        codes = _finite(whole + np.trunc(2 * (exact - whole))).astype(np.int8)
        return assemble(self.dtype, d=d, qs=codes)


def _nibbles(blocks: Blocks) -> Floats:
    """Codes 0..15, (n, 32)."""
    return planes(blocks["qs"], bits=4, run=16).astype(np.float32)


def _five_bits(blocks: Blocks) -> Floats:
    """Codes 0..31, (n, 32)."""
    return _nibbles(blocks) + 16 * planes(blocks["qh"], bits=1, run=1).astype(np.float32)


def _split_five_bits(codes: NDArray[np.uint8]) -> dict[str, NDArray[np.uint8]]:
    """Codes 0..31, (n, 32), as the fields that hold them."""
    return {
        "qh": pack_planes(codes >> np.uint8(4), bits=1, run=1),
        "qs": pack_planes(codes & np.uint8(15), bits=4, run=16),
    }


def _around_middle(values: Floats, middle: int) -> tuple[Floats, NDArray[np.uint8]]:
    """Scale (n,) that puts the value of largest magnitude at code 0; codes below 2 * middle."""
    largest = np.abs(values).argmax(axis=1)
    d = np.take_along_axis(values, largest[:, None], axis=1)[:, 0] / np.float32(-middle)
    return d, _codes(values * _reciprocal(d) + np.float32(middle + 0.5), 2 * middle - 1)


def _above_minimum(values: Floats, top: int) -> tuple[Floats, Floats, NDArray[np.uint8]]:
    """Scale (n,) and minimum (n,) that spread the values over the codes 0..top."""
    # of two zeros the first one, whose sign is stored
    m = np.take_along_axis(values, values.argmin(axis=1)[:, None], axis=1)[:, 0]
    d = (values.max(axis=1) - m) / np.float32(top)
    return d, m, _codes((values - m[:, None]) * _reciprocal(d) + np.float32(0.5), top)


def _fit_around_middle(
    rows: Floats, importance: Floats, middle: int
) -> tuple[Floats, NDArray[np.uint8]]:
    """``_around_middle`` by the search that heeds the importance of the columns."""
    weights = as_groups(weights_by_row(rows, importance), 32)
    d, codes = fit_around_zero(as_groups(rows, 32), weights, middle)
    return d, from_groups(codes, d.size)


def _fit_above_minimum(
    rows: Floats, importance: Floats, top: int
) -> tuple[Floats, Floats, NDArray[np.uint8]]:
    """``_above_minimum`` by the search that heeds the importance of the columns."""
    weights = as_groups(weights_by_row(rows, importance), 32)
    d, below, codes = fit_above_minimum(as_groups(rows, 32), weights, top, *WEIGHTED_STEPS)
    return d, -below, from_groups(codes, d.size)


def _reciprocal(d: Floats) -> Floats:
    """1 / d as a column (n, 1), and 0 for a block of zeros."""
    return np.where(d == 0, np.float32(0), np.float32(1) / d)[:, None]


def _codes(values: Floats, top: int) -> NDArray[np.uint8]:
    """Values truncated to 0..top."""
    return np.clip(_finite(values), 0, top).astype(np.uint8)


def _finite(values: Floats) -> Floats:
    """Values with 0 for infinities and NaN, whose conversion to integers would be undefined."""
    return np.where(np.isfinite(values), values, np.float32(0))
