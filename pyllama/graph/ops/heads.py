"""Ops that work on the heads of a row: their parts, and a matrix for each of them.

A row of ``heads`` heads is ``(heads * width,)``, head after head.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pyllama.graph.ops.base import Array, Op, Rows, StepState, Tensor, Weight, require


@dataclass(frozen=True)
class HeadPart(Op):
    """Elements ``first .. first + width`` of every head."""

    heads: int
    first: int
    width: int

    def output(self, inputs: Sequence[Tensor]) -> tuple[Rows, int]:
        """Rows and width of the result."""
        (x,) = inputs
        require(x.width % self.heads == 0, "heads do not fill the row")
        require(self.first + self.width <= x.width // self.heads, "the part ends behind its head")
        return x.rows, self.heads * self.width

    def meaning(self, step: StepState, *inputs: Array) -> Array:
        """The result in NumPy."""
        heads = inputs[0].reshape(len(inputs[0]), self.heads, -1)
        part = heads[:, :, self.first : self.first + self.width]
        return part.reshape(len(heads), -1)


@dataclass(frozen=True)
class HeadJoin(Op):
    """The elements of the first input's head, then those of the second's, for every head."""

    heads: int

    def output(self, inputs: Sequence[Tensor]) -> tuple[Rows, int]:
        """Rows and width of the result."""
        a, b = inputs
        require(a.rows is b.rows, "operands of different rows")
        require(a.width % self.heads == b.width % self.heads == 0, "heads do not fill the row")
        return a.rows, a.width + b.width

    def meaning(self, step: StepState, *inputs: Array) -> Array:
        """The result in NumPy."""
        parts = [x.reshape(len(x), self.heads, -1) for x in inputs]
        return np.concatenate(parts, axis=2).reshape(len(inputs[0]), -1)


@dataclass(frozen=True)
class HeadLinear(Op):
    """``x[head] @ weight[head].T`` for every head; weight: (heads, n_out, n_in)."""

    weight: Weight

    def output(self, inputs: Sequence[Tensor]) -> tuple[Rows, int]:
        """Rows and width of the result."""
        (x,) = inputs
        heads, n_out, n_in = self.weight.shape
        require(x.width == heads * n_in, f"{self.weight.name} takes {heads} heads of {n_in}")
        return x.rows, heads * n_out

    def meaning(self, step: StepState, *inputs: Array) -> Array:
        """The result in NumPy."""
        x = inputs[0].reshape(len(inputs[0]), self.weight.shape[0], -1)
        result: Array = np.einsum("thi,hoi->tho", x, step.weight(self.weight), dtype=np.float32)
        return result.reshape(len(x), -1)
