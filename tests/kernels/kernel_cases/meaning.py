"""The step that NumPy meanings of ops see in these tests."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyllama.gguf.types import TensorType
from pyllama.graph.ops import Array, StepState, Weight

VECTOR = "weight"
BIAS = "bias"
TABLE = "table"


def vector(*shape: int, name: str = VECTOR) -> Weight:
    """A weight of an op."""
    return Weight(name, shape, TensorType.F32)


class Step(StepState):
    """A step with some weights, one rope table, and one layer of memory."""

    def __init__(
        self,
        positions: ArrayLike = (),
        sequences: ArrayLike = (),
        outputs: ArrayLike = (),
        weight: Array | None = None,
        table: Array | None = None,
        store: Callable[[Array, str], Array] = lambda values, _side: values,
        bias: Array | None = None,
    ) -> None:
        """``store(values, "keys" | "values")``: what is left of numbers when they were stored."""
        self.positions = np.asarray(positions, np.int32)
        self.sequences = np.asarray(sequences, np.int32)
        self.outputs = np.asarray(outputs, np.int32)
        self._weights, self._table, self._store = {VECTOR: weight, BIAS: bias}, table, store
        self._memory: dict[tuple[int, int], dict[int, tuple[Array, Array]]] = {}
        self.tallies: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}

    def weight(self, weight: Weight) -> Array:
        """A weight."""
        values = self._weights[weight.name]
        assert values is not None
        return values

    def rope_table(self, name: str) -> Array:
        """The table."""
        assert self._table is not None
        assert name == TABLE
        return self._table

    def remember(self, layer: int, keys: Array, values: Array) -> None:
        """Store keys and values, rounded."""
        stored = self._store(keys, "keys"), self._store(values, "values")
        for position, sequence, key, value in zip(
            self.positions, self.sequences, *stored, strict=True
        ):
            cells = self._memory.setdefault((layer, int(sequence)), {})
            cells[int(position)] = key, value

    def recall(self, layer: int, sequence: int) -> tuple[Array, Array]:
        """All keys and values of a sequence, whose positions have no gaps."""
        cells = self._memory[layer, sequence]
        ordered = [cells[i] for i in range(len(cells))]
        return np.stack([k for k, _ in ordered]), np.stack([v for _, v in ordered])

    def tally(self, name: str, sums: NDArray[np.float64], counts: NDArray[np.float64]) -> None:
        """The last sums and counts."""
        self.tallies[name] = sums, counts


def rounded(type: str) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """What a cache type makes of numbers (..., head_dim)."""
    return {"f32": _f32, "f16": _f16, "bf16": _bf16, "q8_0": _q8_0}[type]


def _f32(x: NDArray[np.float32]) -> NDArray[np.float32]:
    return x


def _f16(x: NDArray[np.float32]) -> NDArray[np.float32]:
    return x.astype(np.float16).astype(np.float32)


def _bf16(x: NDArray[np.float32]) -> NDArray[np.float32]:
    bits = x.view(np.uint32)
    return (bits + 0x7FFF + (bits >> 16 & 1) & 0xFFFF0000).view(np.float32)


def _q8_0(x: NDArray[np.float32]) -> NDArray[np.float32]:
    q, d = quantized(x)
    return (q * d.astype(np.float32)[..., None]).reshape(x.shape)


def quantized(x: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float16]]:
    """(..., head_dim) -> (..., groups, 32) i8 and their scales."""
    groups = x.reshape(*x.shape[:-1], x.shape[-1] // 32, 32)
    largest = np.abs(groups).max(axis=-1)
    scale = np.divide(np.float32(127), largest, out=np.zeros_like(largest), where=largest > 0)
    q = np.rint(groups * scale[..., None]).astype(np.int8)
    return q, (largest * np.float32(1 / 127)).astype(np.float16)
