"""Sums of squares of what weights are multiplied with: how much each of their columns matters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pyllama.graph.ops.base import Array, Op, Rows, StepState, Tensor, require
from pyllama.graph.ops.experts import chosen_experts


@dataclass(frozen=True)
class SquareSums(Op):
    """Adds the squares of every column of x to sums that outlive the step; gives rows of nothing.

    Inputs: x, or x and a route. Of a route, every expert has sums of its own, over the rows that
    chose it; x is then a row of ``width`` for each expert of a row, or one for all of them.
    ``weights_met``: names of the tensors that x is multiplied with; the first names the sums.
    """

    weights_met: tuple[str, ...]
    width: int
    experts: int = 1

    @property
    def name(self) -> str:
        """What the sums are called."""
        return self.weights_met[0]

    def output(self, inputs: Sequence[Tensor]) -> tuple[Rows, int]:
        """Rows and width of the result."""
        x, *route = inputs
        require(len(route) <= 1, "at most one route")
        widths = {self.width, *(r.width // 2 * self.width for r in route)}
        require(x.width in widths, "the columns are not those of the sums")
        require(all(r.rows is x.rows for r in route), "operands of different rows")
        require(bool(route) or self.experts == 1, "experts without a route")
        return x.rows, 0

    def meaning(self, step: StepState, *inputs: Array) -> Array:
        """The result in NumPy."""
        x, *route = inputs
        squares = np.square(x, dtype=np.float64).reshape(len(x), -1, self.width)
        chosen = chosen_experts(route[0]) if route else np.zeros((len(x), 1), np.int64)
        sums = np.zeros((self.experts, self.width))
        np.add.at(sums, chosen, np.broadcast_to(squares, (*chosen.shape, self.width)))
        counts = np.bincount(chosen.reshape(-1), minlength=self.experts)
        step.tally(self.name, sums, counts.astype(np.float64))
        return x[:, :0]
