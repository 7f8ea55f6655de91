"""Matrix products with weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyllama.graph.ops.base import Array, Op, Rows, StepState, Tensor, Weight, require
from pyllama.graph.ops.elements import Each, Gate


@dataclass(frozen=True)
class Linear(Op):
    """``activation(x @ weight.T + bias) + residual``; weight: (n_out, n_in); the rest is optional.

    activation: one of ``FUNCTIONS`` without a parameter.
    """

    weight: Weight
    bias: Weight | None = None
    activation: str | None = None

    def output(self, inputs: Sequence[Tensor]) -> tuple[Rows, int]:
        """Rows and width of the result."""
        x, *residual = inputs
        n_out, n_in = self.weight.shape
        require(x.width == n_in, f"{self.weight.name} takes {n_in} inputs, not {x.width}")
        require(len(residual) <= 1, "at most one residual")
        require(all(r.width == n_out and r.rows == x.rows for r in residual), "odd residual")
        return x.rows, n_out

    def meaning(self, step: StepState, *inputs: Array) -> Array:
        """The result in NumPy."""
        x, *residual = inputs
        result = x @ step.weight(self.weight).T
        if self.bias is not None:
            result = result + step.weight(self.bias)
        if self.activation is not None:
            result = Each(self.activation).meaning(step, result)
        return result + residual[0] if residual else result


@dataclass(frozen=True)
class GatedLinear(Op):
    """``Gate`` of ``x @ gate.T`` and ``x @ up.T``: what becomes of it and two ops of one input."""

    gate: Weight
    up: Weight
    activation: str = "silu"

    def output(self, inputs: Sequence[Tensor]) -> tuple[Rows, int]:
        """Rows and width of the result."""
        (x,) = inputs
        require(self.gate.shape == self.up.shape, "gate and up differ in shape")
        require(self.gate.shape[1] == x.width, "the gate does not take such an input")
        return x.rows, self.gate.shape[0]

    def meaning(self, step: StepState, *inputs: Array) -> Array:
        """The result in NumPy."""
        gate, up = (inputs[0] @ step.weight(weight).T for weight in (self.gate, self.up))
        return Gate(self.activation).meaning(step, gate, up)
