"""Runs of the kernel that draws tokens, where its steps leave a single candidate."""

from __future__ import annotations

import numpy as np

from kernel_cases.case import Case, Launch
from kernel_cases.memory import Memory
from pyllama.kernels.draw import draw

_CERTAIN = {"temperature": 0.7, "top_p": 1e-9, "min_p": -3.0}


def draw_case(count: int, keep: int, distinct: int) -> Case:
    """Of logits with ``distinct`` values or so, some of them impossible: the first of the best."""
    memory, rng = Memory(), np.random.default_rng(count)
    values = np.round(rng.normal(0, 1, count) * distinct)
    values[rng.random(count) < 0.2] = -np.inf
    values[count // 2] = 0.0
    logits = memory.copy(values, np.float32)
    token = memory.empty(1, np.int64)
    arguments = {
        "logits": logits,
        "count": count,
        "keep": keep,
        "numbers": memory.copy(list(_CERTAIN.values()), np.float64),
        "next_word": 0,
        "generator": 0,
        "token": token,
    }

    def compare() -> None:
        assert token[0] == values.argmax()

    return Case(memory, (Launch(draw(steps="+".join(_CERTAIN)), 1, arguments),), compare)
