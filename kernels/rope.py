"""Rotary position embedding (Su et al. 2021): pairs of elements are turned by a position's angles.

The angles stand in a table, so that every scaling of the frequencies is the same kernel.
"""

from __future__ import annotations

from pyllama.kernels.kernel import Array, Fields, kernel
from pyllama.kernels.language import Builder, Value
from pyllama.kernels.types import f32, i64

STYLES = ("interleaved", "halves")
"""Which elements form pair ``i`` of n: ``(2i, 2i + 1)``, or ``(i, i + n)``."""


@kernel(x=Array(f32), table=Array(f32), out=Array(f32), heads=i64, head_dim=i64)
def rope(
    k: Builder, a: Fields, step: Fields, *, task: Value, thread: Value, style: str, pairs: int
) -> None:
    """x: (tokens, heads, head_dim), the first ``2 * pairs`` elements are turned. One task a token.

    table: (positions, 2, pairs) cosines and sines.
    """
    table = a.table.at(step.positions[task].to(i64) * (2 * pairs))
    lanes = k.lanes_that_divide(pairs)
    with k.loop(a.heads) as h:
        head = (task * a.heads + h) * a.head_dim
        x, out = a.x.at(head), a.out.at(head)
        with k.loop(0, pairs, lanes) as i:
            cos, sin = table.load(i, lanes), table.load(i + pairs, lanes)
            if style == "halves":
                first, second = x.load(i, lanes), x.load(i + pairs, lanes)
            else:
                both = x.load(i * 2, 2 * lanes)
                first, second = (both.take(range(s, 2 * lanes, 2)) for s in (0, 1))
            turned = first * cos - second * sin, second * cos + first * sin
            if style == "halves":
                out.store(i, turned[0])
                out.store(i + pairs, turned[1])
            else:
                out.store(i * 2, _interleave(k, *turned))
        with k.loop(2 * pairs, a.head_dim) as i:
            out[i] = x[i]


def _interleave(k: Builder, a: Value, b: Value) -> Value:
    lanes = a.type.lanes
    if lanes == 1:
        return k.pair(a, b)
    return k.shuffle(a, b, [i + side for i in range(lanes) for side in (0, lanes)])
