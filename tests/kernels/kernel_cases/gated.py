"""Runs of the kernels that multiply with two matrices and gate one result with the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernel_cases.case import Case, Launch, assert_close
from kernel_cases.matmuls import (
    Packed,
    Size,
    as_quantized,
    is_quantized,
    order_for,
    rows_to_pack,
)
from kernel_cases.memory import Memory
from kernel_cases.weights import Weights
from pyllama.gguf.types import TensorType
from pyllama.graph.ops.elements import GATES
from pyllama.kernels.activation import quantize, record_bytes
from pyllama.kernels.amx import DEPTH, EDGE
from pyllama.kernels.isa.base import ISA
from pyllama.kernels.isa.meaning import bf16_to_f32
from pyllama.kernels.matmul import gated_matmul
from pyllama.kernels.matvec import gated_matvec
from pyllama.kernels.panels import PANELS, TILES
from pyllama.kernels.tile_panels import packed_bytes

ROUNDING = 2e-5
ACTIVATION = "gelu"
STATIC = {"rows": "n_tokens", "activation": ACTIVATION}


class _Gated:
    """Two matrices, activations, and what gelu(gate * x) * (up * x) should be."""

    def __init__(self, type: TensorType, size: Size, padded: int) -> None:
        self.size, self.type = size, type
        rng = np.random.default_rng([type, size.n_rows, size.width])
        self.memory = Memory()
        shape = (size.n_rows, size.width)
        self.gate, self.up = (Weights(Memory(), type, shape, rng) for _ in range(2))
        self.x = self.memory.empty((padded, size.width), np.float32)
        self.x[: size.tokens] = rng.normal(0, 0.3, (size.tokens, size.width))
        self.arguments: dict[str, Any] = {
            "gate": self.memory.copy(self.gate.data),
            "up": self.memory.copy(self.up.data),
            "row_bytes": self.gate.row_bytes,
            "n_rows": size.n_rows,
            "width": size.width,
        }

    def compare(self, got: NDArray[np.float32], x: NDArray[np.float32], tolerance: float) -> None:
        """got: (tokens, n_rows); x: the activations as the kernel reads them."""
        x = x[: self.size.tokens].astype(np.float64)
        gate, up = (x @ weights.values.T for weights in (self.gate, self.up))
        expected = GATES[ACTIVATION](gate, up)
        sizes = [np.abs(x) @ np.abs(weights.values).T for weights in (self.gate, self.up)]
        assert_close(got, expected, tolerance * (sizes[0] + 1) * (sizes[1] + 1))

    def step(self) -> dict[str, int]:
        """Row counts of the step."""
        return {"n_tokens": self.size.tokens}


def gated_matvec_case(isa: ISA, type: TensorType, size: Size, columns: int) -> Case:
    """A few tokens."""
    padded = -(-size.tokens // columns) * columns
    run = _Gated(type, size, padded)
    out = run.memory.empty((padded, size.n_rows), np.float32)
    launches = []
    x, record, order = run.x, size.width * 4, order_for(isa, type)
    if is_quantized(type):
        record = record_bytes(size.width, order)
        x = run.memory.empty((padded, record), np.uint8)
        arguments = {"x": run.x, "out": x, "width": size.width, "record": record}
        launches.append(Launch(quantize(order=order), size.tokens, arguments))
    kernel = gated_matvec(type=type, columns=columns, **STATIC)
    arguments = {"x": x, "record": record, "task_rows": size.task_rows, "out": out}
    tasks = -(-size.n_rows // size.task_rows)
    launches.append(Launch(kernel, tasks, run.arguments | arguments, run.step()))

    def compare() -> None:
        seen = run.x[: size.tokens]
        if is_quantized(type):
            seen = as_quantized(seen, order)
        run.compare(out[: size.tokens], seen, ROUNDING)

    return Case(run.memory, launches, compare)


def gated_matmul_case(isa: ISA, type: TensorType, size: Size, panels: str) -> Case:
    """A batch."""
    run, packed, launches = _batch(isa, type, size, panels)
    out = run.memory.empty((size.tokens, size.n_rows), np.float32)
    launch = launches(out, is_packed=False)
    tolerance = 2**-7 if panels == TILES.name else ROUNDING
    return Case(run.memory, launch, lambda: run.compare(out, packed.seen(size.tokens), tolerance))


def gated_packed_case(isa: ISA, type: TensorType, size: Size) -> Case:
    """A batch on tiles; what comes out is packed for the next matmul."""
    run, packed, launches = _batch(isa, type, size, TILES.name)
    out = run.memory.empty(packed_bytes(packed.padded, size.n_rows) // 2, np.uint16)

    def compare() -> None:
        # [tile of tokens][n / 32][16 pairs][16 tokens][2] -> (tokens, n_rows)
        tiled = bf16_to_f32(out).reshape(-1, size.n_rows // DEPTH, DEPTH // 2, EDGE, 2)
        values = tiled.transpose(0, 3, 1, 2, 4).reshape(-1, size.n_rows)
        run.compare(values[: size.tokens], packed.seen(size.tokens), 2**-7)

    return Case(run.memory, launches(out, is_packed=True), compare)


def _batch(
    isa: ISA, type: TensorType, size: Size, panels: str
) -> tuple[_Gated, Packed, Callable[..., tuple[Launch, ...]]]:
    """Matrices, packed activations, and what launches the kernel with an output."""
    run = _Gated(type, size, rows_to_pack(isa, panels, size.tokens))
    packed = Packed(isa, panels, run.memory, run.x)
    task_rows = PANELS[panels].task_rows or size.task_rows

    def launches(out: NDArray[Any], is_packed: bool) -> tuple[Launch, ...]:
        kernel = gated_matmul(type=type, panels=panels, packed=is_packed, **STATIC)
        arguments = run.arguments | packed.arguments(task_rows) | {"out": out}
        step = run.step() | packed.scratch(task_rows, matrices=2)
        return (*packed.launches, Launch(kernel, -(-size.n_rows // task_rows), arguments, step))

    return run, packed, launches
