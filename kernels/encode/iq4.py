"""IQ4_NL and IQ4_XS; meaning: ``pyllama/quants/iq4.py``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pyllama.gguf.types import TensorType
from pyllama.kernels.encode.base import Encoder, Task, pack
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
from pyllama.kernels.encode.simple import reciprocal
from pyllama.kernels.encode.weighting import mean_square, weigh, weigh_by_squares
from pyllama.kernels.language import Builder, Value
from pyllama.kernels.types import f32, u8, u16
from pyllama.quants import KVALUES_IQ4NL
from pyllama.quants.iq4 import MIDDLES, TRIES
from pyllama.quants.search import TINY

GROUP = 32
_VALUES = tuple(map(float, KVALUES_IQ4NL))
_SCALE_TOP = 32


class _Table(Encoder):
    """Codes into the table; the weights are squares where no importance is given."""

    def encode(self, task: Task) -> None:
        """Large values count more."""
        weigh_by_squares(task.k, task.values, task.weights, self.type.block_size)
        self._encode(task)

    def encode_weighted(self, task: Task) -> None:
        """By importance."""
        k, size = task.k, self.type.block_size
        weigh(k, task.values, task.weights, size, mean_square(k, task.values, size, 2))
        self._encode(task)

    def _encode(self, task: Task) -> None:
        raise TypeError(f"{type(self).__name__} does not say how its scales are stored")


class IQ4_NL(_Table):
    """One scale."""

    type = TensorType.IQ4_NL

    def _encode(self, task: Task) -> None:
        k, codes = task.k, task.scratch.column(u8, GROUP)
        d = _fit_table(k, task.values, task.weights)
        task.out["d"] = d
        _code(k, task.values, codes, reciprocal(d))
        pack(k, codes, task.out, "qs", GROUP, bits=4, run=16)


class OneTryIQ4_NL(Encoder):
    """IQ4_NL without a search, as ggml encodes what a step computes.

    The value of largest magnitude gets code 0; the scale then fits the codes best, large values
    counting more.
    """

    type = TensorType.IQ4_NL
    takes_importance = False

    def encode(self, task: Task) -> None:
        """See the class."""
        k, values, codes = task.k, task.values, task.scratch.column(u8, GROUP)
        peak = largest(k, values, GROUP)
        inverse = where(k.abs(peak) >= float(TINY), splat(k, _VALUES[0]) / peak)
        _code(k, values, codes, inverse)

        def terms(i: Value) -> Sequence[Value]:
            return _along_and_power(k, values[i], values[i] * values[i], inverse)

        along, power = summed(k, GROUP, 2, terms)
        task.out["d"] = where(k.abs(peak) >= float(TINY), along / power)
        pack(k, codes, task.out, "qs", GROUP, bits=4, run=16)


class IQ4_XS(_Table):
    """Scales of six bits for groups of 32."""

    type = TensorType.IQ4_XS

    def _encode(self, task: Task) -> None:
        k, scratch, size = task.k, task.scratch, self.type.block_size
        groups = size // GROUP
        codes, scales = scratch.column(u8, size), scratch.column(f32, groups)
        coded = scratch.column(u8, groups)
        with k.loop(groups) as g:
            start = g * GROUP
            scales[g] = _fit_table(k, task.values.start(start), task.weights.start(start))
        d = largest(k, scales, groups) / -_SCALE_TOP
        inverse = reciprocal(d)
        with k.loop(groups) as g:
            step = rounded(k, scales[g] * inverse, -_SCALE_TOP, _SCALE_TOP - 1)
            coded[g] = codes_of(step + _SCALE_TOP)
            start = g * GROUP
            _code(k, task.values.start(start), codes.start(start), reciprocal(d * step))
        task.out["d"] = d
        upper = k.zero(u16 * LANES)
        for group in range(groups):
            upper = upper | (coded[group] >> 4).to(u16) << 2 * group
        task.out["scales_h"] = upper
        pack(k, coded, task.out, "scales_l", groups, bits=4, run=1)
        pack(k, codes, task.out, "qs", size, bits=4, run=16)


def _fit_table(k: Builder, values: Column, weights: Column) -> Value:
    """The scale such that scale times a table value is near the values."""
    peak = largest(k, values, GROUP)
    scale, best = k.variable(splat(k, 0)), k.variable(splat(k, 0))

    def attempt(inverse: Value) -> None:
        def terms(i: Value) -> Sequence[Value]:
            return _along_and_power(k, values[i], weights[i], inverse)

        along, power = summed(k, GROUP, 2, terms)
        better = (power > 0) & (along * along > best.value * power)
        exact = along / power
        scale.value = k.select(better, exact, scale.value)
        best.value = k.select(better, exact * along, best.value)

    attempt(splat(k, 1) / (-peak / _VALUES[0]))
    near = np.arange(-TRIES, TRIES + 1, dtype=np.float32) + np.float32(_VALUES[0])
    places = k.table(f32, near)
    with k.loop(len(near)) as i:
        attempt(places[i] / peak)
    return where(k.abs(peak) >= float(TINY), scale.value)


def _along_and_power(k: Builder, value: Value, weight: Value, inverse: Value) -> Sequence[Value]:
    """What an element adds to the sums whose ratio is the scale that fits best."""
    trial = _nearest(k, value * inverse, _VALUES)
    weighted = weight * trial
    return weighted * value, weighted * trial


def _code(k: Builder, values: Column, codes: Column, inverse: Value) -> None:
    """Codes of the nearest table values."""
    with k.loop(GROUP) as i:
        codes[i] = codes_of(_nearest(k, values[i] * inverse, range(len(_VALUES))))


def _nearest(k: Builder, value: Value, results: Sequence[float]) -> Value:
    """Of the results that belong to the table's values the one of the nearest value."""
    result = splat(k, results[0])
    for middle, above in zip(MIDDLES, results[1:], strict=True):
        result = k.select(value >= float(middle), splat(k, above), result)
    return result
