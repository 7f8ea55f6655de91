"""Turning heads before they are quantized, so that no element stands out.

A Walsh-Hadamard matrix H, divided by the root of its size, is orthogonal and its own inverse. So
queries and keys that were both turned have the products that they had before, and what was summed
of turned values is turned back. But an element much larger than the others is spread over all of
them, and the scale of a block, which is that of its largest element, suits the rest better
(Ashkboos et al. 2024, QuaRot).
"""

from __future__ import annotations

import math

from pyllama.kernels.kernel import Array, Fields, kernel
from pyllama.kernels.language import Builder, Value
from pyllama.kernels.types import f32, i64

LARGEST = 64
"""Elements that are turned together, at most."""


def turned_size(*dims: int) -> int:
    """How many elements of heads of these sizes are turned together."""
    return math.gcd(LARGEST, *dims)


@kernel(
    x=Array(f32),  # (tokens, width)
    width=i64,  # a multiple of the size
    out=Array(f32),
)
def hadamard(k: Builder, a: Fields, step: Fields, *, task: Value, thread: Value, size: int) -> None:
    """``out = x @ H / sqrt(size)`` for every ``size`` elements. One task a token."""
    x, out = (rows.at(task * a.width) for rows in (a.x, a.out))
    with k.loop(0, a.width, size) as i:
        value = x.load(i, size)
        for bit in (1 << n for n in range(size.bit_length() - 1)):
            signs = k.vector(f32, [-1.0 if lane & bit else 1.0 for lane in range(size)])
            partners = value.take([lane ^ bit for lane in range(size)])
            value = k.fma(value, signs, partners)
        out.store(i, value * size**-0.5)
