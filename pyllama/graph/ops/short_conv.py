"""A short convolution over the positions of a sequence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pyllama.graph.ops.base import Array, Op, Rows, StepState, Tensor, Weight, require


@dataclass(frozen=True)
class ShortConv(Op):
    """Of rows (b, c, x): ``c * conv(b * x)``, each element with its own few weights.

    weight: (width, taps), the last one for the position itself, those before it for the positions
    before; before the first position there are zeros. What is convolved is stored, as keys are.
    Source: Liquid AI's LFM2 (2025).
    """

    layer: int
    weight: Weight

    def output(self, inputs: Sequence[Tensor]) -> tuple[Rows, int]:
        """Rows and width of the result."""
        (x,) = inputs
        width = self.weight.shape[0]
        require(x.width == 3 * width, "a row has not three parts of the convolution's width")
        require(x.rows is Rows.TOKENS, "a convolution is over all tokens")
        return x.rows, width

    def meaning(self, step: StepState, *inputs: Array) -> Array:
        """The result in NumPy."""
        b, c, x = inputs[0].reshape(len(inputs[0]), 3, -1).swapaxes(0, 1)
        product = (b * x)[:, None]
        step.remember(self.layer, product, product)
        weight = step.weight(self.weight)
        taps = weight.shape[1]
        result = np.empty_like(c)
        for t, (position, sequence) in enumerate(zip(step.positions, step.sequences, strict=True)):
            cells, _ = step.recall(self.layer, int(sequence))
            seen = cells[max(0, position + 1 - taps) : position + 1, 0]
            result[t] = np.einsum("pw,wp->w", seen, weight[:, taps - len(seen) :])
        return c * result
