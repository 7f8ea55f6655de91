"""Runs of the kernels that work on one row at a time, against the meanings of their ops."""

from __future__ import annotations

from typing import Any

import numpy as np

from kernel_cases.case import Case, Launch, assert_close
from kernel_cases.meaning import TABLE, Step, vector
from kernel_cases.memory import Memory
from pyllama.graph import ops
from pyllama.kernels.elementwise import add, rms_norm, select_rows, swiglu
from pyllama.kernels.rope import rope

ROWS = 3
WIDTHS = (1, 7, 8, 15, 16, 17, 33, 64, 80)
EDGES = (0.0, -0.0, 88.0, -88.0, 1e4, -1e4, 1e30)


def rms_norm_case(width: int, groups: int = 1, scale: float = 1.0) -> Case:
    """Norm of rows, or of equal parts of rows."""
    memory, rng = Memory(), np.random.default_rng(width)
    x = memory.copy(rng.normal(0, scale, (ROWS, groups * width)), np.float32)
    weight = memory.copy(rng.normal(1, 0.5, width), np.float32)
    out = memory.empty(x.shape, np.float32)
    arguments = {
        "x": x, "weight": weight, "out": out, "width": width, "groups": groups, "eps": 1e-5,
    }  # fmt: skip

    def compare() -> None:
        op = ops.RMSNorm(vector(width), 1e-5, groups)
        expected = op.meaning(Step(weight=weight), x)
        assert_close(out, expected, 2e-6 * np.abs(expected) + 1e-12)

    return Case(memory, (Launch(rms_norm(), ROWS, arguments),), compare)


def swiglu_case(width: int) -> Case:
    """Gate by a sigmoid, also far outside of where its exponential is finite."""
    memory, rng = Memory(), np.random.default_rng(width)
    gate = memory.copy(rng.normal(0, 4, (ROWS, width)), np.float32)
    gate.reshape(-1)[: len(EDGES)] = EDGES[: gate.size]
    up = memory.copy(rng.normal(0, 1, (ROWS, width)), np.float32)
    out = memory.empty(gate.shape, np.float32)
    arguments = {"gate": gate, "up": up, "out": out, "width": width}

    def compare() -> None:
        expected = ops.SwiGLU().meaning(Step(), gate, up)
        assert_close(out, expected, 1e-6 * np.abs(expected) + 1e-30)

    return Case(memory, (Launch(swiglu(), ROWS, arguments),), compare)


def add_case(width: int) -> Case:
    """Add rows."""
    memory, rng = Memory(), np.random.default_rng(width)
    x, y = (memory.copy(rng.normal(0, 1, (ROWS, width)), np.float32) for _ in range(2))
    out = memory.empty(x.shape, np.float32)
    arguments = {"x": x, "y": y, "out": out, "width": width}

    def compare() -> None:
        np.testing.assert_array_equal(out, ops.Add().meaning(Step(), x, y))

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
