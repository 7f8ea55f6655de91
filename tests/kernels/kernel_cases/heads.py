"""Runs of the kernels on the heads of rows, and of short convolutions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernel_cases.case import Case, Launch, assert_close
from kernel_cases.matmuls import as_quantized, is_quantized, order_for
from kernel_cases.meaning import Step, rounded, vector
from kernel_cases.memory import Memory
from kernel_cases.weights import Weights
from pyllama.gguf.types import TensorType
from pyllama.graph import ops
from pyllama.kernels.activation import quantize, record_bytes
from pyllama.kernels.cache_types import CACHE_TYPES
from pyllama.kernels.heads import head_join, head_matmul, head_matvec, head_part, pack_heads
from pyllama.kernels.isa.base import ISA
from pyllama.kernels.isa.meaning import bf16_to_f32, f32_to_bf16
from pyllama.kernels.orders import PLAIN, Order
from pyllama.kernels.panels import PANELS
from pyllama.kernels.short_conv import conv_store, short_conv

Array = NDArray[Any]
ROWS = 3


def part_case(heads: int, stride: int, first: int, width: int) -> Case:
    """A part of every head."""
    memory, rng = Memory(), np.random.default_rng(stride)
    x = memory.copy(rng.normal(0, 1, (ROWS, heads * stride)), np.float32)
    out = memory.empty((ROWS, heads * width), np.float32)
    arguments = {
        "x": x, "heads": heads, "stride": stride, "first": first, "width": width, "out": out,
    }  # fmt: skip
    op = ops.HeadPart(heads, first, width)

    def compare() -> None:
        np.testing.assert_array_equal(out, op.meaning(Step(), x))

    return Case(memory, (Launch(head_part(), ROWS, arguments),), compare)


def join_case(heads: int, width: int, other: int) -> Case:
    """Two inputs head by head."""
    memory, rng = Memory(), np.random.default_rng(width)
    x, y = (memory.copy(rng.normal(0, 1, (ROWS, heads * n)), np.float32) for n in (width, other))
    out = memory.empty((ROWS, heads * (width + other)), np.float32)
    arguments = {"x": x, "y": y, "heads": heads, "width": width, "y_width": other, "out": out}

    def compare() -> None:
        np.testing.assert_array_equal(out, ops.HeadJoin(heads).meaning(Step(), x, y))

    return Case(memory, (Launch(head_join(), ROWS, arguments),), compare)


@dataclass(frozen=True)
class Size:
    """Matrices of all heads, and tokens."""

    heads: int
    n_rows: int
    width: int
    tokens: int
    task_rows: int = 64


class _Run:
    """Random matrices and activations of some heads."""

    def __init__(self, type: TensorType, size: Size, padded: int) -> None:
        self.size, self.type = size, type
        rng = np.random.default_rng([type, size.n_rows, size.width])
        self.memory = Memory()
        shape = size.heads * size.n_rows, size.width
        self.weights = Weights(Memory(), type, shape, rng)
        self.x = self.memory.copy(rng.normal(0, 1, (padded, size.heads * size.width)), np.float32)
        self.arguments = {
            "weights": self.memory.copy(self.weights.data),
            "row_bytes": self.weights.row_bytes,
            "heads": size.heads,
            "n_rows": size.n_rows,
            "width": size.width,
            "task_rows": size.task_rows,
        }
        self.tasks = size.heads * -(-size.n_rows // size.task_rows)
        self.launches: list[Launch] = []

    def records(self, order: Order) -> tuple[Array, int]:
        """Activations as decode matmuls read them, and the bytes of a head."""
        if not is_quantized(self.type):
            return self.x, self.size.width * 4
        parts, record = len(self.x) * self.size.heads, record_bytes(self.size.width, order)
        out = self.memory.empty((parts, record), np.uint8)
        arguments = {"x": self.x, "out": out, "width": self.size.width, "record": record}
        self.launches.append(Launch(quantize(order=order), parts, arguments))
        return out, record

    def case(self, out: Array, seen: Array, tolerance: float) -> Case:
        """``seen``: the activations as they are multiplied."""
        size = self.size

        def compare() -> None:
            x = seen.reshape(-1, size.heads, size.width)[: size.tokens].astype(np.float64)
            matrices = self.weights.values.reshape(size.heads, size.n_rows, size.width)
            expected = np.einsum("thi,hoi->tho", x, matrices)
            bound = np.einsum("thi,hoi->tho", np.abs(x), np.abs(matrices)) + 1e-3
            got = out.reshape(-1, size.heads, size.n_rows)[: size.tokens]
            assert_close(got, expected, tolerance * bound)

        return Case(self.memory, self.launches, compare)


def matvec_case(isa: ISA, type: TensorType, size: Size, columns: int) -> Case:
    """A few tokens."""
    padded = -(-size.tokens // columns) * columns
    run = _Run(type, size, padded)
    out = run.memory.empty((padded, size.heads * size.n_rows), np.float32)
    order = order_for(isa, type)
    x, record = run.records(order)
    kernel = head_matvec(type=type, columns=columns, rows="n_tokens")
    arguments = run.arguments | {"x": x, "record": record, "out": out}
    run.launches.append(Launch(kernel, run.tasks, arguments, {"n_tokens": size.tokens}))
    return run.case(out, as_quantized(run.x, order) if is_quantized(type) else run.x, 1e-5)


def matmul_case(isa: ISA, type: TensorType, size: Size, panels: str) -> Case:
    """A batch."""
    way = PANELS[panels]
    block = way.block(isa)
    blocks = -(-size.tokens // block)
    run = _Run(type, size, blocks * block)
    out = run.memory.empty((size.tokens, size.heads * size.n_rows), np.float32)
    x, stride, words = run.x, size.width, way.words(size.width)
    if way.form == "int8":
        x, stride = run.records(PLAIN)[0], words
    packed = run.memory.empty((size.heads * blocks * block, words), np.uint32)
    packing = {
        "x": x, "heads": size.heads, "stride": stride, "width": size.width,
        "out": packed, "words": words, "blocks": blocks,
    }  # fmt: skip
    run.launches.append(Launch(pack_heads(panels=panels), blocks, packing))
    scratch = run.memory.empty(way.scratch_bytes(size.task_rows, blocks * block), np.uint8)
    step = {"n_tokens": size.tokens, "scratch": scratch, "scratch_stride": scratch.size}
    kernel = head_matmul(type=type, rows="n_tokens", panels=panels)
    arguments = run.arguments | {"x": packed, "words": words, "blocks": blocks, "out": out}
    run.launches.append(Launch(kernel, run.tasks, arguments, step))
    seen = {"int8": as_quantized, "floats": lambda x: x, "tiles": _as_bf16}[panels]
    return run.case(out, seen(run.x), 5e-3 if panels == "tiles" else 1e-5)


def _as_bf16(x: Array) -> Array:
    return bf16_to_f32(f32_to_bf16(x))


def conv_case(width: int, taps: int, type: str, past: int, new: int) -> Case:
    """A sequence beside another one: store what is past, store what is new, convolve."""
    memory, rng = Memory(), np.random.default_rng([width, past])
    slab, capacity = 1, 64
    cells = memory.empty((2 * capacity * CACHE_TYPES[type].head_bytes(width),), np.uint8)
    weight = memory.copy(rng.normal(0, 1, (width, taps)), np.float32)
    out = memory.empty((new, width), np.float32)
    meaning = Step(weight=weight, store=lambda x, _side: rounded(type)(x))
    launches: list[Launch] = []
    op = ops.ShortConv(0, vector(width, taps))
    expected: list[Array] = []
    for first, count in ((0, past), (past, new)):
        if not count:
            continue
        x = memory.copy(rng.normal(0, 1, (count, 3 * width)), np.float32)
        meaning.positions = np.arange(first, first + count, dtype=np.int32)
        meaning.sequences = np.full(count, slab, np.int32)
        expected.append(op.meaning(meaning, x))
        step = {
            "positions": memory.copy(meaning.positions), "slabs": memory.copy(meaning.sequences),
        }  # fmt: skip
        shape = {"x": x, "cells": cells, "width": width, "capacity": capacity}
        launches.append(Launch(conv_store(type=type), count, shape, step))
    convolving = shape | {"weight": weight, "out": out}
    launches.append(Launch(short_conv(type=type, taps=taps), new, convolving, step))
    return Case(memory, launches, lambda: assert_close(out, expected[-1], 1e-5 * taps))
