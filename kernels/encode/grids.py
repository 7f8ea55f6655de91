"""IQ2_* and IQ3_*; meaning: ``pyllama/quants/grid_search.py`` and ``pyllama/quants/on_grid.py``."""

from __future__ import annotations

import numpy as np

from pyllama import quants
from pyllama.gguf.types import TensorType
from pyllama.kernels.encode.base import Encoder, Task, pack
from pyllama.kernels.encode.grid_fit import GridSearch
from pyllama.kernels.encode.lanes import LANES, Column, where
from pyllama.kernels.encode.rounding import code_odd_scales
from pyllama.kernels.encode.weighting import (
    mean_square,
    weigh,
    weigh_alike,
    weigh_by_squares,
)
from pyllama.kernels.language import Builder, Value
from pyllama.kernels.types import f32, u8, u16, u32
from pyllama.quants.on_grid import OnGrid

SIZE = 256
EIGHTS = SIZE // 8
SCALE_TOP = 15


class _OnGrid(Encoder):
    """Magnitudes on a grid; the format's own form says how they are found."""

    index_bits: int

    def __init__(self) -> None:
        block_format = quants.FORMATS[self.type]
        assert isinstance(block_format, OnGrid)
        self.form, self.sigma_factor = block_format.form, block_format.sigma_factor
        self.grid = (self.form.grid, self.form.distances)

    def encode(self, task: Task) -> None:
        """The columns count alike, unless a subclass says otherwise."""
        weigh_alike(task.k, task.weights, SIZE)
        self.encode_weighted(task)

    def encode_weighted(self, task: Task) -> None:
        """By importance."""
        k = task.k
        sigma2 = mean_square(k, task.values, SIZE, self.sigma_factor)
        weigh(k, task.values, task.weights, SIZE, sigma2)
        self._encode(task)

    def _encode(self, task: Task) -> None:
        k, scratch, form = task.k, task.scratch, self.form
        groups, eights = SIZE // form.group, form.group // 8
        search = GridSearch(task, form)
        points = search.points * groups
        masks, scales = scratch.column(u8, EIGHTS), scratch.column(f32, groups)
        words = scratch.column(u32, points)
        take_signs(k, task.values, task.weights, masks, even=form.even)
        with k.loop(groups) as g:
            scale = search.fit(g * form.group, words.start(g * search.points))
            scales[g] = k.abs(scale)
            with k.loop(g * eights, (g + 1) * eights) as j:
                turned = k.select(scale < 0, masks[j] ^ 0xFF, masks[j])
                masks[j] = where(scale.differs(0), turned)
        coded = scratch.column(u8, groups)
        d, alive = code_odd_scales(k, scales, coded, groups, SCALE_TOP)
        task.out["d"] = d * float(np.float32(form.fudge))
        index = scratch.column(u16, points)
        with k.loop(points) as p:
            index[p] = where(alive, search.rounding.index(words[p]))
        with k.loop(EIGHTS) as j:
            masks[j] = where(alive, masks[j])
        self._pack(task, coded, index, masks)

    def _pack(self, task: Task, scales: Column, index: Column, masks: Column) -> None:
        """Where scales (groups,), indices (points,) and masks (32,) lie: IQ2_S and IQ3_S."""
        k, out = task.k, task.out
        points = SIZE // 8 if self.index_bits == 10 else SIZE // 4
        with k.loop(points) as p:
            out["qs", p] = index[p].to(u8)
        pack(k, index, out, "qh", points, bits=self.index_bits - 8, run=1, shift=8)
        with k.loop(EIGHTS) as j:
            out["signs", j] = masks[j]
        pack(k, scales, out, "scales", SIZE // self.form.group, bits=4, run=1)


class IQ2_S(_OnGrid):
    """1024 points, masks of signs."""

    type = TensorType.IQ2_S
    index_bits = 10

    def encode(self, task: Task) -> None:
        """Large values count more."""
        k = task.k
        sums = mean_square(k, task.values, SIZE, 1) * SIZE
        spread = sums * float(np.float32(2 / SIZE)) * 0.25
        with k.loop(SIZE) as i:
            task.weights[i] = spread + task.values[i] * task.values[i]
        self._encode(task)


class IQ3_S(_OnGrid):
    """512 points of four, masks of signs."""

    type = TensorType.IQ3_S
    index_bits = 9

    def encode(self, task: Task) -> None:
        """Large values count more."""
        weigh_by_squares(task.k, task.values, task.weights, SIZE)
        self._encode(task)


class IQ2_XS(_OnGrid):
    """512 points, seven bits of signs beside each index."""

    type = TensorType.IQ2_XS

    def _pack(self, task: Task, scales: Column, index: Column, masks: Column) -> None:
        k, out = task.k, task.out
        with k.loop(EIGHTS) as p:
            out["qs", p] = index[p] | (masks[p] & 127).to(u16) << 9
        pack(k, scales, out, "scales", SIZE // self.form.group, bits=4, run=1)


class IQ2_XXS(_OnGrid):
    """256 points; signs and scales in words of their own."""

    type = TensorType.IQ2_XXS

    def _pack(self, task: Task, scales: Column, index: Column, masks: Column) -> None:
        k, out = task.k, task.out
        with k.loop(8) as g:
            word = _signs_and_scale(masks, scales, g)
            for half in range(2):
                first = index[g * 4 + 2 * half] | index[g * 4 + 2 * half + 1] << 8
                out["qs", g * 4 + half] = first
                out["qs", g * 4 + 2 + half] = (word >> 16 * half).to(u16)


class IQ3_XXS(_OnGrid):
    """256 points of four; signs and scales in words of their own."""

    type = TensorType.IQ3_XXS

    def encode(self, task: Task) -> None:
        """Large values count more."""
        weigh_by_squares(task.k, task.values, task.weights, SIZE)
        self._encode(task)

    def _pack(self, task: Task, scales: Column, index: Column, masks: Column) -> None:
        k, out = task.k, task.out
        with k.loop(SIZE // 4) as p:
            out["qs", p] = index[p].to(u8)
        with k.loop(8) as g:
            out["scales_and_signs", g] = _signs_and_scale(masks, scales, g)


def _signs_and_scale(masks: Column, scales: Column, g: Value) -> Value:
    """u32: four masks of seven bits, and four bits of scale."""
    word = scales[g].to(u32) << 28
    for i in range(4):
        word = word | (masks[g * 4 + i] & 127).to(u32) << 7 * i
    return word


def take_signs(k: Builder, values: Column, weights: Column, masks: Column, *, even: bool) -> None:
    """Replace values by magnitudes; masks: the signs of each eight.

    For ``even`` an even number of each eight is negative: if need be the cheapest value is turned.
    """
    one = k.const(u8 * LANES, 1)
    with k.loop(EIGHTS) as j:
        eight, weight = values.start(j * 8), weights.start(j * 8)
        mask = k.zero(u8 * LANES)
        for i in range(8):
            mask = mask | where(eight[i] < 0, one << i)
        if even:
            mask = mask ^ where(_odd(mask), _cheapest(k, eight, weight))
        masks[j] = mask
        for i in range(8):
            negative = (mask & 1 << i).differs(0)
            eight[i] = k.select(negative, -eight[i], eight[i])


def _odd(mask: Value) -> Value:
    """Whether the number of set bits is odd."""
    for shift in (4, 2, 1):
        mask = mask ^ mask >> shift
    return (mask & 1).differs(0)


def _cheapest(k: Builder, values: Column, weights: Column) -> Value:
    """The bit of the first value of least weighted square."""
    least = weights[0] * values[0] * values[0]
    bit = k.const(u8 * LANES, 1)
    for i in range(1, 8):
        cost = weights[i] * values[i] * values[i]
        bit = k.select(cost < least, k.const(u8 * LANES, 1 << i), bit)
        least = k.select(cost < least, cost, least)
    return bit
