"""An importance matrix of a small model, collected by the NumPy meanings of its ops: slow."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pyllama.graph.graph import Graph
from pyllama.graph.interpreter import Interpreter
from pyllama.graph.ops import Array, GatedLinear, Linear, Op, Rows, StepState, Tensor
from pyllama.model import Model
from pyllama.models.rope_table import rope_table
from pyllama.quantize import Importance


@dataclass
class Squares:
    """The squares of what meets the columns of tensors, summed up by tensor."""

    sums: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, x: Array) -> None:
        """x: (rows, columns)."""
        self.sums[name] = self.sums.get(name, 0) + np.square(x, dtype=np.float64).sum(axis=0)
        self.rows[name] = self.rows.get(name, 0) + len(x)


@dataclass(frozen=True, eq=False)
class _Observed(Op):
    """A matrix product whose inputs are remembered."""

    op: Linear | GatedLinear
    squares: Squares

    def output(self, inputs: Sequence[Tensor]) -> tuple[Rows, int]:
        """As that of the product."""
        return self.op.output(inputs)

    def meaning(self, step: StepState, *inputs: Array) -> Array:
        """The product's."""
        op = self.op
        for weight in (op.weight,) if isinstance(op, Linear) else (op.gate, op.up):
            self.squares.add(weight.name, inputs[0])
        return op.meaning(step, *inputs)


def collect_importance(model: Model, windows: Iterable[Sequence[int]]) -> Importance:
    """Mean squares over windows of tokens, each read from its beginning."""
    squares = Squares()
    nodes = tuple(
        replace(node, op=_Observed(node.op, squares))
        if isinstance(node.op, Linear | GatedLinear)
        else node
        for node in model.graph.nodes
    )
    tensors = {w.name: model.dequantized(w.name) for w in model.graph.weights()}
    interpreter: Interpreter | None = None
    count = 0
    for window in windows:
        if interpreter is None:
            config, factors = model.rope("rope", len(window))
            tables = {"rope": rope_table(config, range(len(window)), factors)}
            graph = Graph(nodes, model.graph.result)
            interpreter = Interpreter(graph, tensors.__getitem__, tables)
        interpreter.evaluate(window)
        count += 1
    entries = {
        name: (total / squares.rows[name]).astype(np.float32)
        for name, total in squares.sums.items()
    }
    return Importance(Path("collected.gguf"), entries, ("standard library",), count)
