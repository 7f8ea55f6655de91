"""Searches for the scale of a group of values that loses least when they are rounded to codes.

The meaning of each is the function of the same name in ``pyllama/quants/search.py``, operation by
operation: a different rounding would now and then prefer another candidate. A trial is remembered
by its scale; the codes of the best one are made when it is known.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pyllama.kernels.encode.lanes import (
    LANES,
    Column,
    codes_of,
    largest,
    rounded,
    splat,
    summed,
    where,
)
from pyllama.kernels.language import Builder, Pointer, Value
from pyllama.kernels.types import f32, i32
from pyllama.quants.search import TINY

DESCENTS = 5


def fit_around_zero(
    k: Builder, values: Column, weights: Column, codes: Column, size: int, top: int
) -> Value:
    """The scale such that scale * (code - top) is near the values; codes are below 2 * top."""
    peak = largest(k, values, size)

    def sums(inverse: Value) -> list[Value]:
        def terms(i: Value) -> Sequence[Value]:
            value, weight = values[i], weights[i]
            trial = rounded(k, value * inverse, -top, top - 1)
            return weight * value * trial, weight * trial * trial

        return summed(k, size, 2, terms)

    steps = [0, *range(-9, 0), *range(1, 10)]
    reach = _floats(k, [-(np.float32(top) + np.float32(0.1) * np.float32(s)) for s in steps])
    chosen = k.variable(k.splat(reach[0], LANES) / peak)
    along, power = sums(chosen.value)
    scale = k.variable(where(power.differs(0), along / power))
    best = k.variable(where(power.differs(0), scale.value * along))
    with k.loop(1, len(steps)) as step:
        inverse = reach[step] / peak
        along, power = sums(inverse)
        better = (power > 0) & (along * along > best.value * power)
        exact = along / power
        scale.value = k.select(better, exact, scale.value)
        best.value = k.select(better, exact * along, best.value)
        chosen.value = k.select(better, inverse, chosen.value)
    alive = k.abs(peak) >= float(TINY)
    with k.loop(size) as i:
        code = rounded(k, values[i] * chosen.value, -top, top - 1) + top
        codes[i] = codes_of(where(alive, code))
    return where(alive, scale.value)


def descend_around_zero(
    k: Builder, values: Column, codes: Column, work: Column, size: int, top: int
) -> Value:
    """The same by coordinate descent, weighted with the squares of the values.

    ``work``: ``2 * size`` f32.
    """
    peak = largest(k, values, size)
    weights, trial = work, work.start(size)
    inverse = splat(k, -top) / peak
    with k.loop(size) as i:
        weights[i] = values[i] * values[i]
        trial[i] = rounded(k, values[i] * inverse, -top, top - 1)
    scale = _descend(k, values, weights, trial, size, -top, top - 1)
    alive = k.abs(peak) >= float(TINY)
    with k.loop(size) as i:
        codes[i] = codes_of(where(alive, trial[i] + top))
    return where(alive, scale)


def fit_from_zero(
    k: Builder, values: Column, weights: Column, codes: Column, work: Column, size: int, top: int
) -> Value:
    """The scale such that scale * code, 0..top, is near values of >= 0. ``work``: ``size`` f32."""
    highest = k.variable(k.zero(f32 * LANES))
    with k.loop(size) as i:
        highest.value = k.max(values[i], highest.value)
    peak = highest.value

    def error(inverse: Value, as_byte: bool) -> Value:
        def terms(i: Value) -> Sequence[Value]:
            exact = values[i] * inverse
            trial = _as_byte(k.round(exact)) if as_byte else rounded(k, exact, None, top)
            miss = values[i] - one / inverse * trial
            return (weights[i] * miss * miss,)

        return summed(k, size, 1, terms)[0]

    one = splat(k, 1)
    chosen = k.variable(splat(k, top) / peak)
    best = k.variable(error(chosen.value, as_byte=True))
    steps = (-4, -3, -2, -1, 1, 2, 3, 4)
    reach = _floats(k, [np.float32(0.1) * np.float32(s) + np.float32(top) for s in steps])
    with k.loop(len(steps)) as step:
        inverse = reach[step] / peak
        loss = error(inverse, as_byte=False)
        better = loss < best.value
        chosen.value = k.select(better, inverse, chosen.value)
        best.value = k.select(better, loss, best.value)
    with k.loop(size) as i:
        work[i] = rounded(k, values[i] * chosen.value, None, top)
    scale = _descend(k, values, weights, work, size, None, top)
    alive = peak >= float(TINY)
    with k.loop(size) as i:
        codes[i] = codes_of(k.min(where(alive, work[i]), top))
    return where(alive, scale)


def _as_byte(whole: Value) -> Value:
    """Whole numbers modulo 256."""
    return (whole.to(i32) & 255).to(f32)


def _descend(
    k: Builder,
    values: Column,
    weights: Column,
    codes: Column,
    size: int,
    low: int | None,
    high: int,
) -> Value:
    """Change single codes (f32) as long as that brings the group nearer; the scale."""

    def terms(i: Value) -> Sequence[Value]:
        return weights[i] * values[i] * codes[i], weights[i] * codes[i] * codes[i]

    along, power = (k.variable(total) for total in summed(k, size, 2, terms))
    if low is None:
        with k.loop(size) as i:
            codes[i] = _as_byte(codes[i])
    turns = k.variable(k.zero(i32))
    with k.repeat() as leave_if:
        changed = k.variable(k.zero(i32 * LANES))
        with k.loop(size) as i:
            value, weight, code = values[i], weights[i], codes[i]
            product = weight * value
            rest, rest_power = along.value - product * code, power.value - weight * code * code
            new = rounded(k, value * rest_power / rest, low, high)
            new_along, new_power = rest + product * new, rest_power + weight * new * new
            nearer = new_along * new_along * power.value > along.value * along.value * new_power
            better = (rest > 0) & (rest_power > 0) & new.differs(code) & nearer
            codes[i] = k.select(better, new if low is not None else _as_byte(new), code)
            along.value = k.select(better, new_along, along.value)
            power.value = k.select(better, new_power, power.value)
            changed.value = k.select(better, k.const(i32 * LANES, 1), changed.value)
        turns.value = turns.value + 1
        leave_if((turns.value >= DESCENTS) | changed.value.max().equals(0))
    return where(power.value > 0, along.value / power.value)


def fit_above_minimum(
    k: Builder,
    values: Column,
    weights: Column,
    codes: Column,
    work: Column,
    size: int,
    top: int,
    steps: tuple[float, float, int],
    *,
    absolute: bool = False,
) -> tuple[Value, Value]:
    """Scale and minimum such that scale * code - minimum, code 0..top, is near the values.

    ``steps``: first, step and how many, see the meaning. ``work``: ``size`` f32.
    """
    least, high = bounds(k, values, size)
    low = k.min(least, 0)
    weight, along = summed(k, size, 2, lambda i: (weights[i], weights[i] * values[i]))
    fit = _Affine(k, values, weights, work, size, absolute)
    chosen_base, chosen_inverse = k.variable(low), k.variable(splat(k, top) / (high - low))
    scale, base = k.variable(splat(k, 1) / chosen_inverse.value), k.variable(low)
    fit.round(low, chosen_inverse.value, top)
    best = k.variable(fit.error(scale.value, low))
    first, step, count = (np.float32(steps[0]), np.float32(steps[1]), steps[2])
    reach = _floats(k, [first + step * np.float32(i) + np.float32(top) for i in range(count + 1)])
    with k.loop(count + 1) as i:
        inverse = reach[i] / (high - base.value)
        codes_sum, squares, product = fit.round(base.value, inverse, top)
        trial, trial_base, solvable = _least_squares(k, weight, along, codes_sum, squares, product)
        error = fit.error(trial, trial_base)
        better = solvable & (error < best.value)
        best.value = k.select(better, error, best.value)
        chosen_inverse.value = k.select(better, inverse, chosen_inverse.value)
        chosen_base.value = k.select(better, base.value, chosen_base.value)
        scale.value = k.select(better, trial, scale.value)
        base.value = k.select(better, trial_base, base.value)
    spread = high > low
    with k.loop(size) as i:
        code = rounded(k, (values[i] - chosen_base.value) * chosen_inverse.value, 0, top)
        codes[i] = codes_of(where(spread, code))
    return where(spread, scale.value), -k.select(spread, base.value, low)


class _Affine:
    """Trials of a group, whose codes are kept in ``work``."""

    def __init__(
        self, k: Builder, values: Column, weights: Column, work: Column, size: int, absolute: bool
    ) -> None:
        self.k, self.values, self.weights, self.work = k, values, weights, work
        self.size, self.absolute = size, absolute

    def round(self, base: Value, inverse: Value, top: int) -> list[Value]:
        """Weighted sums of the codes, of their squares, and of their products with the values."""

        def terms(i: Value) -> Sequence[Value]:
            code = rounded(self.k, (self.values[i] - base) * inverse, 0, top)
            self.work[i] = code
            weighted = self.weights[i] * code
            return weighted, weighted * code, weighted * self.values[i]

        return summed(self.k, self.size, 3, terms)

    def error(self, scale: Value, base: Value) -> Value:
        """What scale * code + base misses of the values."""

        def terms(i: Value) -> Sequence[Value]:
            miss = scale * self.work[i] + base - self.values[i]
            loss = self.k.abs(miss) if self.absolute else miss * miss
            return (loss * self.weights[i],)

        return summed(self.k, self.size, 1, terms)[0]


def bounds(k: Builder, values: Column, size: int) -> tuple[Value, Value]:
    """The least and the greatest value."""
    low, high = k.variable(values[0]), k.variable(values[0])
    with k.loop(1, size) as i:
        low.value = k.min(values[i], low.value)
        high.value = k.max(values[i], high.value)
    return low.value, high.value


def _least_squares(
    k: Builder, weight: Value, along: Value, codes: Value, squares: Value, product: Value
) -> tuple[Value, Value, Value]:
    """Scale and base (at most 0) that fit the codes best, and where there is such a pair."""
    determinant = weight * squares - codes * codes
    scale = (weight * product - along * codes) / determinant
    base = (squares * along - codes * product) / determinant
    above = base > 0
    return (
        k.select(above, product / squares, scale),
        k.select(above, k.zero(base.type), base),
        determinant > 0,
    )


def _floats(k: Builder, numbers: Sequence[np.float32]) -> Pointer:
    return k.table(f32, np.array(numbers, np.float32))
