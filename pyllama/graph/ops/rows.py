"""Ops that work on each row alone, and on which rows there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pyllama.graph.ops.base import Array, Op, Rows, StepState, Tensor, Weight, require, same_shape


@dataclass(frozen=True)
class Embedding(Op):
    """``scale * weight[tokens]``, or of the tokens' ``positions``; weight: (n_rows, width)."""

    weight: Weight
    scale: float = 1.0
    of: str = "tokens"

    def output(self, inputs: Sequence[Tensor]) -> tuple[Rows, int]:
        """Rows and width of the result."""
        require(not inputs, "an embedding has no inputs")
        return Rows.TOKENS, self.weight.shape[1]

    def meaning(self, step: StepState, *inputs: Array) -> Array:
        """The result in NumPy."""
        rows = step.tokens if self.of == "tokens" else step.positions
        return step.weight(self.weight)[rows] * np.float32(self.scale)


@dataclass(frozen=True)
class RMSNorm(Op):
    """``x / sqrt(mean(x**2) + eps) * weight``, over each of ``groups`` equal parts of the row.

    weight: (width,) of a part, or (groups, width).
    """

    weight: Weight
    eps: float
    groups: int = 1

    def output(self, inputs: Sequence[Tensor]) -> tuple[Rows, int]:
        """Rows and width of the result."""
        return _normed(inputs, self.weight, self.groups)

    def meaning(self, step: StepState, *inputs: Array) -> Array:
        """The result in NumPy."""
        x = inputs[0].reshape(len(inputs[0]), self.groups, -1)
        mean = np.mean(x * x, axis=-1, keepdims=True, dtype=np.float32)
        normed = x / np.sqrt(mean + np.float32(self.eps)) * step.weight(self.weight)
        return normed.reshape(inputs[0].shape).astype(np.float32)


@dataclass(frozen=True)
class LayerNorm(Op):
    """``(x - mean) / sqrt(variance + eps) * weight + bias``, otherwise as ``RMSNorm``.

    Ba et al. 2016.
    """

    weight: Weight
    bias: Weight | None
    eps: float
    groups: int = 1

    def output(self, inputs: Sequence[Tensor]) -> tuple[Rows, int]:
        """Rows and width of the result."""
        require(self.bias is None or self.bias.shape == self.weight.shape, "the bias differs")
        return _normed(inputs, self.weight, self.groups)

    def meaning(self, step: StepState, *inputs: Array) -> Array:
        """The result in NumPy."""
        x = inputs[0].reshape(len(inputs[0]), self.groups, -1)
        x = x - x.mean(axis=-1, keepdims=True, dtype=np.float32)
        variance = np.mean(x * x, axis=-1, keepdims=True, dtype=np.float32)
        normed = x / np.sqrt(variance + np.float32(self.eps)) * step.weight(self.weight)
        if self.bias is not None:
            normed = normed + step.weight(self.bias)
        result: Array = normed.reshape(inputs[0].shape).astype(np.float32)
        return result


def _normed(inputs: Sequence[Tensor], weight: Weight, groups: int) -> tuple[Rows, int]:
    """Rows and width of a norm's result."""
    (x,) = inputs
    width = x.width // groups
    require(x.width == groups * width, "the parts of a norm differ in width")
    require(weight.shape in ((width,), (groups, width)), "the norm's width differs")
    return x.rows, x.width


@dataclass(frozen=True)
class Add(Op):
    """``scale * a + b`` of two activations."""

    scale: float = 1.0

    def output(self, inputs: Sequence[Tensor]) -> tuple[Rows, int]:
        """Rows and width of the result."""
        return same_shape(inputs)

    def meaning(self, step: StepState, *inputs: Array) -> Array:
        """The result in NumPy."""
        return inputs[0] * np.float32(self.scale) + inputs[1]


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
