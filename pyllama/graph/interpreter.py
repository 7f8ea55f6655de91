"""Runs a graph by the NumPy meanings of its ops: slow, plain, the definition of right."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pyllama.graph.graph import Graph
from pyllama.graph.ops import Array, StepState, Tensor, Weight


class Interpreter(StepState):
    """Computes logits step by step and remembers keys and values of every sequence."""

    def __init__(
        self, graph: Graph, weights: Callable[[str], Array], tables: Mapping[str, Array]
    ) -> None:
        """``weights``: dequantized tensors by name; ``tables``: rope tables by name."""
        self._graph, self._weights, self._tables = graph, weights, tables
        self._memory: dict[tuple[int, int], tuple[list[Array], list[Array]]] = {}
        self.tallies: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}

    def evaluate(self, tokens: Sequence[int], first: int = 0, sequence: int = 0) -> Array:
        """Logits (tokens, n_vocab) of tokens at the positions from ``first`` on."""
        n = len(tokens)
        self.tokens = np.asarray(tokens, np.int32)
        self.positions = np.arange(first, first + n, dtype=np.int32)
        self.sequences = np.full(n, sequence, np.int32)
        self.outputs = np.arange(n, dtype=np.int32)
        values: dict[Tensor, Array] = {}
        for node in self._graph.nodes:
            inputs = (values[tensor] for tensor in node.inputs)
            values[node.output] = node.op.meaning(self, *inputs)
        return values[self._graph.result]

    def weight(self, weight: Weight) -> Array:
        """The dequantized weights."""
        whole = self._weights(weight.name).reshape(-1, *weight.shape[1:])
        return whole[weight.first_row : weight.first_row + weight.shape[0]]

    def rope_table(self, name: str) -> Array:
        """(positions, 2, pairs) cosines and sines."""
        return self._tables[name]

    def remember(self, layer: int, keys: Array, values: Array) -> None:
        """Store keys and values at the tokens' positions, in place of what stood there."""
        for t, (position, sequence) in enumerate(zip(self.positions, self.sequences, strict=True)):
            stored = self._memory.setdefault((layer, int(sequence)), ([], []))
            for memory, new in zip(stored, (keys, values), strict=True):
                memory[position:] = [new[t]]

    def recall(self, layer: int, sequence: int) -> tuple[Array, Array]:
        """(positions, heads, head_dim) keys and values of a sequence."""
        keys, values = self._memory[layer, sequence]
        return np.stack(keys), np.stack(values)

    def tally(self, name: str, sums: NDArray[np.float64], counts: NDArray[np.float64]) -> None:
        """Add sums and counts to those in ``tallies``."""
        old_sums, old_counts = self.tallies.get(name, (0.0, 0.0))
        self.tallies[name] = old_sums + sums, old_counts + counts
