"""Activations as decode matmuls read them: int8 in groups of 32 with a float32 scale.

One record a token, made of four arrays one after the other::

    q       (width,)       i8    round(x / d)
    d       (width / 32,)  f32   largest |x| of the group / 127
    sums32  (width / 32,)  f32   d * sum of q over 32
    sums16  (width / 16,)  f32   d * sum of q over 16

The sums serve formats whose weights have an offset: the offset is multiplied once a group.

For some formats q is striped: of every 256 numbers come first the first eight of each 32, then the
second eight of each, and so on. Such a stripe of 64 has lanes of all eight groups alike.
"""

from __future__ import annotations

import numpy as np

from pyllama.kernels.kernel import Array, Fields, kernel
from pyllama.kernels.language import Builder, Pointer, Value
from pyllama.kernels.types import f32, i8, i32, i64, u8, u64

GROUP = 32
ALIGNMENT = 64

STRIPE = 64
"""Numbers in a stripe."""

STRIPES = 4
"""Stripes of 256 numbers."""

RUN = 8
"""Neighbouring numbers in a stripe."""


def record_bytes(width: int) -> int:
    """Bytes of one token's record; ``width`` is a multiple of 32."""
    return -(-width * 3 // 2 // ALIGNMENT) * ALIGNMENT


class Record:
    """The arrays of one token's record."""

    def __init__(self, place: Pointer, width: Value) -> None:
        self.q = place.of(i8)
        self.d = place.at(width).of(f32)
        self._sums = {32: self.d.at(width // GROUP), 16: self.d.at(width // GROUP * 2)}

    def sums(self, group: int) -> Pointer:
        """``d * sum of q`` over groups of 16 or 32."""
        return self._sums[group]


@kernel(x=Array(f32), out=Array(u8), width=i64, record=i64)
def quantize(
    k: Builder, a: Fields, step: Fields, *, task: Value, thread: Value, striped: bool
) -> None:
    """x: (tokens, width) f32 -> out: one record a token. One task a token."""
    x = a.x.at(task * a.width)
    record = Record(a.out.at(task * a.record), a.width)
    with k.loop(a.width // GROUP) as g:
        values = x.load(g * GROUP, GROUP)
        largest = k.abs(values).max()
        scale = k.select(largest > 0, 127.0 / largest, k.zero(f32))
        q = k.round(values * scale).to(i32)
        d = largest * (1 / 127)
        (_store_striped if striped else _store)(record.q, g, q.to(i8))
        record.d[g] = d
        halves = [q.take(range(i, i + 16)).sum().to(f32) * d for i in (0, 16)]
        record.sums(32)[g] = halves[0] + halves[1]
        for i, half in enumerate(halves):
            record.sums(16)[g * 2 + i] = half


def _store(q: Pointer, group: Value, numbers: Value) -> None:
    q.store(group * GROUP, numbers)


def _store_striped(q: Pointer, group: Value, numbers: Value) -> None:
    groups = STRIPE // RUN
    runs = numbers.bits_as(u64 * STRIPES)
    place = q.of(u64).at(group // groups * (groups * STRIPES) + group % groups)
    for stripe in range(STRIPES):
        place[stripe * groups] = runs[stripe]


def quantize_meaning(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x: (..., width) f32 -> q: (..., width) i8 and d: (..., width / 32) f32."""
    groups = x.reshape(*x.shape[:-1], -1, GROUP)
    largest = np.abs(groups).max(axis=-1, keepdims=True)
    scale = np.divide(np.float32(127), largest, out=np.zeros_like(largest), where=largest > 0)
    q = np.rint(groups * scale).astype(np.int8).reshape(x.shape)
    return q, largest[..., 0] * np.float32(1 / 127)


def striped_meaning(q: np.ndarray) -> np.ndarray:
    """q: (..., width) i8 in order -> the same, striped; width is a multiple of 256."""
    runs = q.reshape(*q.shape[:-1], -1, STRIPE // RUN, STRIPES, RUN)
    return runs.swapaxes(-3, -2).reshape(q.shape)
