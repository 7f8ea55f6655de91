"""What is left of logits when it is known which token shall follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyllama.graph.ops.base import Array, Op, Rows, StepState, Tensor, Weight
from pyllama.graph.ops.elements import Each
from pyllama.graph.ops.linear import Linear

SCORE_WIDTH = 3


@dataclass(frozen=True)
class TokenScores(Op):
    """Three numbers of the logits of each row and of its target token.

    They are the largest logit, the sum of exp(logit - largest), which is NaN where a logit is no
    finite number, and the target's logit: the logarithm of the target's softmax is
    ``logit - largest - log(sum)``. Logits are ``x @ weight.T + bias``, which ``changes``, functions
    of ``Each`` with their parameters, are applied to in turn. weight: (n_vocab, n_in).
    """

    weight: Weight
    bias: Weight | None = None
    changes: tuple[tuple[str, float], ...] = ()

    def output(self, inputs: Sequence[Tensor]) -> tuple[Rows, int]:
        """Rows and width of the result."""
        rows, _ = self._linear.output(inputs)
        return rows, SCORE_WIDTH

    def meaning(self, step: StepState, *inputs: Array) -> Array:
        """The result in NumPy."""
        logits = self._linear.meaning(step, *inputs)
        for function, parameter in self.changes:
            logits = Each(function, parameter).meaning(step, logits)
        return token_scores(logits, step.targets)

    @property
    def _linear(self) -> Linear:
        return Linear(self.weight, self.bias)


def token_scores(logits: Array, targets: NDArray[np.integer]) -> Array:
    """logits: (n, n_vocab); targets: (n,) -> (n, SCORE_WIDTH) float32."""
    largest = logits.max(axis=1)
    with np.errstate(invalid="ignore"):  # inf - inf is NaN, as it shall be
        total = np.exp(logits - largest[:, None]).sum(axis=1, dtype=np.float64)
    total[~np.isfinite(logits).all(axis=1)] = np.nan
    target = logits[np.arange(len(logits)), targets]
    return np.stack([largest, total.astype(np.float32), target], axis=1)
