"""Matrix products with weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyllama.graph.ops.base import Array, Op, Rows, StepState, Tensor, Weight, require
from pyllama.graph.ops.rows import SwiGLU


@dataclass(frozen=True)
class Linear(Op):
    """``x @ weight.T + bias + residual``; weight: (n_out, n_in); bias and residual are optional."""

    weight: Weight
    bias: Weight | None = None

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
        return result + residual[0] if residual else result


@dataclass(frozen=True)
class GatedLinear(Op):
    """``silu(x @ gate.T) * (x @ up.T)``: what ``SwiGLU`` of two linear ops of one input becomes."""

    gate: Weight
    up: Weight

    def output(self, inputs: Sequence[Tensor]) -> tuple[Rows, int]:
        """Rows and width of the result."""
        (x,) = inputs
        require(self.gate.shape == self.up.shape, "gate and up differ in shape")
        require(self.gate.shape[1] == x.width, "the gate does not take such an input")
        return x.rows, self.gate.shape[0]

    def meaning(self, step: StepState, *inputs: Array) -> Array:
        """The result in NumPy."""
        gate, up = (inputs[0] @ step.weight(weight).T for weight in (self.gate, self.up))
        return SwiGLU().meaning(step, gate, up)
