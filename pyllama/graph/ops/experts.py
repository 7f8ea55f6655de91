"""Mixture of experts (Shazeer et al. 2017): who computes a token, and what they compute.

A route is ``(rows, 2 * used)``: the numbers of the chosen experts, then their weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyllama.graph.ops.base import Array, Op, Rows, StepState, Tensor, Weight, require
from pyllama.graph.ops.elements import GATES
from pyllama.kernels.routing import SMALLEST_SUM


@dataclass(frozen=True)
class Route(Op):
    """Chooses ``used`` of the experts of each row by their logits, the lower number among equals.

    ``score``: ``softmax`` or ``sigmoid`` of all logits, or ``softmax of chosen``; ``bias``
    (experts,) is added to the scores where experts are chosen, not to their weights. Weights are
    divided by their sum (no less than ``SMALLEST_SUM``) if ``normalized``, and multiplied by
    ``scale``. Neighbouring experts make ``groups``, of which only ``groups_used`` are chosen from:
    those with the largest sum of their ``group_best`` best scores (DeepSeek-AI 2024).
    """

    experts: int
    used: int
    score: str
    normalized: bool
    scale: float = 1.0
    bias: Weight | None = None
    groups: int = 1
    groups_used: int = 1
    group_best: int = 1

    def output(self, inputs: Sequence[Tensor]) -> tuple[Rows, int]:
        """Rows and width of the result."""
        (logits,) = inputs
        require(logits.width == self.experts, "no logit for each expert")
        require(1 <= self.used <= self.experts, "more experts used than there are")
        require(self.experts % self.groups == 0, "experts do not fill the groups")
        require(1 <= self.groups_used <= self.groups, "more groups used than there are")
        require(1 <= self.group_best <= self.experts // self.groups, "groups are too small")
        return logits.rows, 2 * self.used

    def meaning(self, step: StepState, *inputs: Array) -> Array:
        """The result in NumPy."""
        logits = inputs[0]
        scores = self._scores(logits)
        choice = scores if self.bias is None else scores + step.weight(self.bias)
        if self.groups > 1:
            choice = self._masked(choice)
        chosen = _best(choice, self.used)
        weights = np.take_along_axis(scores, chosen, axis=1)
        if self.score == "softmax of chosen":
            weights = _softmax(weights)
        if self.normalized:
            weights = weights / np.maximum(weights.sum(axis=1, keepdims=True), SMALLEST_SUM)
        return np.concatenate([chosen, weights * self.scale], axis=1).astype(np.float32)

    def _scores(self, logits: Array) -> Array:
        match self.score:
            case "softmax":
                return _softmax(logits)
            case "sigmoid":
                return np.asarray(1 / (1 + np.exp(-logits)), np.float32)
            case _:
                return logits

    def _masked(self, choice: Array) -> Array:
        """Scores, those of other groups than the best being minus infinity."""
        groups = choice.reshape(len(choice), self.groups, -1)
        best = np.sort(groups, axis=2)[:, :, -self.group_best :].sum(axis=2)
        kept = np.zeros(best.shape, bool)
        np.put_along_axis(kept, _best(best, self.groups_used), True, axis=1)
        return np.where(kept[:, :, None], groups, -np.inf).reshape(choice.shape)


@dataclass(frozen=True)
class GatedExperts(Op):
    """``activation(gate @ x) * (up @ x)`` by each expert of each row: (rows, used * n_out).

    Inputs: activations and their route. Weights: (experts, n_out, n_in), biases (experts, n_out).
    """

    gate: Weight
    up: Weight
    activation: str = "silu"
    gate_bias: Weight | None = None
    up_bias: Weight | None = None

    def output(self, inputs: Sequence[Tensor]) -> tuple[Rows, int]:
        """Rows and width of the result."""
        x, route = inputs
        require(self.gate.shape == self.up.shape, "gate and up differ in shape")
        require(self.gate.shape[2] == x.width, "the experts do not take such an input")
        return x.rows, route.width // 2 * self.gate.shape[1]

    def meaning(self, step: StepState, *inputs: Array) -> Array:
        """The result in NumPy."""
        x, route = inputs
        chosen = chosen_experts(route)
        result = np.empty((*chosen.shape, self.gate.shape[1]), np.float32)
        for expert in np.unique(chosen):
            at = np.nonzero(chosen == expert)
            gate, up = (
                x[at[0]] @ step.weight(weight)[expert].T
                + (step.weight(bias)[expert] if bias else 0)
                for weight, bias in ((self.gate, self.gate_bias), (self.up, self.up_bias))
            )
            result[at] = GATES[self.activation](gate, up)
        return result.reshape(len(x), -1)


@dataclass(frozen=True)
class SumExperts(Op):
    """The sum over the experts of a row of ``weight * (down @ x + bias)``, plus a residual.

    Inputs: what ``GatedExperts`` gives, its route, and optionally the residual. ``down``: (experts,
    n_out, n_in), ``bias``: (experts, n_out).
    """

    down: Weight
    bias: Weight | None = None

    def output(self, inputs: Sequence[Tensor]) -> tuple[Rows, int]:
        """Rows and width of the result."""
        x, route, *residual = inputs
        _, n_out, n_in = self.down.shape
        require(x.width == route.width // 2 * n_in, "the experts do not take such an input")
        require(all((r.rows, r.width) == (x.rows, n_out) for r in residual), "odd residual")
        return x.rows, n_out

    def meaning(self, step: StepState, *inputs: Array) -> Array:
        """The result in NumPy."""
        x, route, *residual = inputs
        experts, n_out, n_in = self.down.shape
        chosen = chosen_experts(route)
        used = chosen.shape[1]
        x, weights = x.reshape(len(x), used, n_in), route[:, used:]
        result = residual[0].copy() if residual else np.zeros((len(x), n_out), np.float32)
        for expert in range(experts):
            rows, slots = np.nonzero(chosen == expert)
            out = x[rows, slots] @ step.weight(self.down)[expert].T
            if self.bias is not None:
                out = out + step.weight(self.bias)[expert]
            result[rows] += weights[rows, slots, None] * out
        return result


@dataclass(frozen=True)
class RowGate(Op):
    """``x * sigmoid(gate)``: one gate for a whole row. Inputs: (rows, width) and (rows, 1)."""

    def output(self, inputs: Sequence[Tensor]) -> tuple[Rows, int]:
        """Rows and width of the result."""
        x, gate = inputs
        require((gate.rows, gate.width) == (x.rows, 1), "a gate is one number a row")
        return x.rows, x.width

    def meaning(self, step: StepState, *inputs: Array) -> Array:
        """The result in NumPy."""
        x, gate = inputs
        return np.asarray(x / (1 + np.exp(-np.clip(gate, -80, None))), np.float32)


def _softmax(x: Array) -> Array:
    weights = np.exp(x - x.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


def _best(scores: Array, count: int) -> NDArray[np.int64]:
    """Numbers of the largest scores of each row, largest first, the lower number among equals."""
    return np.argsort(-scores, axis=1, kind="stable")[:, :count]


def chosen_experts(route: Array) -> NDArray[np.int64]:
    """(rows, used) numbers of the experts of a route."""
    return route[:, : route.shape[1] // 2].astype(np.int64)
