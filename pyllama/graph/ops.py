"""The operations of a model's graph, each with its plain NumPy meaning.

Activations are ``(rows, width)`` float32, where the rows are the tokens of a step, or those tokens
whose logits are wanted. An op's ``meaning`` is its definition; kernels are tested against it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyllama.gguf.types import TensorType

Array = NDArray[np.float32]


class Rows(Enum):
    """What the rows of an activation stand for."""

    TOKENS = "n_tokens"
    OUTPUTS = "n_outputs"


@dataclass(frozen=True)
class Weight:
    """A tensor of the file: its name, its shape (outermost first) and how it is stored."""

    name: str
    shape: tuple[int, ...]
    type: TensorType


@dataclass(frozen=True, eq=False)
class Tensor:
    """An activation: the output of one node."""

    name: str
    rows: Rows
    width: int


class StepState(ABC):
    """What ops may ask about the step that is computed: used by their NumPy meanings."""

    tokens: NDArray[np.int32]
    positions: NDArray[np.int32]
    sequences: NDArray[np.int32]
    outputs: NDArray[np.int32]

    @abstractmethod
    def weight(self, weight: Weight) -> Array:
        """The dequantized weights."""

    @abstractmethod
    def rope_table(self, name: str) -> Array:
        """(positions, 2, pairs) cosines and sines."""

    @abstractmethod
    def remember(self, layer: int, keys: Array, values: Array) -> None:
        """Store (tokens, heads, head_dim) keys and values at the tokens' positions."""

    @abstractmethod
    def recall(self, layer: int, sequence: int) -> tuple[Array, Array]:
        """(positions, heads, head_dim) keys and values of a sequence."""


class Op(ABC):
    """An operation: attributes are its fields, inputs come with the node."""

    @property
    def weights(self) -> tuple[Weight, ...]:
        """The weights that the op reads."""
        return tuple(v for v in vars(self).values() if isinstance(v, Weight))

    @abstractmethod
    def output(self, inputs: Sequence[Tensor]) -> tuple[Rows, int]:
        """Rows and width of the result; raises ValueError when the inputs do not fit."""

    @abstractmethod
    def meaning(self, step: StepState, *inputs: Array) -> Array:
        """The result in NumPy."""


@dataclass(frozen=True)
class Embedding(Op):
    """``weight[tokens]``: weight (n_vocab, width)."""

    weight: Weight

    def output(self, inputs: Sequence[Tensor]) -> tuple[Rows, int]:
        """Rows and width of the result."""
        _require(not inputs, "an embedding has no inputs")
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
        _require(x.width == self.groups * self.weight.shape[0], "the norm's width differs")
        return x.rows, x.width

    def meaning(self, step: StepState, *inputs: Array) -> Array:
        """The result in NumPy."""
        x = inputs[0].reshape(len(inputs[0]), self.groups, -1)
        mean = np.mean(x * x, axis=-1, keepdims=True, dtype=np.float32)
        normed = x / np.sqrt(mean + np.float32(self.eps)) * step.weight(self.weight)
        return normed.reshape(inputs[0].shape).astype(np.float32)


@dataclass(frozen=True)
class Linear(Op):
    """``x @ weight.T + bias + residual``; weight: (n_out, n_in); bias and residual are optional."""

    weight: Weight
    bias: Weight | None = None

    def output(self, inputs: Sequence[Tensor]) -> tuple[Rows, int]:
        """Rows and width of the result."""
        x, *residual = inputs
        n_out, n_in = self.weight.shape
        _require(x.width == n_in, f"{self.weight.name} takes {n_in} inputs, not {x.width}")
        _require(len(residual) <= 1, "at most one residual")
        _require(all(r.width == n_out and r.rows == x.rows for r in residual), "odd residual")
        return x.rows, n_out

    def meaning(self, step: StepState, *inputs: Array) -> Array:
        """The result in NumPy."""
        x, *residual = inputs
        result = x @ step.weight(self.weight).T
        if self.bias is not None:
            result = result + step.weight(self.bias)
        return result + residual[0] if residual else result


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
        _require(x.width == self.heads * self.head_dim, "heads do not fill the row")
        _require(2 * self.pairs <= self.head_dim, "more pairs than the head has")
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
        _require(q.width == self.heads * self.head_dim, "queries do not fit the heads")
        _require(k.width == v.width == self.kv_heads * self.head_dim, "keys do not fit the heads")
        _require(self.heads % self.kv_heads == 0, "heads are no multiple of the key heads")
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


@dataclass(frozen=True)
class SwiGLU(Op):
    """``gate * sigmoid(gate) * up`` (Shazeer 2020)."""

    def output(self, inputs: Sequence[Tensor]) -> tuple[Rows, int]:
        """Rows and width of the result."""
        return _same(inputs)

    def meaning(self, step: StepState, *inputs: Array) -> Array:
        """The result in NumPy."""
        gate, up = inputs
        result: Array = gate / (1 + np.exp(-np.clip(gate, -80, None))) * up
        return result


@dataclass(frozen=True)
class GatedLinear(Op):
    """``silu(x @ gate.T) * (x @ up.T)``: what ``SwiGLU`` of two linear ops of one input becomes."""

    gate: Weight
    up: Weight

    def output(self, inputs: Sequence[Tensor]) -> tuple[Rows, int]:
        """Rows and width of the result."""
        (x,) = inputs
        _require(self.gate.shape == self.up.shape, "gate and up differ in shape")
        _require(self.gate.shape[1] == x.width, "the gate does not take such an input")
        return x.rows, self.gate.shape[0]

    def meaning(self, step: StepState, *inputs: Array) -> Array:
        """The result in NumPy."""
        gate, up = (inputs[0] @ step.weight(weight).T for weight in (self.gate, self.up))
        return SwiGLU().meaning(step, gate, up)


@dataclass(frozen=True)
class Add(Op):
    """The sum of two activations."""

    def output(self, inputs: Sequence[Tensor]) -> tuple[Rows, int]:
        """Rows and width of the result."""
        return _same(inputs)

    def meaning(self, step: StepState, *inputs: Array) -> Array:
        """The result in NumPy."""
        return inputs[0] + inputs[1]


@dataclass(frozen=True)
class SelectRows(Op):
    """Keeps the rows of those tokens whose logits are wanted."""

    def output(self, inputs: Sequence[Tensor]) -> tuple[Rows, int]:
        """Rows and width of the result."""
        (x,) = inputs
        _require(x.rows is Rows.TOKENS, "rows are selected once")
        return Rows.OUTPUTS, x.width

    def meaning(self, step: StepState, *inputs: Array) -> Array:
        """The result in NumPy."""
        return inputs[0][step.outputs]


def _same(inputs: Sequence[Tensor]) -> tuple[Rows, int]:
    a, b = inputs
    _require((a.rows, a.width) == (b.rows, b.width), "operands of different shapes")
    return a.rows, a.width


def _require(condition: bool, problem: str) -> None:
    if not condition:
        raise ValueError(problem)


def describe(op: Op) -> dict[str, Any]:
    """The attributes of an op, weights by name: for people and for JSON."""
    return {
        key: value.name if isinstance(value, Weight) else value
        for key, value in vars(op).items()
        if value is not None
    }
