"""Searches for the scale of a group of values that loses least when they are rounded to codes.

A group has k values (16 or 32) that share one scale. All functions work on m groups at once, given
as the columns of float32 arrays of shape (k, m); ``weights``, of the same shape and not negative,
say how much the square of a value's error counts. Sums are made in the order of the values, in
float32: the searches of ggml do so (ggml-quants.c), and a different rounding would now and then
prefer another candidate and so yield other bytes.

Call these where NumPy's floating-point warnings are off: groups without a solution divide by zero,
and what comes out of it is never chosen.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pyllama.quants.block_format import Floats

Codes = NDArray[np.uint8]

TINY = np.float32(1e-15)
"""A group without a value of this magnitude counts as zeros."""

WEIGHTED_STEPS = (-0.9, 0.05, 36)
"""First, step and number of steps where there is importance, see ``fit_above_minimum``."""

_TENTH = np.float32(0.1)
_BYTE = np.float32(256)


def as_groups(values: Floats, size: int) -> Floats:
    """Values (n, k * g) as the columns of (k, n * g), with k = ``size``."""
    return np.ascontiguousarray(values.reshape(-1, size).T)


def from_groups(codes: Codes, n: int) -> Codes:
    """The inverse for codes: (k, n * g) to (n, k * g)."""
    return np.ascontiguousarray(codes.T).reshape(n, -1)


def total(terms: Floats) -> Floats:
    """The sums of the columns of (k, m), added up from the first row on: (m,)."""
    if terms.shape[1] == 1:  # NumPy would add a single column up in pairs
        result: Floats = np.add.accumulate(terms, axis=0, dtype=np.float32)[-1]
    else:
        result = np.add.reduce(terms, axis=0)
    return result


def largest(values: Floats) -> Floats:
    """Of each column the value of largest magnitude, the first one of several: (m,)."""
    index = np.abs(values).argmax(axis=0)
    result: Floats = np.take_along_axis(values, index[None], axis=0)[0]
    return result


def rounded(values: Floats, low: int, high: int) -> Floats:
    """Values rounded in place to whole numbers from ``low`` to ``high``, ties to even."""
    np.rint(values, out=values)
    np.clip(values, np.float32(low), np.float32(high), out=values)
    return values


def fit_around_zero(values: Floats, weights: Floats, top: int) -> tuple[Floats, Codes]:
    """Scales (m,) and codes (k, m) such that scale * (code - top) is near the values.

    Codes are below 2 * top. The value of largest magnitude gets code 0 or nearly so: nineteen
    scales around the one that does it exactly are tried, each improved by least squares.
    """
    peak = largest(values)
    weighted = weights * values
    codes = np.zeros_like(values)
    scale = np.zeros_like(peak)
    best = np.zeros_like(peak)
    for step in (0, *range(-9, 0), *range(1, 10)):
        inverse = -(np.float32(top) + _TENTH * np.float32(step)) / peak
        trial = rounded(values * inverse, -top, top - 1)
        along = total(weighted * trial)
        power = total(weights * trial * trial)
        if step == 0:
            better = power != 0
            np.copyto(codes, trial)
        else:
            better = (power > 0) & (along * along > best * power)
            np.copyto(codes, trial, where=better)
        np.copyto(scale, along / power, where=better)
        np.copyto(best, scale * along, where=better)
    tiny = ~(np.abs(peak) >= TINY)
    scale[tiny] = 0
    codes += top
    codes[:, tiny] = 0
    return scale, codes.astype(np.uint8)


def descend_around_zero(values: Floats, top: int) -> tuple[Floats, Codes]:
    """The same by coordinate descent, weighted with the squares of the values."""
    peak = largest(values)
    weights = values * values
    codes = rounded(values * (np.float32(-top) / peak), -top, top - 1)
    scale = _descend(values, weights, codes, -top, top - 1)
    tiny = ~(np.abs(peak) >= TINY)
    scale[tiny] = 0
    codes += top
    codes[:, tiny] = 0
    return scale, codes.astype(np.uint8)


def fit_from_zero(values: Floats, weights: Floats, top: int) -> tuple[Floats, Codes]:
    """Scales (m,) and codes (k, m), 0..top, such that scale * code is near values of >= 0.

    A few values may be negative, and their codes with them; ggml keeps these in unsigned bytes,
    where -1 is 255, and computes with either. What matters to its callers then is the scale.
    """
    peak = np.maximum(values.max(axis=0), 0)
    inverse = np.float32(top) / peak
    best = _squares(values, weights, inverse, np.rint(values * inverse) % _BYTE)
    for step in (-4, -3, -2, -1, 1, 2, 3, 4):
        trial = (_TENTH * np.float32(step) + np.float32(top)) / peak
        error = _squares(values, weights, trial, _at_most(values * trial, top))
        better = error < best
        np.copyto(inverse, trial, where=better)
        np.copyto(best, error, where=better)
    codes = _at_most(values * inverse, top)
    scale = _descend(values, weights, codes, None, top)
    tiny = ~(peak >= TINY)
    scale[tiny] = 0
    codes[:, tiny] = 0
    return scale, np.minimum(codes, top).astype(np.uint8)


def _at_most(values: Floats, top: int) -> Floats:
    """Values rounded to whole numbers up to ``top``."""
    return np.minimum(np.rint(values), np.float32(top))


def _squares(values: Floats, weights: Floats, inverse: Floats, codes: Floats) -> Floats:
    """The weighted sums of squared errors, (m,), of scale 1 / ``inverse``."""
    error: Floats = values - (np.float32(1) / inverse) * codes
    return total(weights * error * error)


def _descend(values: Floats, weights: Floats, codes: Floats, low: int | None, high: int) -> Floats:
    """Change single codes, in place, as long as that brings the group nearer; its scales (m,).

    Codes are from ``low`` to ``high``; None is for unsigned bytes, see ``fit_from_zero``.

    What is maximised is along**2 / power, with along the weighted product of values and codes and
    power that of the codes with themselves; along / power is the best scale.
    """
    weighted = weights * values
    along = total(weighted * codes)
    power = total(weights * codes * codes)
    if low is None:
        codes %= _BYTE
    for _ in range(5):
        changed = False
        for value, weight, product, code in zip(values, weights, weighted, codes, strict=True):
            rest, rest_power = along - product * code, power - weight * code * code
            exact = value * rest_power / rest
            new = _at_most(exact, high) if low is None else rounded(exact, low, high)
            new_along, new_power = rest + product * new, rest_power + weight * new * new
            better = (rest > 0) & (rest_power > 0) & (new != code)
            better &= new_along * new_along * power > along * along * new_power
            if better.any():
                changed = True
                np.copyto(code, new if low is not None else new % _BYTE, where=better)
                np.copyto(along, new_along, where=better)
                np.copyto(power, new_power, where=better)
        if not changed:
            break
    return np.where(power > 0, along / power, np.float32(0))


def fit_above_minimum(
    values: Floats,
    weights: Floats,
    top: int,
    first: float,
    step: float,
    steps: int,
    *,
    absolute: bool = False,
) -> tuple[Floats, Floats, Codes]:
    """Scales (m,), minima (m,) of >= 0 and codes (k, m), 0..top: scale * code - minimum.

    Tried are the scales that map the range of the values, from the best minimum so far up, to
    ``top + first + i * step`` codes, i up to ``steps``, each improved by least squares.
    ``absolute``: errors count by their magnitude and not by their square.
    """
    low = np.minimum(values.min(axis=0), np.float32(0))
    high = values.max(axis=0)
    weight = total(weights)
    along = total(weights * values)
    inverse = np.float32(top) / (high - low)
    codes = rounded((values - low) * inverse, 0, top)
    scale, base = 1 / inverse, low.copy()
    best = _errors(values, weights, codes, scale, base, absolute)
    for index in range(steps + 1):
        reach = np.float32(first) + np.float32(step) * np.float32(index) + np.float32(top)
        trial = rounded((values - base) * (reach / (high - base)), 0, top)
        trial_scale, trial_base, solvable = _least_squares(values, weights, trial, weight, along)
        error = _errors(values, weights, trial, trial_scale, trial_base, absolute)
        better = solvable & (error < best)
        np.copyto(codes, trial, where=better)
        np.copyto(best, error, where=better)
        np.copyto(scale, trial_scale, where=better)
        np.copyto(base, trial_base, where=better)
    flat = ~(high > low)
    scale[flat] = 0
    base[flat] = low[flat]
    codes[:, flat] = 0
    return scale, -base, codes.astype(np.uint8)


def _least_squares(
    values: Floats, weights: Floats, codes: Floats, weight: Floats, along: Floats
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Scale and base (at most 0) that fit the codes best, and where there is such a pair."""
    weighted = weights * codes
    sum_codes = total(weighted)
    sum_squares = total(weighted * codes)
    sum_product = total(weighted * values)
    determinant: Floats = weight * sum_squares - sum_codes * sum_codes
    scale: Floats = weight * sum_product - along * sum_codes
    base: Floats = sum_squares * along - sum_codes * sum_product
    scale /= determinant
    base /= determinant
    above = base > 0
    np.copyto(scale, sum_product / sum_squares, where=above)
    base[above] = 0
    return scale, base, determinant > 0


def _errors(
    values: Floats, weights: Floats, codes: Floats, scale: Floats, base: Floats, absolute: bool
) -> Floats:
    """What scale * code + base misses of the values: weighted sums (m,)."""
    error = scale * codes
    error += base
    error -= values
    if absolute:
        np.abs(error, out=error)
    else:
        error *= error
    error *= weights
    return total(error)
