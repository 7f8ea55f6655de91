"""Kernels that sum up squares of columns: what the op means, at sizes around vectors and tasks."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_cases.case import Case, Launch, assert_close
from kernel_cases.meaning import Step
from kernel_cases.memory import Memory

from pyllama.graph import ops
from pyllama.kernels.jit import Library
from pyllama.kernels.routing import group, groups_bytes
from pyllama.kernels.square_sums import TASK_COLUMNS, expert_square_sums, square_sums, tasks

NAME = "blk.0.ffn_down.weight"
ROUNDING = 1e-14
WIDTHS = (1, 7, 63, 64, 65, TASK_COLUMNS - 1, TASK_COLUMNS + 9)


class _Run:
    """Random rows, sums that are not empty, and what they become."""

    def __init__(self, rows: int, width: int, experts: int, parts: int) -> None:
        rng = np.random.default_rng([rows, width, experts])
        self.memory = Memory()
        scale = np.exp(rng.normal(0, 4, parts * width))
        x = rng.normal(0, 1, (rows, parts * width)) * scale
        self.x = self.memory.copy(x, np.float32)
        self.before = rng.uniform(0, 9, (experts, width)), rng.integers(0, 9, experts)
        self.sums, self.counts = (self.memory.copy(b, np.float64) for b in self.before)
        self.op = ops.SquareSums((NAME,), width, experts)
        memory = {"x": self.x, "sums": self.sums, "counts": self.counts}
        self.arguments = {**memory, "width": width}

    def compare(self, *inputs: np.ndarray) -> None:
        step = Step()
        assert self.op.meaning(step, *inputs).shape == (len(self.x), 0)
        sums, counts = step.tallies[NAME]
        expected = self.before[0] + sums
        assert_close(self.sums, expected, ROUNDING * expected)
        np.testing.assert_array_equal(self.counts, self.before[1] + counts)


@pytest.mark.parametrize("rows", ["n_tokens", "n_outputs"])
@pytest.mark.parametrize("width", WIDTHS)
def test_all_rows(width: int, rows: str, library: Library) -> None:
    run = _Run(5, width, experts=1, parts=1)
    launch = Launch(square_sums(rows=rows), tasks(width), run.arguments, {rows: 5})
    Case(run.memory, [launch], lambda: run.compare(run.x)).run(library)


@pytest.mark.parametrize("parts", [1, 3], ids=["one row for all", "a row for each"])
@pytest.mark.parametrize("width", [7, 64, TASK_COLUMNS + 9])
def test_rows_of_experts(width: int, parts: int, library: Library) -> None:
    experts, used, tokens = 6, 3, 11
    run = _Run(tokens, width, experts, parts)
    rng = np.random.default_rng(width)
    chosen = np.stack([rng.permutation(experts - 1)[:used] for _ in range(tokens)])
    weights = rng.uniform(0, 1, chosen.shape)
    route = run.memory.copy(np.concatenate([chosen, weights], axis=1), np.float32)
    pairs = tokens * used
    groups = run.memory.empty(groups_bytes(pairs, experts, block=1) // 4, np.int32)
    sort = group(rows="n_tokens", experts=experts, used=used, block=1)
    kernel = expert_square_sums(experts=experts, share=used // parts)
    arguments = {**run.arguments, "groups": groups, "tasks": tasks(width)}
    launches = [
        Launch(sort, 1, {"route": route, "out": groups}, {"n_tokens": tokens}),
        Launch(kernel, experts * tasks(width), arguments, {"n_tokens": tokens}),
    ]
    Case(run.memory, launches, lambda: run.compare(run.x, route)).run(library)
    assert run.counts[-1] == run.before[1][-1], "nobody chose the last expert"
