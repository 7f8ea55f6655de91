"""What an operation is, and what it works on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
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
    """A tensor of the file, or some neighbouring rows of it, and how it is stored.

    shape: outermost dimension first; ``first_row``: where the rows begin in the tensor;
    ``is_exact``: whether float32 weights stay float32 where others are rounded to tiles.
    """

    name: str
    shape: tuple[int, ...]
    type: TensorType
    first_row: int = 0
    is_exact: bool = True

    def part(self, first: int, count: int) -> Weight:
        """Some of its rows, or of its elements where it has one dimension."""
        return replace(self, shape=(count, *self.shape[1:]), first_row=self.first_row + first)


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
    targets: NDArray[np.int32]

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

    @abstractmethod
    def tally(self, name: str, sums: NDArray[np.float64], counts: NDArray[np.float64]) -> None:
        """Add (groups, columns) sums, and how many rows of each group they are of, to a tally."""


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


def require(condition: bool, problem: str) -> None:
    """Raises ValueError, for an op whose inputs do not fit."""
    if not condition:
        raise ValueError(problem)


def same_shape(inputs: Sequence[Tensor]) -> tuple[Rows, int]:
    """Rows and width of two inputs that must agree."""
    a, b = inputs
    require((a.rows, a.width) == (b.rows, b.width), "operands of different shapes")
    return a.rows, a.width


def describe(op: Op) -> dict[str, Any]:
    """The attributes of an op, weights by name: for people and for JSON."""
    return {
        key: value.name if isinstance(value, Weight) else value
        for key, value in vars(op).items()
        if value is not None
    }
