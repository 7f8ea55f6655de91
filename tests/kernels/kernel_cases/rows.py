"""Runs of the kernels that work on one row at a time, against the meanings of their ops."""

from __future__ import annotations

from typing import Any

import numpy as np

from kernel_cases.case import Case, Launch, assert_close
from kernel_cases.meaning import BIAS, TABLE, Step, vector
from kernel_cases.memory import Memory
from pyllama.graph import ops
from pyllama.kernels.elementwise import add, each, gate, layer_norm, rms_norm, select_rows
from pyllama.kernels.hadamard import hadamard
from pyllama.kernels.rope import rope

ROWS = 3
WIDTHS = (1, 7, 8, 15, 16, 17, 33, 64, 80)
EPSILON = 1e-5
EDGES = (0.0, -0.0, 88.0, -88.0, 1e4, -1e4, 1e30)


def rms_norm_case(
    width: int, groups: int = 1, scale: float = 1.0, own_weights: bool = False
) -> Case:
    """Norm of rows, or of equal parts of rows, which may have weights of their own."""
    run = _Norm(width, groups, own_weights)
    x = run.memory.copy(run.rng.normal(0, scale, (ROWS, groups * width)), np.float32)
    out = run.memory.empty(x.shape, np.float32)
    arguments = {"x": x, "weight": run.weight, "out": out, **run.arguments}

    def compare() -> None:
        op = ops.RMSNorm(vector(*run.weight.shape), EPSILON, groups)
        expected = op.meaning(Step(weight=run.weight), x)
        assert_close(out, expected, 2e-6 * np.abs(expected) + 1e-12)

    return Case(run.memory, (Launch(rms_norm(), ROWS, arguments),), compare)


def layer_norm_case(
    width: int, groups: int = 1, own_weights: bool = False, biased: bool = True
) -> Case:
    """The same, with a mean to subtract and perhaps a bias."""
    run = _Norm(width, groups, own_weights)
    x = run.memory.copy(run.rng.normal(3, 1, (ROWS, groups * width)), np.float32)
    bias = run.memory.copy(run.rng.normal(0, 1, run.weight.shape), np.float32)
    out = run.memory.empty(x.shape, np.float32)
    arguments = {"x": x, "weight": run.weight, "bias": bias, "out": out, **run.arguments}

    def compare() -> None:
        weight = vector(*run.weight.shape)
        bias_weight = vector(*weight.shape, name=BIAS) if biased else None
        op = ops.LayerNorm(weight, bias_weight, EPSILON, groups)
        expected = op.meaning(Step(weight=run.weight, bias=bias), x)
        assert_close(out, expected, 2e-5)

    return Case(run.memory, (Launch(layer_norm(biased=biased), ROWS, arguments),), compare)


class _Norm:
    """The weights of a norm, and what both kinds of norm are told."""

    def __init__(self, width: int, groups: int, own_weights: bool) -> None:
        self.memory, self.rng = Memory(), np.random.default_rng(width)
        shape = (groups, width) if own_weights else (width,)
        self.weight = self.memory.copy(self.rng.normal(1, 0.5, shape), np.float32)
        stride = width if own_weights else 0
        self.arguments = {"width": width, "stride": stride, "groups": groups, "eps": EPSILON}


def gate_case(width: int, activation: str = "silu") -> Case:
    """A gate, also far outside of where its exponential is finite."""
    memory, rng = Memory(), np.random.default_rng(width)
    first = memory.copy(rng.normal(0, 4, (ROWS, width)), np.float32)
    first.reshape(-1)[: len(EDGES)] = EDGES[: first.size]
    up = memory.copy(rng.normal(0, 1, (ROWS, width)), np.float32)
    out = memory.empty(first.shape, np.float32)
    arguments = {"gate": first, "up": up, "out": out, "width": width}

    def compare() -> None:
        with np.errstate(over="ignore"):
            expected = ops.Gate(activation).meaning(Step(), first, up)
        assert_close(out, expected, 2e-6 * np.abs(expected) + 2e-6)

    return Case(memory, (Launch(gate(activation=activation), ROWS, arguments),), compare)


def each_case(width: int, function: str) -> Case:
    """A function of every element, also of large ones."""
    memory, rng = Memory(), np.random.default_rng(width)
    x = memory.copy(rng.normal(0, 4, (ROWS, width)), np.float32)
    x.reshape(-1)[: len(EDGES)] = EDGES[: x.size]
    out = memory.empty(x.shape, np.float32)
    arguments = {"x": x, "out": out, "width": width, "parameter": 2.5}

    def compare() -> None:
        with np.errstate(over="ignore"):
            expected = ops.Each(function, 2.5).meaning(Step(), x)
            bound = np.where(np.isinf(expected), 0, 2e-6 * np.abs(expected) + 2e-6)
        finite = np.isfinite(expected)
        np.testing.assert_array_equal(out[~finite], expected[~finite])
        assert_close(out[finite], expected[finite], bound[finite])

    return Case(memory, (Launch(each(function=function), ROWS, arguments),), compare)


def hadamard_case(size: int) -> Case:
    """Turn every few elements; some of them are much larger than the others."""
    memory, rng = Memory(), np.random.default_rng(size)
    x = memory.copy(rng.normal(0, 1, (ROWS, 3 * size)), np.float32)
    x[:, 5] *= 1000
    out = memory.empty(x.shape, np.float32)
    arguments = {"x": x, "out": out, "width": 3 * size}

    def compare() -> None:
        matrix = np.ones((1, 1))
        while len(matrix) < size:
            matrix = np.block([[matrix, matrix], [matrix, -matrix]])
        parts = x.astype(np.float64).reshape(ROWS, 3, size)
        expected = (parts @ matrix).reshape(x.shape) / np.sqrt(size)
        assert_close(out, expected, 2e-7 * np.abs(x).max(axis=1, keepdims=True))

    return Case(memory, (Launch(hadamard(size=size), ROWS, arguments),), compare)


def add_case(width: int, scale: float = 1.0) -> Case:
    """Add rows, the first of them scaled."""
    memory, rng = Memory(), np.random.default_rng(width)
    x, y = (memory.copy(rng.normal(0, 1, (ROWS, width)), np.float32) for _ in range(2))
    out = memory.empty(x.shape, np.float32)
    arguments = {"x": x, "y": y, "out": out, "width": width, "scale": scale}

    def compare() -> None:
        np.testing.assert_array_equal(out, ops.Add(scale).meaning(Step(), x, y))

    return Case(memory, (Launch(add(), ROWS, arguments),), compare)


def select_rows_case(width: int) -> Case:
    """Keep some rows."""
    memory, rng = Memory(), np.random.default_rng(width)
    x = memory.copy(rng.normal(0, 1, (5, width)), np.float32)
    outputs = memory.copy([4, 0, 2], np.int32)
    out = memory.empty((3, width), np.float32)
    arguments = {"x": x, "out": out, "width": width}

    def compare() -> None:
        op = ops.SelectRows()
        np.testing.assert_array_equal(out, op.meaning(Step(outputs=outputs), x))

    return Case(memory, (Launch(select_rows(), 3, arguments, {"outputs": outputs}),), compare)


def rope_case(style: str, pairs: int, head_dim: int, in_place: bool = False) -> Case:
    """Turn the first ``2 * pairs`` elements of every head."""
    heads = 3
    memory, rng = Memory(), np.random.default_rng(pairs)
    original = rng.normal(0, 1, (4, heads * head_dim)).astype(np.float32)
    x = memory.copy(original)
    out = x if in_place else memory.empty(x.shape, np.float32)
    positions = memory.copy([0, 6, 3, 3], np.int32)
    angles = rng.uniform(0, 6, (7, pairs))
    table = memory.copy(np.stack([np.cos(angles), np.sin(angles)], axis=1), np.float32)
    arguments: dict[str, Any] = {
        "x": x, "table": table, "out": out, "heads": heads, "head_dim": head_dim,
    }  # fmt: skip
    launch = Launch(rope(style=style, pairs=pairs), 4, arguments, {"positions": positions})

    def compare() -> None:
        op = ops.Rope(TABLE, style, heads, head_dim, pairs)
        expected = op.meaning(Step(positions=positions, table=table), original)
        assert_close(out, expected, 1e-6)

    return Case(memory, (launch,), compare)
