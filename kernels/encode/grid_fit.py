"""The search for the scale and the points of a group of magnitudes; meaning: ``grid_search``."""

from __future__ import annotations

import numpy as np

from pyllama.kernels.encode.base import Task
from pyllama.kernels.encode.lanes import LANES, Column, splat, where
from pyllama.kernels.encode.rounding import OFF_GRID, GridRounding, level_of
from pyllama.kernels.encode.search import fit_from_zero
from pyllama.kernels.language import Value
from pyllama.kernels.types import f32, i32, u8, u32
from pyllama.quants.grid_search import GridForm


class GridSearch:
    """Fits the groups of a task, one after the other."""

    def __init__(self, task: Task, form: GridForm) -> None:
        assert task.grid is not None
        scratch = task.scratch
        self.k, self.task, self.form, self.grid = task.k, task, form, task.grid
        self.points = form.group // task.grid.width
        """Points of a group."""
        self.rounding = GridRounding(task.k, task.grid, scratch)
        self._roots, self._work = (scratch.column(f32, form.group) for _ in range(2))
        self._codes, self._trial = scratch.column(u8, form.group), scratch.column(u32, self.points)

    def fit(self, start: Value, words: Column) -> Value:
        """Store the points of the group that starts at value ``start``; its scale, maybe < 0."""
        k, form, top = self.k, self.form, self.grid.levels
        self._values, self._weights = self.task.values.start(start), self.task.weights.start(start)
        with k.loop(form.group) as i:
            self._roots[i] = k.sqrt(self._weights[i])
        reach, first, alive = self._start()
        with k.loop(self.points) as p:
            words[p] = k.const(u32 * LANES, 0 if form.refit == "point" else OFF_GRID)
        scale, best = k.variable(first), k.variable(splat(k, 0))
        numbers = range(-form.steps, form.steps + 1)
        wanted = [np.float32(2 * top - 1) + np.float32(n) * np.float32(form.step) for n in numbers]
        table = k.table(f32, np.array(wanted, np.float32))
        with k.loop(len(wanted)) as number:
            inverse = table[number] / reach
            self._snap(inverse, splat(k, 1) / inverse)
            along, power = self._sums(self._trial)
            better = (power > 0) & (along * along > best.value * power)
            exact = along / power
            scale.value = k.select(better, exact, scale.value)
            best.value = k.select(better, exact * along, best.value)
            self._take(words, better)
        result = self._refitted(scale.value, words)
        with k.loop(self.points) as p:
            words[p] = where(alive, words[p])
        return where(alive, result)

    def _start(self) -> tuple[Value, Value, Value]:
        """The value that the highest level is to reach, a first scale, and which groups count."""
        k, form, top = self.k, self.form, self.grid.levels
        highest = k.variable(self._values[0])
        with k.loop(1, form.group) as i:
            highest.value = k.max(self._values[i], highest.value)
        peak = highest.value
        alive = peak >= float(np.float32(form.tiny))
        if form.refit != "always":
            return peak, peak / (2 * top - 1), alive
        scale = fit_from_zero(
            k, self._values, self._weights, self._codes, self._work, form.group, top + 1
        )
        reach = scale * top
        return reach, scale, alive & (reach > 0)

    def _snap(self, inverse: Value, scale: Value) -> None:
        """Round to points by a scale and its inverse."""
        k, width = self.k, self.grid.width
        with k.loop(self.points) as p:
            values, roots = self._values.start(p * width), self._roots.start(p * width)
            levels = []
            for c in range(width):
                exact = k.round((inverse * values[c] - 1) * 0.5)
                bounded = k.max(k.min(exact, self.grid.levels - 1), 0)
                levels.append(bounded.to(i32).bits_as(u32 * LANES))
            self.rounding.to_points(levels, values, roots, scale, self._trial.start(p))

    def _sums(self, words: Column) -> tuple[Value, Value]:
        """The weighted products of the group with its points, and of the points themselves."""
        k, width = self.k, self.grid.width
        along, power = k.variable(splat(k, 0)), k.variable(splat(k, 0))
        with k.loop(self.points) as p:
            word = words[p]
            values, weights = self._values.start(p * width), self._weights.start(p * width)
            for c in range(width):
                point = (level_of(word, c) * 2 + 1).bits_as(i32 * LANES).to(f32)
                along.value = along.value + weights[c] * values[c] * point
                power.value = power.value + weights[c] * point * point
        return along.value, power.value

    def _take(self, words: Column, condition: Value) -> None:
        """Replace words by those of the trial where the condition holds."""
        k = self.k
        with k.loop(self.points) as p:
            words[p] = k.select(condition, self._trial[p], words[p])

    def _refitted(self, scale: Value, words: Column) -> Value:
        """Choose points anew by the best scale, and the scale by them."""
        k, refit = self.k, self.form.refit
        groups = scale > 0
        if refit != "always":
            off = k.variable(k.zero(u32 * LANES))
            with k.loop(self.points) as p:
                off.value = off.value | words[p]
            groups = groups & (off.value >= OFF_GRID)
        self._snap(splat(k, 1) / scale, scale)
        with k.loop(self.points) as p:
            chosen = groups & (words[p] >= OFF_GRID) if refit == "point" else groups
            words[p] = k.select(chosen, self._trial[p], words[p])
        along, power = self._sums(words)
        return k.select(groups & (power > 0), along / power, scale)
