"""IQ1_S and IQ1_M; meaning: ``pyllama/quants/iq1.py``."""

from __future__ import annotations

from dataclasses import dataclass

from pyllama.gguf.types import TensorType
from pyllama.kernels.encode.base import Encoder, GridKey, Task, pack
from pyllama.kernels.encode.lanes import LANES, Column, splat, where
from pyllama.kernels.encode.rounding import code_odd_scales
from pyllama.kernels.encode.shifted_levels import WIDTH, ShiftedLevels, steps_of
from pyllama.kernels.encode.weighting import (
    mean_square,
    weigh,
    weigh_alike,
    weigh_by_squares,
)
from pyllama.kernels.language import Value
from pyllama.kernels.types import f16, f32, u8, u16, u32
from pyllama.quants.iq1 import FUDGE_M, FUDGE_S
from pyllama.quants.iq1_search import DISTANCES

SIZE = 256
POINTS = SIZE // WIDTH
SCALE_TOP = 7


@dataclass(frozen=True)
class _Coded:
    """Blocks that are found and need packing.

    Attributes:
        d: f32, before the fudge factor.
        alive: which blocks are not all zeros.
        scales: u8 (groups,).
        words: u32 (points,).
        index: u16 (points,), 0 in blocks of zeros; ``down``, u8, likewise.
    """

    d: Value
    alive: Value
    scales: Column
    words: Column
    index: Column
    down: Column


class _Shifted(Encoder):
    """Ternary points, shifted; scales of three bits."""

    grid: GridKey | None = ("iq1_s", DISTANCES)
    group: int
    shifts: int
    tiny: float

    def encode_weighted(self, task: Task) -> None:
        """By importance."""
        k = task.k
        weigh(k, task.values, task.weights, SIZE, mean_square(k, task.values, SIZE, 2))
        self._encode(task)

    def _encode(self, task: Task) -> None:
        k, scratch = task.k, task.scratch
        groups, points = SIZE // self.group, self.group // WIDTH
        search = ShiftedLevels(task, self.group, self.shifts, self.tiny)
        scales, coded = scratch.column(f32, groups), scratch.column(u8, groups)
        words, down = scratch.column(u32, POINTS), scratch.column(u8, POINTS)
        with k.loop(groups) as g:
            first = g * points
            scales[g] = search.fit(g * self.group, words.start(first), down.start(first))
        d, alive = code_odd_scales(k, scales, coded, groups, SCALE_TOP)
        index = scratch.column(u16, POINTS)
        with k.loop(POINTS) as p:
            index[p] = where(alive, search.rounding.index(words[p]))
        self._pack(task, _Coded(d, alive, coded, words, index, down))
        with k.loop(POINTS) as p:
            task.out["qs", p] = index[p].to(u8)

    def _pack(self, task: Task, coded: _Coded) -> None:
        raise TypeError(f"{type(self).__name__} does not say where its parts lie")


class IQ1_S(_Shifted):
    """Groups of 32 with one shift."""

    type = TensorType.IQ1_S
    group, shifts, tiny = 32, 1, 1e-12

    def encode(self, task: Task) -> None:
        """The columns count alike."""
        weigh_alike(task.k, task.weights, SIZE)
        self.encode_weighted(task)

    def _pack(self, task: Task, coded: _Coded) -> None:
        task.out["d"] = coded.d * float(FUDGE_S)
        with task.k.loop(SIZE // self.group) as g:
            down = where(coded.alive, coded.down[g * 4])
            word = (coded.scales[g] | down << 3).to(u16) << 12
            for i in range(4):
                word = word | coded.index[g * 4 + i] >> 8 << 3 * i
            task.out["qh", g] = word


class IQ1_M(_Shifted):
    """Groups of 16 whose two points have shifts of their own; nibbles of d are spread."""

    type = TensorType.IQ1_M
    group, shifts, tiny = 16, 2, 1e-7

    def encode(self, task: Task) -> None:
        """Large values count more."""
        weigh_by_squares(task.k, task.values, task.weights, SIZE)
        self._encode(task)

    def _pack(self, task: Task, coded: _Coded) -> None:
        k, out, scales = task.k, task.out, coded.scales
        d = where(coded.alive, self._refitted(task, coded) * float(FUDGE_M))
        bits = d.to(f16).bits_as(u16 * LANES)
        for n in range(4):
            word = bits >> 4 * n << 12
            for i in range(4):
                word = word | scales[4 * n + i].to(u16) << 3 * i
            out["scales", n] = word
        nibbles = task.scratch.column(u8, POINTS)
        with k.loop(POINTS) as p:
            down = where(coded.alive, coded.down[p])
            nibbles[p] = (coded.index[p] >> 8).to(u8) | down << 3
        pack(k, nibbles, out, "qh", POINTS, bits=4, run=1)

    def _refitted(self, task: Task, coded: _Coded) -> Value:
        """The scale that suits all the points of a block best."""
        k = task.k
        along, power = k.variable(splat(k, 0)), k.variable(splat(k, 0))
        with k.loop(POINTS) as p:
            factor = coded.scales[p // 2].to(f32) * 2 + 1
            for c, level in enumerate(steps_of(coded.words[p], coded.down[p])):
                step = level * factor
                weighted = task.weights[p * WIDTH + c] * step
                along.value = along.value + weighted * task.values[p * WIDTH + c]
                power.value = power.value + weighted * step
        return k.select(power.value > 0, along.value / power.value, coded.d)
