"""Attention over the cache, and the rotation of positions before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pyllama.graph.ops.base import Array, Op, Rows, StepState, Tensor, require


@dataclass(frozen=True)
class Rope(Op):
    """Turns pairs of each head's first elements by the angles of a table (Su et al. 2021)."""

    table: str
    style: str  # "interleaved": pairs (2i, 2i + 1); "halves": pairs (i, i + pairs)
    heads: int
    head_dim: int
    pairs: int

    def output(self, inputs: Sequence[Tensor]) -> tuple[Rows, int]:
        """Rows and width of the result."""
        (x,) = inputs
        require(x.width == self.heads * self.head_dim, "heads do not fill the row")
        require(2 * self.pairs <= self.head_dim, "more pairs than the head has")
        return x.rows, x.width

    def meaning(self, step: StepState, *inputs: Array) -> Array:
        """The result in NumPy."""
        x = inputs[0].reshape(-1, self.heads, self.head_dim).copy()
        cos, sin = np.moveaxis(step.rope_table(self.table)[step.positions], 1, 0)[:, :, None]
        n = self.pairs
        halves = (slice(0, n), slice(n, 2 * n))
        pairs = (slice(0, 2 * n, 2), slice(1, 2 * n, 2))
        one, two = halves if self.style == "halves" else pairs
        first, second = x[..., one].copy(), x[..., two].copy()
        x[..., one] = first * cos - second * sin
        x[..., two] = second * cos + first * sin
        return x.reshape(inputs[0].shape)


@dataclass(frozen=True)
class Attention(Op):
    """Stores keys and values of the new tokens, then attends to all that each token may see.

    Inputs: queries (heads * head_dim), keys and values (kv_heads * head_dim each). A token sees
    ``window`` positions up to its own; 0 means all.
    """

    layer: int
    heads: int
    kv_heads: int
    head_dim: int
    scale: float
    window: int = 0

    def output(self, inputs: Sequence[Tensor]) -> tuple[Rows, int]:
        """Rows and width of the result."""
        q, k, v = inputs
        require(q.width == self.heads * self.head_dim, "queries do not fit the heads")
        require(k.width == v.width == self.kv_heads * self.head_dim, "keys do not fit the heads")
        require(self.heads % self.kv_heads == 0, "heads are no multiple of the key heads")
        return q.rows, q.width

    def meaning(self, step: StepState, *inputs: Array) -> Array:
        """The result in NumPy."""
        q, k, v = (x.reshape(len(x), -1, self.head_dim) for x in inputs)
        step.remember(self.layer, k, v)
        repeat = self.heads // self.kv_heads
        result = np.empty_like(q)
        for t, (position, sequence) in enumerate(zip(step.positions, step.sequences, strict=True)):
            keys, values = step.recall(self.layer, int(sequence))
            oldest = max(0, position + 1 - self.window) if self.window else 0
            seen = slice(oldest, position + 1)
            keys, values = (np.repeat(m[seen], repeat, axis=1) for m in (keys, values))
            scores = np.einsum("hd,chd->hc", q[t], keys) * np.float32(self.scale)
            weights = np.exp(scores - scores.max(axis=1, keepdims=True))
            weights /= weights.sum(axis=1, keepdims=True)
            result[t] = np.einsum("hc,chd->hd", weights, values)
        return result.reshape(inputs[0].shape)
