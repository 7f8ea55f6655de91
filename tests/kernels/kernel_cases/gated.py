"""Runs of the kernels that multiply with two matrices and gate one result with the other."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernel_cases.case import Case, Launch, assert_close
from kernel_cases.matmuls import Size, as_quantized, is_quantized
from kernel_cases.memory import Memory
from kernel_cases.weights import Weights
from pyllama.gguf.types import TensorType
from pyllama.graph.ops.elements import GATES
from pyllama.kernels import int8_matmul, matmul, matvec, tiles
from pyllama.kernels.activation import quantize, record_bytes
from pyllama.kernels.amx import BLOCK, DEPTH, EDGE
from pyllama.kernels.isa.base import ISA
from pyllama.kernels.isa.meaning import bf16_to_f32, f32_to_bf16

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


def gated_matvec_case(type: TensorType, size: Size, columns: int) -> Case:
    """A few tokens."""
    padded = -(-size.tokens // columns) * columns
    run = _Gated(type, size, padded)
    out = run.memory.empty((padded, size.n_rows), np.float32)
    launches = []
    x, record = run.x, size.width * 4
    if is_quantized(type):
        record = record_bytes(size.width)
        x = run.memory.empty((padded, record), np.uint8)
        arguments = {"x": run.x, "out": x, "width": size.width, "record": record}
        launches.append(Launch(quantize(), size.tokens, arguments))
    kernel = matvec.gated_matvec(type=type, columns=columns, **STATIC)
    arguments = {"x": x, "record": record, "task_rows": size.task_rows, "out": out}
    tasks = -(-size.n_rows // size.task_rows)
    launches.append(Launch(kernel, tasks, run.arguments | arguments, run.step()))

    def compare() -> None:
        seen = run.x[: size.tokens]
        run.compare(
            out[: size.tokens], as_quantized(seen) if is_quantized(type) else seen, ROUNDING
        )

    return Case(run.memory, launches, compare)


def gated_matmul_case(isa: ISA, type: TensorType, size: Size) -> Case:
    """A batch, in float32."""
    tile = matmul.tile_tokens(isa)
    padded = -(-size.tokens // tile) * tile
    run = _Gated(type, size, padded)
    packed = run.memory.empty(padded * size.width, np.float32)
    out = run.memory.empty((size.tokens, size.n_rows), np.float32)
    scratch = run.memory.empty(matmul.scratch_bytes(padded, matrices=2), np.uint8)
    launches = (
        Launch(
            matmul.pack(tokens=tile),
            padded // tile,
            {"x": run.x, "out": packed, "width": size.width},
        ),
        Launch(
            matmul.gated_matmul(type=type, **STATIC),
            -(-size.n_rows // matmul.PANEL_ROWS),
            run.arguments | {"x": packed, "out": out, "stride": size.n_rows},
            run.step() | {"scratch": scratch, "scratch_stride": scratch.size},
        ),
    )
    return Case(run.memory, launches, lambda: run.compare(out, run.x, ROUNDING))


def gated_int8_case(isa: ISA, type: TensorType, size: Size) -> Case:
    """A batch, in integers."""
    tile = int8_matmul.tile_tokens(isa)
    padded = -(-size.tokens // tile) * tile
    run = _Gated(type, size, padded)
    record = record_bytes(size.width)
    records = run.memory.empty((padded, record), np.uint8)
    packed = run.memory.empty(padded * record, np.uint8)
    out = run.memory.empty((size.tokens, size.n_rows), np.float32)
    scratch = run.memory.empty(int8_matmul.scratch_bytes(padded, matrices=2), np.uint8)
    words = record // 4
    arguments = {"x": run.x, "out": records, "width": size.width, "record": record}
    packing = {"x": records, "out": packed, "width": words}
    launches = (
        Launch(quantize(), size.tokens, arguments),
        Launch(matmul.pack(tokens=tile), padded // tile, packing),
        Launch(
            int8_matmul.gated_int8_matmul(type=type, **STATIC),
            -(-size.n_rows // int8_matmul.PANEL_ROWS),
            run.arguments | {"x": packed, "words": words, "out": out, "stride": size.n_rows},
            run.step() | {"scratch": scratch, "scratch_stride": scratch.size},
        ),
    )
    x = run.x[: size.tokens]
    return Case(run.memory, launches, lambda: run.compare(out, as_quantized(x), ROUNDING))


def gated_tiles_case(type: TensorType, size: Size) -> Case:
    """A batch on tiles; what comes out is packed for the next matmul."""
    padded, columns = (-(-size.tokens // n) * n for n in (EDGE, BLOCK))
    run = _Gated(type, size, padded)
    packed = run.memory.empty(tiles.packed_bytes(columns, size.width), np.uint8)
    out = run.memory.empty(tiles.packed_bytes(columns, size.n_rows) // 2, np.uint16)
    scratch = run.memory.empty(tiles.scratch_bytes(size.task_rows, columns, matrices=2), np.uint8)
    launches = (
        Launch(
            tiles.pack_tiles(),
            padded // EDGE,
            {"x": run.x, "out": packed, "width": size.width},
        ),
        Launch(
            tiles.gated_tile_matmul(type=type, **STATIC),
            -(-size.n_rows // size.task_rows),
            run.arguments | {"x": packed, "out": out, "task_rows": size.task_rows},
            run.step() | {"scratch": scratch, "scratch_stride": scratch.size},
        ),
    )

    def compare() -> None:
        # [tile of tokens][n / 32][16 pairs][16 tokens][2] -> (tokens, n_rows)
        tiled = bf16_to_f32(out).reshape(-1, size.n_rows // DEPTH, DEPTH // 2, EDGE, 2)
        values = tiled.transpose(0, 3, 1, 2, 4).reshape(-1, size.n_rows)
        run.compare(values[: size.tokens], bf16_to_f32(f32_to_bf16(run.x)), 2**-7)

    return Case(run.memory, launches, compare)
