"""What the encoders of the K-quants share: groups fitted, their scales coded, values coded again.

First each group gets the scale (and minimum) that suits it best. Then the scales of a super-block
are coded themselves, as multiples of one f16; and since that moves them, the values are rounded
once more, now by the scales that the file will have. A group whose scale became 0 keeps the codes
of the first step.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyllama.quants.bits import column, pack_planes
from pyllama.quants.block_format import Floats
from pyllama.quants.search import (
    TINY,
    WEIGHTED_STEPS,
    Codes,
    as_groups,
    fit_above_minimum,
    fit_around_zero,
    fit_from_zero,
    from_groups,
    rounded,
    total,
)

SIGNED_SIX = 32
"""Scales of Q3_K are stored plus so many."""


@dataclass(frozen=True)
class AffineForm:
    """How a format with scales and minima is encoded.

    Attributes:
        group: values of a group.
        top: the highest code of a value, ``scale_top`` that of a scale or minimum.
        first, step, steps: of the search without importance, see ``fit_above_minimum``.
        absolute: that search weighs magnitudes of errors by magnitudes of values; otherwise squares
            by magnitudes plus their root mean square in the group.
        sigma_factor: with importance, see ``weights_by_block``.
    """

    group: int
    top: int
    scale_top: int
    first: float
    step: float
    steps: int
    absolute: bool
    sigma_factor: int


@dataclass(frozen=True)
class AffineCodes:
    """n super-blocks: f16 scales (n,), their codes (n, groups), the codes of values (n, 256)."""

    d: NDArray[np.float16]
    dmin: NDArray[np.float16]
    scale: Codes
    minimum: Codes
    codes: Codes


def encode_affine(values: Floats, form: AffineForm) -> AffineCodes:
    """Super-blocks (n, 256) without importance."""
    n = len(values)
    groups = as_groups(values, form.group)
    magnitudes = np.abs(groups)
    if form.absolute:
        weights = magnitudes
    else:
        weights = np.sqrt(total(groups * groups) / np.float32(form.group)) + magnitudes
    scale, minimum, codes = fit_above_minimum(
        groups, weights, form.top, form.first, form.step, form.steps, absolute=form.absolute
    )
    d, scale_codes = _coded_by_largest(scale.reshape(n, -1), form.scale_top)
    dmin, minimum_codes = _coded_by_largest(minimum.reshape(n, -1), form.scale_top)
    coded = AffineCodes(d, dmin, scale_codes, minimum_codes, from_groups(codes, n))
    return _recoded(values, coded, form.top)


def encode_affine_weighted(values: Floats, weights: Floats, form: AffineForm) -> AffineCodes:
    """Super-blocks (n, 256) with weights (n, 256)."""
    n = len(values)
    columns = as_groups(weights, form.group)
    scale, minimum, codes = fit_above_minimum(
        as_groups(values, form.group), columns, form.top, *WEIGHTED_STEPS
    )
    importance = as_groups(total(columns).reshape(n, -1), scale.size // n)
    d, scale_codes = _coded_by_fit(scale.reshape(n, -1), importance, form.scale_top)
    dmin, minimum_codes = _coded_by_fit(minimum.reshape(n, -1), importance, form.scale_top)
    coded = AffineCodes(d, dmin, scale_codes, minimum_codes, from_groups(codes, n))
    return _recoded(values, coded, form.top)


def _coded_by_largest(scales: Floats, top: int) -> tuple[NDArray[np.float16], Codes]:
    """Scales (n, g) as multiples of an f16 (n,), such that the largest one has the code ``top``."""
    largest = np.maximum(scales.max(axis=1), np.float32(0))
    inverse = np.where(largest > 0, np.float32(top) / largest, np.float32(0))
    codes = rounded(scales * inverse[:, None], 0, top).astype(np.uint8)
    return (largest / np.float32(top)).astype(np.float16), codes


def _coded_by_fit(
    scales: Floats, importance: Floats, top: int
) -> tuple[NDArray[np.float16], Codes]:
    """The same by a search, with the weights of the groups as columns (g, n)."""
    scale, codes = fit_from_zero(np.ascontiguousarray(scales.T), importance, top)
    return scale.astype(np.float16), from_groups(codes, len(scales))


def _recoded(values: Floats, coded: AffineCodes, top: int) -> AffineCodes:
    scale = column(coded.d) * coded.scale.astype(np.float32)
    floor = column(coded.dmin) * coded.minimum.astype(np.float32)
    groups = values.reshape(*scale.shape, -1)
    exact = (groups + floor[:, :, None]) / scale[:, :, None]
    codes = _kept_where_zero(rounded(exact, 0, top), scale, coded.codes)
    return AffineCodes(coded.d, coded.dmin, coded.scale, coded.minimum, codes)


def _kept_where_zero(new: Floats, scale: Floats, old: Codes) -> Codes:
    """New codes (n, g, k), or the old ones (n, g * k) of groups with scale 0 (n, g)."""
    kept = old.reshape(new.shape)
    chosen = np.where(scale[:, :, None] != 0, new, kept.astype(np.float32))
    return chosen.astype(np.uint8).reshape(old.shape)


def around_zero_codes(values: Floats, scale: Floats, old: Codes, top: int) -> Codes:
    """Codes plus ``top`` of values (n, 256) by the final scales (n, g), as ``_recoded``."""
    exact = values.reshape(*scale.shape, -1) / scale[:, :, None]
    new = rounded(exact, -top, top - 1)
    new += np.float32(top)
    return _kept_where_zero(new, scale, old)


def signed_scales_by_largest(scales: Floats) -> tuple[NDArray[np.float16], Codes]:
    """Scales (n, 16) of Q3_K as an f16 (n,) and codes 0..63: the largest magnitude gets 0."""
    largest = _signed_largest(scales)
    inverse = np.where(largest != 0, np.float32(-SIGNED_SIX) / largest, np.float32(0))
    codes = rounded(scales * inverse[:, None], -SIGNED_SIX, SIGNED_SIX - 1) + SIGNED_SIX
    d = np.where(largest != 0, 1 / inverse, np.float32(0)).astype(np.float16)
    codes[largest == 0] = 0
    return d, codes.astype(np.uint8)


def signed_scales_by_fit(scales: Floats, weights: Floats) -> tuple[NDArray[np.float16], Codes]:
    """The same by a search, with the weights of the groups as columns (16, n)."""
    columns = np.ascontiguousarray(scales.T)
    scale, codes = fit_around_zero(columns, weights, SIGNED_SIX)
    return scale.astype(np.float16), from_groups(codes, len(scales))


def eight_bit_scales(scales: Floats) -> tuple[NDArray[np.float16], NDArray[np.int8], Codes]:
    """Scales (n, 16) of Q6_K as an f16 (n,) and codes (n, 16), and 0 for blocks of zeros (n, 1)."""
    largest = _signed_largest(scales)
    alive = np.abs(largest) >= TINY
    inverse = np.float32(-128) / largest
    codes = np.where(alive[:, None], rounded(scales * inverse[:, None], -128, 127), np.float32(0))
    d = np.where(alive, 1 / inverse, np.float32(0)).astype(np.float16)
    return d, codes.astype(np.int8), alive.astype(np.uint8)[:, None]


def _signed_largest(scales: Floats) -> Floats:
    index = np.abs(scales).argmax(axis=1)
    result: Floats = np.take_along_axis(scales, index[:, None], axis=1)[:, 0]
    return result


def pack_six_bit_pairs(scale: Codes, minimum: Codes) -> Codes:
    """Scales and minima (n, 8), below 64, as the 12 bytes (n, 12) of Q4_K and Q5_K."""
    four = np.uint8(4)
    first = scale[:, :4] | (scale[:, 4:] >> four) << np.uint8(6)
    second = minimum[:, :4] | (minimum[:, 4:] >> four) << np.uint8(6)
    lower = (scale[:, 4:] & np.uint8(15)) | minimum[:, 4:] << four
    return np.concatenate([first, second, lower], axis=1)


def pack_signed_scales(codes: Codes) -> Codes:
    """Scale codes (n, 16), below 64, as the 12 bytes (n, 12) of Q3_K."""
    low = pack_planes(codes & np.uint8(15), bits=4, run=8)
    return np.concatenate([low, pack_planes(codes >> np.uint8(4), bits=2, run=4)], axis=1)
