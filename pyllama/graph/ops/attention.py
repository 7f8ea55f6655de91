"""Attention over the cache, and the rotation of positions before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pyllama.graph.ops.base import Array, Op, Rows, StepState, Tensor, Weight, require


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

    Inputs: queries (heads * head_dim), keys and values (kv_heads * head_dim each). With ``latent``
    there are no values: the first so many elements of every key are, and the result is that wide. A
    token sees ``window`` positions up to its own; 0 means all. Scores are the products times
    ``scale``, then ``softcap * tanh(score / softcap)`` unless it is 0 (Bello et al. 2016). With
    ``alibi`` a position costs its distance times the head's slope (see ``alibi_slopes``).
    ``sinks``: (heads,) scores that take part in the softmax and stand for no position (Xiao et al.
    2023).
    """

    layer: int
    heads: int
    kv_heads: int
    head_dim: int
    scale: float
    window: int = 0
    softcap: float = 0.0
    alibi: float = 0.0
    sinks: Weight | None = None
    latent: int = 0

    @property
    def value_dim(self) -> int:
        """Elements of a head's values."""
        return self.latent or self.head_dim

    def output(self, inputs: Sequence[Tensor]) -> tuple[Rows, int]:
        """Rows and width of the result."""
        q, *cached = inputs
        width = self.kv_heads * self.head_dim
        require(q.width == self.heads * self.head_dim, "queries do not fit the heads")
        require(len(cached) == (1 if self.latent else 2), "values are given, and part of the keys")
        require(all(x.width == width for x in cached), "keys do not fit the heads")
        require(self.heads % self.kv_heads == 0, "heads are no multiple of the key heads")
        require(self.latent <= self.head_dim, "the latent is longer than the keys")
        return q.rows, self.heads * self.value_dim

    def meaning(self, step: StepState, *inputs: Array) -> Array:
        """The result in NumPy."""
        given = (inputs[0], inputs[1], inputs[-1])  # latents are keys and values
        q, k, v = (x.reshape(len(x), -1, self.head_dim) for x in given)
        step.remember(self.layer, k, v)
        repeat = self.heads // self.kv_heads
        result = np.empty((*q.shape[:2], self.value_dim), q.dtype)
        for t, (position, sequence) in enumerate(zip(step.positions, step.sequences, strict=True)):
            keys, values = step.recall(self.layer, int(sequence))
            oldest = max(0, position + 1 - self.window) if self.window else 0
            seen = slice(oldest, position + 1)
            keys, values = (np.repeat(m[seen], repeat, axis=1) for m in (keys, values))
            values = values[..., : self.value_dim]
            scores = np.einsum("hd,chd->hc", q[t], keys) * np.float32(self.scale)
            if self.softcap:
                scores = np.float32(self.softcap) * np.tanh(scores / np.float32(self.softcap))
            if self.alibi:
                distance = position - np.arange(oldest, position + 1, dtype=np.float32)
                scores = scores - np.outer(alibi_slopes(self.heads, self.alibi), distance)
            if self.sinks is not None:
                scores = np.column_stack([scores, step.weight(self.sinks)])
            weights = np.exp(scores - scores.max(axis=1, keepdims=True))
            weights /= weights.sum(axis=1, keepdims=True)
            weights = weights[:, : len(keys)]
            result[t] = np.einsum("hc,chd->hd", weights, values)
        return result.reshape(len(q), -1)


def alibi_slopes(heads: int, largest: float) -> Array:
    """(heads,) costs of a step back: a geometric series that ends at ``2**-largest``.

    Press et al. 2022.
    Where ``heads`` is no power of two, the heads beyond the largest one below it take every other
    element of the series for twice as many.
    """
    whole = 1 << (heads.bit_length() - 1)
    first = 2.0 ** (-largest / whole * np.arange(1, whole + 1))
    rest = 2.0 ** (-largest / (2 * whole) * np.arange(1, 2 * (heads - whole), 2))
    return np.concatenate([first, rest]).astype(np.float32)
