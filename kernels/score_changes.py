"""What attention scores become before the softmax: softcapped, and lowered with distance."""

from __future__ import annotations

import math
from collections.abc import Callable

from pyllama.kernels.functions import exp, softcap
from pyllama.kernels.kernel import Fields
from pyllama.kernels.language import Builder, Value
from pyllama.kernels.types import f32, i32, i64

ScoreChange = Callable[[Value, Value], Value]
"""``f(scores, cells)``: vectors of scores and of the cells that they belong to."""

CHANGES = ("none", "softcap", "alibi", "softcap+alibi")
"""What happens to scores, in order."""

FIELDS = {
    "softcap": f32,  # scores stay between it and its negative
    "slope_heads": i64,  # the largest power of two that is no more than there are heads
    "slope_step": f32,  # what the exponents of two of these heads' slopes differ by
}
"""Arguments of a kernel whose scores may change."""


def score_change(
    k: Builder, a: Fields, change: str, head: Value, position: Value
) -> ScoreChange | None:
    """How the scores of a query head's token change; ``change`` is one of ``CHANGES``."""
    if change == "none":
        return None
    parts = change.split("+")
    slope, now = _slope(k, a, head), position.to(i32)

    def changed(scores: Value, cells: Value) -> Value:
        if "softcap" in parts:
            scores = softcap(k, scores, a.softcap)
        if "alibi" in parts:
            scores = (cells - now).to(f32) * slope + scores
        return scores

    return changed


def _slope(k: Builder, a: Fields, head: Value) -> Value:
    """A step back costs so much (Press et al. 2022); see ``ops.alibi_slopes``."""
    beyond = (head - a.slope_heads) * 2 + 1
    steps = k.select(beyond < 0, (head + 1).to(f32), beyond.to(f32) * 0.5)
    return exp(k, steps * a.slope_step * -math.log(2))
