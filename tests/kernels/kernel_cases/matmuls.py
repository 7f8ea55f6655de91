"""Runs of the kernels that read weights: matvec, matmul, embedding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernel_cases.case import Case, Launch, assert_close
from kernel_cases.memory import Memory
from kernel_cases.weights import Weights
from pyllama.gguf.types import TensorType
from pyllama.graph.ops.elements import FUNCTIONS
from pyllama.kernels.activation import quantize, quantize_meaning, record_bytes
from pyllama.kernels.amx import EDGE
from pyllama.kernels.elementwise import embedding
from pyllama.kernels.formats import FORMATS, QuantizedFormat
from pyllama.kernels.int8_panels import pack_records
from pyllama.kernels.isa.base import ISA
from pyllama.kernels.isa.meaning import bf16_to_f32, f32_to_bf16
from pyllama.kernels.matmul import matmul
from pyllama.kernels.matvec import matvec
from pyllama.kernels.orders import PLAIN, Order
from pyllama.kernels.panels import INTEGERS, PANELS, TILES
from pyllama.kernels.tile_panels import pack_tiles
from pyllama.kernels.transpose import pack

ROUNDING = 5e-7
"""Error of a float32 sum relative to the largest weight times the sum of all activations."""

UNTOUCHED = 12345.0
GAP = 3
"""Columns of the output behind those that a matmul writes."""


@dataclass(frozen=True)
class Size:
    """A matmul: rows and width of the weights, tokens. ``task_rows`` is for those that
    know no number of their own."""

    n_rows: int
    width: int
    tokens: int
    task_rows: int = 16


@dataclass(frozen=True)
class Variant:
    """The static parameters that formats and instruction sets do not know of."""

    epilogue: str = "none"
    rows: str = "n_tokens"

    def step(self, tokens: int) -> dict[str, int]:
        """Row counts of a step in which the other count differs."""
        return {"n_tokens": tokens + 2, "n_outputs": tokens + 2} | {self.rows: tokens}


def is_quantized(type: TensorType) -> bool:
    """Whether a format has blocks."""
    return isinstance(FORMATS[type], QuantizedFormat)


def widths(type: TensorType) -> tuple[int, ...]:
    """Widths around the edges of blocks, of unrolled loops, and of vectors."""
    if not is_quantized(type):
        return (1, 7, 17, 33, 80, 256, 300)
    return tuple(type.block_size * blocks for blocks in (1, 2, 3, 5, 8, 4, 7))


class _Matmul:
    """What matvec and matmul have in common: weights, output and what is added to it."""

    def __init__(
        self,
        size: Size,
        variant: Variant,
        padded: int,
        out_rows: int,
        weights: Weights,
        spoil: float | None,
    ) -> None:
        """``padded``: rows of the activations, of which those behind the tokens are NaN."""
        self.size, self.variant, self.weights = size, variant, weights
        self.judged = size.tokens - (spoil is not None)
        rng = np.random.default_rng(size.n_rows)
        self.memory = Memory()
        self.weights_data = self.memory.copy(weights.data)
        stride = size.n_rows + GAP
        self.out = self.memory.empty((out_rows, stride), np.float32)
        self.out[:] = UNTOUCHED
        self.bias = self.memory.copy(rng.normal(0, 1, size.n_rows), np.float32)
        self.residual = self.memory.copy(rng.normal(0, 1, (out_rows, stride)), np.float32)
        self.x = self.memory.empty((padded, size.width), np.float32)
        self.x[: size.tokens] = rng.normal(0, 1, (size.tokens, size.width))
        if spoil is not None:
            self.x[size.tokens - 1, ::3] = spoil
        self.arguments: dict[str, Any] = {
            "weights": self.weights_data,
            "row_bytes": weights.row_bytes,
            "n_rows": size.n_rows,
            "width": size.width,
            "out": self.out,
            "stride": stride,
            "bias": self.bias,
            "residual": self.residual,
        }

    def compare(self, x: NDArray[np.float32], slack: float = 0.0) -> None:
        """``x``: the activations as the kernel reads them; ``slack``: times the largest weight."""
        n_rows, tokens = self.size.n_rows, self.judged
        x = x[:tokens].astype(np.float64)
        sound = np.isfinite(self.weights.values).all(axis=1)
        expected = x @ self.weights.values[sound].T
        bound = (ROUNDING * np.abs(x).sum(axis=1)[:, None] + slack) * self.weights.largest[sound]
        for part in self.variant.epilogue.split("+"):
            if part == "bias":
                expected = expected + self.bias[sound]
            elif part == "residual":
                expected = expected + self.residual[:tokens, :n_rows][:, sound]
            elif part != "none":
                bound = bound * (2 * np.abs(expected) + 2)  # no activation is steeper
                expected = FUNCTIONS[part](expected, 0.0)
        got = self.out[:tokens, :n_rows]
        assert_close(got[:, sound], expected, bound + 1e-6)
        assert not np.isfinite(got[:, ~sound]).any()
        assert (self.out[:, n_rows:] == UNTOUCHED).all()


def make_weights(
    type: TensorType, size: Size, scales: NDArray[np.float16] | None = None
) -> Weights:
    """Weights of a size, the same ones every time."""
    rng = np.random.default_rng([type, size.n_rows, size.width])
    return Weights(Memory(), type, (size.n_rows, size.width), rng, scales)


def matvec_case(
    isa: ISA,
    type: TensorType,
    size: Size,
    columns: int,
    variant: Variant = Variant(),
    weights: Weights | None = None,
    spoil: float | None = None,
) -> Case:
    """Quantize the activations, where the weights are, then matvec.

    ``spoil`` stands among the activations of the last token, whose result is not looked at.
    """
    padded = -(-size.tokens // columns) * columns
    run = _Matmul(size, variant, padded, padded, weights or make_weights(type, size), spoil)
    launches = []
    x, record, order = run.x, size.width * 4, order_for(isa, type)
    if is_quantized(type):
        record = record_bytes(size.width, order)
        x = run.memory.empty((padded, record), np.uint8)
        arguments = {"x": run.x, "out": x, "width": size.width, "record": record}
        launches.append(Launch(quantize(order=order), size.tokens, arguments))
    launches.append(
        Launch(
            matvec(type=type, columns=columns, rows=variant.rows, epilogue=variant.epilogue),
            -(-size.n_rows // size.task_rows),
            run.arguments | {"x": x, "record": record, "task_rows": size.task_rows},
            variant.step(size.tokens),
        )
    )

    def compare() -> None:
        seen = as_quantized(run.x[: run.judged], order) if is_quantized(type) else run.x
        run.compare(seen)

    return Case(run.memory, launches, compare)


def order_for(isa: ISA, type: TensorType) -> Order:
    """The order of the records that a decode matmul with such weights reads."""
    fmt = FORMATS[type]
    return fmt.order(isa) if isinstance(fmt, QuantizedFormat) else PLAIN


def as_quantized(x: NDArray[np.float32], order: Order = PLAIN) -> NDArray[np.float32]:
    """Activations as a decode matmul reads them."""
    return order.scaled(*quantize_meaning(x, order))


class Packed:
    """Activations as a batch matmul reads them, and the launches that make them of ``x``.

    x: (rows, width) f32, where rows are whole tiles; ``blocks`` of tokens are multiplied together.
    """

    def __init__(self, isa: ISA, panels: str, memory: Memory, x: NDArray[np.float32]) -> None:
        way, (rows, width) = PANELS[panels], x.shape
        self.way, self.x, self.memory = way, x, memory
        self.padded = -(-rows // way.block(isa)) * way.block(isa)
        self.words = way.words(width)
        self.data = memory.empty(self.padded * self.words, np.uint32)
        packing = {"x": x, "out": self.data, "width": width}
        self.launches: list[Launch] = []
        if way is TILES:
            self.launches.append(Launch(pack_tiles(), rows // EDGE, packing))
            return
        if way is INTEGERS:
            record = record_bytes(width)
            records = memory.empty((rows, record), np.uint8)
            arguments = {"x": x, "out": records, "width": width, "record": record}
            self.launches.append(Launch(quantize(order=PLAIN), rows, arguments))
            packing |= {"x": records, "words": self.words}
        kernel = pack_records() if way is INTEGERS else pack(tokens=way.block(isa))
        self.launches.append(Launch(kernel, self.padded // way.block(isa), packing))

    def arguments(self, task_rows: int) -> dict[str, Any]:
        """What the matmul wants of them."""
        return {"x": self.data, "words": self.words, "task_rows": task_rows}

    def scratch(self, task_rows: int, matrices: int = 1) -> dict[str, Any]:
        """No more scratch memory than the matmul asks for, as fields of the step."""
        n_bytes = self.way.scratch_bytes(task_rows, self.padded, matrices)
        scratch = self.memory.empty(n_bytes, np.uint8)
        return {"scratch": scratch, "scratch_stride": scratch.size}

    def seen(self, tokens: int) -> NDArray[np.float32]:
        """The first of them as numbers, the way they are rounded."""
        x = self.x[:tokens]
        if self.way is TILES:
            return bf16_to_f32(f32_to_bf16(x))
        return as_quantized(x) if self.way is INTEGERS else x


def rows_to_pack(isa: ISA, panels: str, tokens: int) -> int:
    """Rows of activations that packing reads: whole tiles of tokens."""
    tile = EDGE if panels == TILES.name else PANELS[panels].block(isa)
    return -(-tokens // tile) * tile


def matmul_case(
    isa: ISA,
    type: TensorType,
    size: Size,
    panels: str,
    variant: Variant = Variant(),
    weights: Weights | None = None,
    spoil: float | None = None,
) -> Case:
    """Pack the activations, then matmul, with no more scratch memory than it asks for.

    ``spoil``: as in ``matvec_case``.
    """
    weights = weights or make_weights(type, size)
    if panels == TILES.name:
        weights = weights.rounded()
    rows = rows_to_pack(isa, panels, size.tokens)
    run = _Matmul(size, variant, rows, size.tokens, weights, spoil)
    packed = Packed(isa, panels, run.memory, run.x)
    task_rows = PANELS[panels].task_rows or size.task_rows
    kernel = matmul(type=type, panels=panels, rows=variant.rows, epilogue=variant.epilogue)
    launch = Launch(
        kernel,
        -(-size.n_rows // task_rows),
        run.arguments | packed.arguments(task_rows),
        variant.step(size.tokens) | packed.scratch(task_rows),
    )

    def compare() -> None:
        x, slack = packed.seen(run.judged), 0.0
        if panels == TILES.name:
            # a weight that is almost halfway between two bfloat16 may become the other one
            slack = 2**-8 * np.nan_to_num(np.abs(x)).max()
        run.compare(x, slack)

    return Case(run.memory, (*packed.launches, launch), compare)


def embedding_case(type: TensorType, width: int, of: str = "tokens") -> Case:
    """Look up rows by tokens or positions, the last one among them, and double them."""
    size = Size(9, width, 5)
    weights = make_weights(type, size)
    memory = Memory()
    tokens = memory.copy([8, 0, 3, 3, 7], np.int32)
    out = memory.empty((5, width), np.float32)
    arguments = {
        "weights": memory.copy(weights.data), "row_bytes": weights.row_bytes, "out": out,
        "width": width, "scale": 2.0,
    }  # fmt: skip
    launch = Launch(embedding(type=type, of=of), 5, arguments, {of: tokens})

    def compare() -> None:
        bound = 8e-7 * weights.largest[tokens][:, None]
        assert_close(out, 2 * weights.values[tokens], bound)

    return Case(memory, (launch,), compare)
