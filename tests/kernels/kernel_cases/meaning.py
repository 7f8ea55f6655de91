"""The step that NumPy meanings of ops see in these tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyllama.gguf.types import TensorType
from pyllama.graph.ops import Array, StepState, Weight
from pyllama.quants import FORMATS, KVALUES_IQ4NL, dequantize, quantize

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
    floats = {"f32": _f32, "f16": _f16, "bf16": _bf16}
    return floats.get(type) or (lambda x: _decoded(type, x))


def _f32(x: NDArray[np.float32]) -> NDArray[np.float32]:
    return x


def _f16(x: NDArray[np.float32]) -> NDArray[np.float32]:
    return x.astype(np.float16).astype(np.float32)


def _bf16(x: NDArray[np.float32]) -> NDArray[np.float32]:
    bits = x.view(np.uint32)
    return (bits + 0x7FFF + (bits >> 16 & 1) & 0xFFFF0000).view(np.float32)


def _decoded(type: str, x: NDArray[np.float32]) -> NDArray[np.float32]:
    blocks = blocks_of(type, x)
    return dequantize(blocks.view(np.uint8).reshape(-1), TensorType[type.upper()], x.shape)


def blocks_of(type: str, x: NDArray[np.float32]) -> NDArray[Any]:
    """(..., head_dim) -> (..., blocks) as they stand in files."""
    format = TensorType[type.upper()]
    dtype = FORMATS[format].dtype
    data = _one_try_iq4_nl(x) if type == "iq4_nl" else quantize(x, format)
    return data.view(dtype).reshape(*x.shape[:-1], x.shape[-1] // 32)


def _one_try_iq4_nl(x: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The value of largest magnitude becomes the table's first; the scale fits all best."""
    x = x.reshape(-1, 32)
    peak = np.take_along_axis(x, np.abs(x).argmax(axis=1)[:, None], axis=1)
    inverse = np.divide(np.float32(-127), peak, out=np.zeros_like(peak), where=peak != 0)
    table = KVALUES_IQ4NL.astype(np.float32)
    codes = np.searchsorted((table[1:] + table[:-1]) / 2, x * inverse, side="right")
    along, power = np.zeros(len(x), np.float32), np.zeros(len(x), np.float32)
    for column, value in zip(x.T, table[codes].T, strict=True):
        weighted = column * column * value
        along, power = along + weighted * column, power + weighted * value
    blocks = np.zeros(len(x), FORMATS[TensorType.IQ4_NL].dtype)
    blocks["d"] = np.divide(along, power, out=np.zeros_like(along), where=power > 0)
    blocks["qs"] = codes[:, :16] | codes[:, 16:] << 4
    return blocks.view(np.uint8)
