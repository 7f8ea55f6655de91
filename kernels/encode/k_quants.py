"""Q2_K to Q6_K; meaning: ``pyllama/quants/k_quants.py`` and ``pyllama/quants/k_encoding.py``.

First each group gets the scale that suits it best, then the scales are coded themselves, and last
the values are rounded once more, by the scales that the file will have.
"""

from __future__ import annotations

from pyllama import quants
from pyllama.gguf.types import TensorType
from pyllama.kernels.encode.base import Encoder, Task, pack
from pyllama.kernels.encode.lanes import (
    LANES,
    Column,
    codes_of,
    largest,
    rounded,
    splat,
    where,
)
from pyllama.kernels.encode.search import (
    descend_around_zero,
    fit_above_minimum,
    fit_around_zero,
    fit_from_zero,
)
from pyllama.kernels.encode.weighting import mass_of, mean_square, weigh, weigh_by_squares
from pyllama.kernels.language import Builder, Value
from pyllama.kernels.types import f16, f32, i32, u8
from pyllama.quants.k_encoding import SIGNED_SIX
from pyllama.quants.search import TINY, WEIGHTED_STEPS

SIZE = 256


class _Affine(Encoder):
    """Codes above a minimum; the format's own form says how they are found."""

    def __init__(self) -> None:
        block_format = quants.FORMATS[self.type]
        assert isinstance(block_format, quants.k_quants.Affine)
        self.form = block_format.form
        self.groups = SIZE // self.form.group

    def encode(self, task: Task) -> None:
        """Weights are made up of the magnitudes."""
        k, form = task.k, self.form
        with k.loop(0, SIZE, form.group) as start:
            values, weights = task.values.start(start), task.weights.start(start)
            spread = splat(k, 0)
            if not form.absolute:
                spread = k.sqrt(mean_square(k, values, form.group, 1))
            with k.loop(form.group) as i:
                weights[i] = spread + k.abs(values[i])
        self._encode(task, (form.first, form.step, form.steps), form.absolute)

    def encode_weighted(self, task: Task) -> None:
        """Squares of errors, weighted."""
        sigma2 = mean_square(task.k, task.values, SIZE, self.form.sigma_factor)
        weigh(task.k, task.values, task.weights, SIZE, sigma2)
        self._encode(task, WEIGHTED_STEPS, absolute=False, weighted=True)

    def _encode(
        self,
        task: Task,
        steps: tuple[float, float, int],
        absolute: bool,
        weighted: bool = False,
    ) -> None:
        k, form, scratch = task.k, self.form, task.scratch
        codes, work = scratch.column(u8, SIZE), scratch.column(f32, form.group)
        scales, minima, mass = (scratch.column(f32, self.groups) for _ in range(3))
        with k.loop(self.groups) as g:
            start = g * form.group
            values, weights = task.values.start(start), task.weights.start(start)
            scales[g], minima[g] = fit_above_minimum(
                k, values, weights, codes.start(start), work, form.group, form.top, steps,
                absolute=absolute,
            )  # fmt: skip
            if weighted:
                mass[g] = mass_of(k, weights, form.group)
        for field, exact in (("d", scales), ("dmin", minima)):
            coded = scratch.column(u8, self.groups)
            if weighted:
                unit = fit_from_zero(k, exact, mass, coded, work, self.groups, form.scale_top)
            else:
                unit = _coded_by_largest(k, exact, coded, self.groups, form.scale_top)
            unit = unit.to(f16)
            task.out[field] = unit
            with k.loop(self.groups) as g:  # now as the file will have them
                exact[g] = unit.to(f32) * coded[g].to(f32)
            self._pack_scales(task, field, coded)
        with k.loop(self.groups) as g, k.loop(g * form.group, (g + 1) * form.group) as i:
            code = rounded(k, (task.values[i] + minima[g]) / scales[g], 0, form.top)
            codes[i] = k.select(scales[g].differs(0), codes_of(code), codes[i])
        self._pack(task, codes)

    def _pack_scales(self, task: Task, field: str, coded: Column) -> None:
        """Six bits each: those of ``d`` and of ``dmin`` share bytes."""
        k, out = task.k, task.out
        place, shift = (0, 0) if field == "d" else (4, 4)
        with k.loop(4) as g:
            low, high = coded[g], coded[g + 4]
            out["scales", g + place] = low | high >> 4 << 6
            out.add("scales", g + 8, (high & 15) << shift)

    def _pack(self, task: Task, codes: Column) -> None:
        pack(task.k, codes, task.out, "qs", SIZE, bits=4, run=32)


class Q4_K(_Affine):
    """Groups of 32."""

    type = TensorType.Q4_K


class Q5_K(_Affine):
    """A fifth bit in ``qh``."""

    type = TensorType.Q5_K

    def _pack(self, task: Task, codes: Column) -> None:
        super()._pack(task, codes)
        pack(task.k, codes, task.out, "qh", SIZE, bits=1, run=32, shift=4)


class Q2_K(_Affine):
    """Groups of 16; scale and minimum are the halves of a byte."""

    type = TensorType.Q2_K

    def _pack_scales(self, task: Task, field: str, coded: Column) -> None:
        with task.k.loop(self.groups) as g:
            task.out.add("scales", g, coded[g] << (0 if field == "d" else 4))

    def _pack(self, task: Task, codes: Column) -> None:
        pack(task.k, codes, task.out, "qs", SIZE, bits=2, run=32)


class _Signed(Encoder):
    """Sixteen groups of 16 with signed scales, codes around zero."""

    group, groups = 16, 16
    top: int

    def _recode(self, task: Task, scales: Column, codes: Column) -> None:
        """Round again by the scales that the file will have."""
        k = task.k
        with k.loop(self.groups) as g, k.loop(g * self.group, (g + 1) * self.group) as i:
            code = rounded(k, task.values[i] / scales[g], -self.top, self.top - 1) + self.top
            codes[i] = k.select(scales[g].differs(0), codes_of(code), codes[i])

    def _fit(self, task: Task, scales: Column, codes: Column) -> None:
        """The best scale of each group, by the weights."""
        k = task.k
        with k.loop(self.groups) as g:
            start = g * self.group
            values, weights = task.values.start(start), task.weights.start(start)
            scales[g] = fit_around_zero(
                k, values, weights, codes.start(start), self.group, self.top
            )


class Q3_K(_Signed):
    """Three bits, scales of six."""

    type = TensorType.Q3_K
    top = 4

    def encode(self, task: Task) -> None:
        """By coordinate descent; the scale of largest magnitude gets code 0."""
        k, scratch = task.k, task.scratch
        codes, scales, coded = self._columns(task)
        work = scratch.column(f32, 2 * self.group)
        with k.loop(self.groups) as g:
            start = g * self.group
            scales[g] = descend_around_zero(
                k, task.values.start(start), codes.start(start), work, self.group, self.top
            )
        peak = largest(k, scales, self.groups)
        alive = peak.differs(0)
        inverse = where(alive, splat(k, -SIGNED_SIX) / peak)
        with k.loop(self.groups) as g:
            code = rounded(k, scales[g] * inverse, -SIGNED_SIX, SIGNED_SIX - 1) + SIGNED_SIX
            coded[g] = codes_of(where(alive, code))
        self._finish(task, where(alive, splat(k, 1) / inverse), codes, scales, coded)

    def encode_weighted(self, task: Task) -> None:
        """By the search, for the scales of the groups too."""
        k = task.k
        weigh(k, task.values, task.weights, SIZE, mean_square(k, task.values, SIZE, 2))
        codes, scales, coded = self._columns(task)
        self._fit(task, scales, codes)
        mass = task.scratch.column(f32, self.groups)
        with k.loop(self.groups) as g:
            mass[g] = mass_of(k, task.weights.start(g * self.group), self.group)
        d = fit_around_zero(k, scales, mass, coded, self.groups, SIGNED_SIX)
        self._finish(task, d, codes, scales, coded)

    def _columns(self, task: Task) -> tuple[Column, Column, Column]:
        """Memory for codes, scales and the codes of the scales."""
        scratch = task.scratch
        return (
            scratch.column(u8, SIZE),
            scratch.column(f32, self.groups),
            scratch.column(u8, self.groups),
        )

    def _finish(self, task: Task, d: Value, codes: Column, scales: Column, coded: Column) -> None:
        k, out = task.k, task.out
        unit = d.to(f16)
        out["d"] = unit
        with k.loop(self.groups) as g:
            scales[g] = unit.to(f32) * (coded[g].to(f32) - SIGNED_SIX)
        self._recode(task, scales, codes)
        pack(k, codes, out, "hmask", SIZE, bits=1, run=32, shift=2)
        pack(k, codes, out, "qs", SIZE, bits=2, run=32)
        pack(k, coded, out, "scales", self.groups, bits=4, run=8)
        pack(k, coded, out, "scales", self.groups, bits=2, run=4, shift=4, place=8)


class Q6_K(_Signed):
    """Six bits, scales of eight."""

    type = TensorType.Q6_K
    top = 32

    def encode(self, task: Task) -> None:
        """Weights are the squares."""
        weigh_by_squares(task.k, task.values, task.weights, SIZE)
        self.encode_weighted(task)

    def encode_weighted(self, task: Task) -> None:
        """The importance is the weight; the scale of largest magnitude gets code -128."""
        k, out, scratch = task.k, task.out, task.scratch
        codes, scales = scratch.column(u8, SIZE), scratch.column(f32, self.groups)
        self._fit(task, scales, codes)
        peak = largest(k, scales, self.groups)
        alive = k.abs(peak) >= float(TINY)
        inverse = splat(k, -128) / peak
        unit = where(alive, splat(k, 1) / inverse).to(f16)
        out["d"] = unit
        with k.loop(self.groups) as g:
            code = where(alive, rounded(k, scales[g] * inverse, -128, 127))
            out["scales", g] = code.to(i32).to(u8)
            scales[g] = unit.to(f32) * code
        self._recode(task, scales, codes)
        with k.loop(SIZE) as i:
            codes[i] = where(alive, codes[i])
        pack(k, codes, out, "ql", SIZE, bits=4, run=64)
        pack(k, codes, out, "qh", SIZE, bits=2, run=32, shift=4)


def _coded_by_largest(k: Builder, exact: Column, coded: Column, groups: int, top: int) -> Value:
    """Scales as multiples of a unit such that the largest one has the code ``top``; the unit."""
    peak = k.variable(k.zero(f32 * LANES))
    with k.loop(groups) as g:
        peak.value = k.max(exact[g], peak.value)
    inverse = where(peak.value > 0, splat(k, top) / peak.value)
    with k.loop(groups) as g:
        coded[g] = codes_of(rounded(k, exact[g] * inverse, 0, top))
    return peak.value / top
