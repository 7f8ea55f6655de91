"""Ops that work on each row alone, and on which rows there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pyllama.graph.ops.base import Array, Op, Rows, StepState, Tensor, Weight, require, same_shape


@dataclass(frozen=True)
class Embedding(Op):
    """``weight[tokens]``: weight (n_vocab, width)."""

    weight: Weight

    def output(self, inputs: Sequence[Tensor]) -> tuple[Rows, int]:
        """Rows and width of the result."""
        require(not inputs, "an embedding has no inputs")
        return Rows.TOKENS, self.weight.shape[1]

    def meaning(self, step: StepState, *inputs: Array) -> Array:
        """The result in NumPy."""
        return step.weight(self.weight)[step.tokens]


@dataclass(frozen=True)
class RMSNorm(Op):
    """``x / sqrt(mean(x**2) + eps) * weight``, over each of ``groups`` equal parts of the row."""

    weight: Weight
    eps: float
    groups: int = 1

    def output(self, inputs: Sequence[Tensor]) -> tuple[Rows, int]:
        """Rows and width of the result."""
        (x,) = inputs
        require(x.width == self.groups * self.weight.shape[0], "the norm's width differs")
        return x.rows, x.width

    def meaning(self, step: StepState, *inputs: Array) -> Array:
        """The result in NumPy."""
        x = inputs[0].reshape(len(inputs[0]), self.groups, -1)
        mean = np.mean(x * x, axis=-1, keepdims=True, dtype=np.float32)
        normed = x / np.sqrt(mean + np.float32(self.eps)) * step.weight(self.weight)
        return normed.reshape(inputs[0].shape).astype(np.float32)


@dataclass(frozen=True)
class SwiGLU(Op):
    """``gate * sigmoid(gate) * up`` (Shazeer 2020)."""

    def output(self, inputs: Sequence[Tensor]) -> tuple[Rows, int]:
        """Rows and width of the result."""
        return same_shape(inputs)

    def meaning(self, step: StepState, *inputs: Array) -> Array:
        """The result in NumPy."""
        gate, up = inputs
        result: Array = gate / (1 + np.exp(-np.clip(gate, -80, None))) * up
        return result


@dataclass(frozen=True)
class Add(Op):
    """The sum of two activations."""

    def output(self, inputs: Sequence[Tensor]) -> tuple[Rows, int]:
        """Rows and width of the result."""
        return same_shape(inputs)

    def meaning(self, step: StepState, *inputs: Array) -> Array:
        """The result in NumPy."""
        return inputs[0] + inputs[1]


@dataclass(frozen=True)
class SelectRows(Op):
    """Keeps the rows of those tokens whose logits are wanted."""

    def output(self, inputs: Sequence[Tensor]) -> tuple[Rows, int]:
        """Rows and width of the result."""
        (x,) = inputs
        require(x.rows is Rows.TOKENS, "rows are selected once")
        return Rows.OUTPUTS, x.width

    def meaning(self, step: StepState, *inputs: Array) -> Array:
        """The result in NumPy."""
        return inputs[0][step.outputs]
