"""K-quants: 256 elements (a super-block) whose groups have small scales of their own.

    Q2_K   scales 16 bytes | qs 64 | d f16 | dmin f16                16 groups of 16
    Q3_K   hmask 32 bytes | qs 64 | scales 12 | d f16                16 groups of 16
    Q4_K   d f16 | dmin f16 | scales 12 bytes | qs 128               8 groups of 32
    Q5_K   d f16 | dmin f16 | scales 12 bytes | qh 32 | qs 128       8 groups of 32
    Q6_K   ql 128 bytes | qh 64 | scales 16 int8 | d f16             16 groups of 16
    Q8_K   d f32 | qs 256 int8 | bsums 16 int16                      1 group

    Q2_K, Q4_K, Q5_K   w = d * s[g] * q - dmin * m[g]
    Q3_K, Q6_K         w = d * s[g] * (q - 4),  w = d * s[g] * (q - 32)
    Q8_K               w = d * q

Codes q lie in planes (see ``bits``), least significant bits first:

    Q2_K   all 2 bits: qs, runs of 32 bytes
    Q3_K   lower 2 bits: qs, runs of 32 bytes      bit 2: hmask, one run of 32 bytes
    Q4_K   all 4 bits: qs, runs of 32 bytes
    Q5_K   lower 4 bits: qs, runs of 32 bytes      bit 4: qh, one run of 32 bytes
    Q6_K   lower 4 bits: ql, runs of 64 bytes      upper 2 bits: qh, runs of 32 bytes

Scales s and minima m of the groups:

    Q2_K   byte g of scales: s[g] is the low nibble, m[g] the high one
    Q3_K   s is signed, stored plus 32: lower 4 bits in scales[0:8], one run of 8 bytes; upper 2
           bits in scales[8:12], one run of 4 bytes
    Q4_K   6 bits each: s of the groups is A..H here, m is a..h, most significant bit first
    Q5_K       scales[0:4]     EEAAAAAA FFBBBBBB GGCCCCCC HHDDDDDD
               scales[4:8]     eeaaaaaa ffbbbbbb ggcccccc hhdddddd
               scales[8:12]    eeeeEEEE ffffFFFF ggggGGGG hhhhHHHH
           the two bits of E..H, e..h beside A..D, a..d are their upper ones

``bsums`` of Q8_K are the sums of 16 codes each: dot products need them, decoding does not.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pyllama.gguf.types import TensorType
from pyllama.quants.bits import column, pack_planes, planes, scaled
from pyllama.quants.block_format import (
    BlockFormat,
    Blocks,
    Floats,
    Weighable,
    assemble,
    register,
)
from pyllama.quants.k_encoding import (
    AffineCodes,
    AffineForm,
    around_zero_codes,
    eight_bit_scales,
    encode_affine,
    encode_affine_weighted,
    pack_signed_scales,
    pack_six_bit_pairs,
    signed_scales_by_fit,
    signed_scales_by_largest,
)
from pyllama.quants.search import (
    Codes,
    as_groups,
    descend_around_zero,
    fit_around_zero,
    from_groups,
    total,
)
from pyllama.quants.weighting import weights_by_block


class Affine(Weighable):
    """Codes above a minimum: ``form`` says how they are found, ``_pack`` how they lie."""

    form: ClassVar[AffineForm]

    def _encode(self, values: Floats) -> Blocks:
        return self._pack(encode_affine(values, self.form))

    def _encode_rows(self, rows: Floats, importance: Floats) -> Blocks:
        size = self.block_size
        weights = weights_by_block(rows, importance, size, self.form.sigma_factor)
        coded = encode_affine_weighted(rows.reshape(-1, size), weights.reshape(-1, size), self.form)
        return self._pack(coded)

    @abstractmethod
    def _pack(self, coded: AffineCodes) -> Blocks:
        """The blocks that hold the codes."""


@register
class Q2_K(Affine):
    """2-bit codes, 4-bit scales and minima."""

    type = TensorType.Q2_K
    dtype = np.dtype([("scales", "u1", 16), ("qs", "u1", 64), ("d", "<f2"), ("dmin", "<f2")])
    form = AffineForm(
        group=16,
        top=3,
        scale_top=15,
        first=-0.5,
        step=0.1,
        steps=15,
        absolute=True,
        sigma_factor=1,
    )

    def _decode(self, blocks: Blocks) -> Floats:
        scale = blocks["scales"] & np.uint8(15)
        minimum = blocks["scales"] >> np.uint8(4)
        return _above_minima(blocks, scale, minimum, planes(blocks["qs"], bits=2, run=32))

    def _pack(self, coded: AffineCodes) -> Blocks:
        scales = coded.scale | coded.minimum << np.uint8(4)
        qs = pack_planes(coded.codes, bits=2, run=32)
        return assemble(self.dtype, scales=scales, qs=qs, d=coded.d, dmin=coded.dmin)


@register
class Q3_K(Weighable):
    """3-bit codes around 4, 6-bit signed scales."""

    type = TensorType.Q3_K
    dtype = np.dtype([("hmask", "u1", 32), ("qs", "u1", 64), ("scales", "u1", 12), ("d", "<f2")])

    def _decode(self, blocks: Blocks) -> Floats:
        low = planes(blocks["scales"][:, :8], bits=4, run=8)
        high = planes(blocks["scales"][:, 8:], bits=2, run=4)
        scale = (low | high << np.uint8(4)).astype(np.float32) - 32
        upper = planes(blocks["hmask"], bits=1, run=32)
        codes = planes(blocks["qs"], bits=2, run=32) | upper << np.uint8(2)
        return scaled(column(blocks["d"]) * scale, codes.view(np.int8) - np.int8(4))

    def _encode(self, values: Floats) -> Blocks:
        scale, codes = descend_around_zero(as_groups(values, 16), 4)
        d, scale_codes = signed_scales_by_largest(scale.reshape(len(values), 16))
        return self._pack(values, d, scale_codes, codes)

    def _encode_rows(self, rows: Floats, importance: Floats) -> Blocks:
        values = rows.reshape(-1, 256)
        weights = as_groups(weights_by_block(rows, importance, 256, factor=2), 16)
        scale, codes = fit_around_zero(as_groups(values, 16), weights, 4)
        weight = as_groups(total(weights).reshape(-1, 16), 16)
        d, scale_codes = signed_scales_by_fit(scale.reshape(-1, 16), weight)
        return self._pack(values, d, scale_codes, codes)

    def _pack(
        self, values: Floats, d: NDArray[np.float16], scale_codes: Codes, codes: Codes
    ) -> Blocks:
        scale = column(d) * (scale_codes.astype(np.float32) - 32)
        final = around_zero_codes(values, scale, from_groups(codes, len(values)), 4)
        return assemble(
            self.dtype,
            hmask=pack_planes(final >> np.uint8(2), bits=1, run=32),
            qs=pack_planes(final & np.uint8(3), bits=2, run=32),
            scales=pack_signed_scales(scale_codes),
            d=d,
        )


@register
class Q4_K(Affine):
    """4-bit codes, 6-bit scales and minima."""

    type = TensorType.Q4_K
    dtype = np.dtype([("d", "<f2"), ("dmin", "<f2"), ("scales", "u1", 12), ("qs", "u1", 128)])
    form = AffineForm(
        group=32,
        top=15,
        scale_top=63,
        first=-1,
        step=0.1,
        steps=20,
        absolute=False,
        sigma_factor=2,
    )

    def _decode(self, blocks: Blocks) -> Floats:
        codes = planes(blocks["qs"], bits=4, run=32)
        return _above_minima(blocks, *six_bit_scales(blocks["scales"]), codes)

    def _pack(self, coded: AffineCodes) -> Blocks:
        return assemble(
            self.dtype,
            d=coded.d,
            dmin=coded.dmin,
            scales=pack_six_bit_pairs(coded.scale, coded.minimum),
            qs=pack_planes(coded.codes, bits=4, run=32),
        )


@register
class Q5_K(Affine):
    """5-bit codes, 6-bit scales and minima."""

    type = TensorType.Q5_K
    dtype = np.dtype(
        [("d", "<f2"), ("dmin", "<f2"), ("scales", "u1", 12), ("qh", "u1", 32), ("qs", "u1", 128)]
    )
    form = AffineForm(
        group=32,
        top=31,
        scale_top=63,
        first=-0.5,
        step=0.1,
        steps=15,
        absolute=False,
        sigma_factor=2,
    )

    def _decode(self, blocks: Blocks) -> Floats:
        upper = planes(blocks["qh"], bits=1, run=32)
        codes = planes(blocks["qs"], bits=4, run=32) | upper << np.uint8(4)
        return _above_minima(blocks, *six_bit_scales(blocks["scales"]), codes)

    def _pack(self, coded: AffineCodes) -> Blocks:
        return assemble(
            self.dtype,
            d=coded.d,
            dmin=coded.dmin,
            scales=pack_six_bit_pairs(coded.scale, coded.minimum),
            qh=pack_planes(coded.codes >> np.uint8(4), bits=1, run=32),
            qs=pack_planes(coded.codes & np.uint8(15), bits=4, run=32),
        )


@register
class Q6_K(Weighable):
    """6-bit codes around 32, 8-bit signed scales."""

    type = TensorType.Q6_K
    dtype = np.dtype([("ql", "u1", 128), ("qh", "u1", 64), ("scales", "i1", 16), ("d", "<f2")])

    def _decode(self, blocks: Blocks) -> Floats:
        upper = planes(blocks["qh"], bits=2, run=32)
        codes = planes(blocks["ql"], bits=4, run=64) | upper << np.uint8(4)
        scale = column(blocks["d"]) * blocks["scales"].astype(np.float32)
        return scaled(scale, codes.view(np.int8) - np.int8(32))

    def _encode(self, values: Floats) -> Blocks:
        groups = as_groups(values, 16)
        return self._pack(values, *fit_around_zero(groups, groups * groups, 32))

    def _encode_rows(self, rows: Floats, importance: Floats) -> Blocks:
        values = rows.reshape(-1, 256)
        weights = np.broadcast_to(importance, rows.shape)
        fit = fit_around_zero(as_groups(values, 16), as_groups(weights, 16), 32)
        return self._pack(values, *fit)

    def _pack(self, values: Floats, scales: Floats, codes: Codes) -> Blocks:
        d, scale_codes, alive = eight_bit_scales(scales.reshape(-1, 16))
        scale = column(d) * scale_codes.astype(np.float32)
        final = around_zero_codes(values, scale, from_groups(codes, len(values)), 32)
        final *= alive
        return assemble(
            self.dtype,
            ql=pack_planes(final & np.uint8(15), bits=4, run=64),
            qh=pack_planes(final >> np.uint8(4), bits=2, run=32),
            scales=scale_codes,
            d=d,
        )


@register
class Q8_K(BlockFormat):
    """8-bit signed codes: ggml's intermediate for activations, partner of the other K-quants."""

    type = TensorType.Q8_K
    dtype = np.dtype([("d", "<f4"), ("qs", "i1", 256), ("bsums", "<i2", 16)])

    def _decode(self, blocks: Blocks) -> Floats:
        return column(blocks["d"]) * blocks["qs"].astype(np.float32)


def six_bit_scales(scales: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Scales and minima 0..63 of the 8 groups, (n, 8) each, from the 12 bytes (n, 12)."""
    first, second, lower = np.split(scales, 3, axis=1)
    low_six, low_four, upper_two = np.uint8(0x3F), np.uint8(0x0F), np.uint8(0x30)
    rest = (lower & low_four) | (first >> np.uint8(2) & upper_two)
    rest_minima = (lower >> np.uint8(4)) | (second >> np.uint8(2) & upper_two)
    scale = np.concatenate([first & low_six, rest], axis=1)
    minimum = np.concatenate([second & low_six, rest_minima], axis=1)
    return scale, minimum


def _above_minima(
    blocks: Blocks, scale: NDArray[np.uint8], minimum: NDArray[np.uint8], codes: NDArray[np.uint8]
) -> Floats:
    """d * scale * code - dmin * minimum, with (n, groups) scales and minima and (n, 256) codes."""
    values = scaled(column(blocks["d"]) * scale.astype(np.float32), codes)
    floor = column(blocks["dmin"]) * minimum.astype(np.float32)
    return values - floor.repeat(codes.shape[1] // scale.shape[1], axis=1)
