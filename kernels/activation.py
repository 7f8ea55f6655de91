"""Activations as decode matmuls read them: int8 in groups of 32 with a float32 scale.

One record a token, made of four arrays one after the other::

    q       (padded,)       i8    round(x / d), in the order that the format of the weights wants
    d       (padded / 32,)  f32   largest |x| of the group / 127
    sums32  (padded / 32,)  f32   d * sum of q over 32
    sums16  (padded / 16,)  f32   d * sum of q over 16

The sums serve formats whose weights have an offset: the offset is multiplied once a group. An
order rearranges spans of numbers (see ``orders``); the last span is filled up with zeros. Where
it lifts the weights, i32 stand in the place of sums: what sums of products begin with.
"""

from __future__ import annotations

import numpy as np

from pyllama.kernels.kernel import Array, Fields, kernel
from pyllama.kernels.language import Builder, Pointer, Value
from pyllama.kernels.orders import FOURS, GROUP, PLAIN, Order
from pyllama.kernels.types import f32, i8, i32, i64, u8, u32

ALIGNMENT = 64


def record_bytes(width: int, order: Order = PLAIN) -> int:
    """Bytes of one token's record; ``width`` is a multiple of 32."""
    return -(-order.padded(width) * 3 // 2 // ALIGNMENT) * ALIGNMENT


class Record:
    """The arrays of one token's record; ``width`` is that of whole spans."""

    def __init__(self, place: Pointer, width: Value, order: Order = PLAIN) -> None:
        self.q = place.of(i8)
        self.d = place.at(width).of(f32)
        self._sums = {32: self.d.at(width // GROUP), 16: self.d.at(width // GROUP * 2)}
        self.starts = self._sums[GROUP // order.parts].of(i32)

    def sums(self, group: int) -> Pointer:
        """``d * sum of q`` over groups of 16 or 32."""
        return self._sums[group]


def padded(width: Value, order: Order) -> Value:
    """Numbers of whole spans, when the code runs."""
    return (width + (order.span - 1)) // order.span * order.span


@kernel(x=Array(f32), out=Array(u8), width=i64, record=i64)
def quantize(
    k: Builder, a: Fields, step: Fields, *, task: Value, thread: Value, order: Order
) -> None:
    """x: (tokens, width) f32 -> out: one record a token. One task a token."""
    x = a.x.at(task * a.width)
    width = padded(a.width, order)
    record = Record(a.out.at(task * a.record), width, order)
    with k.loop(a.width // GROUP) as g:
        values = x.load(g * GROUP, GROUP)
        largest = k.abs(values).max()
        scale = k.select(largest > 0, 127.0 / largest, k.zero(f32))
        q = k.round(values * scale).to(i32)
        d = largest * (1 / 127)
        _store(record, order, g, q, d)
    if order.span > GROUP:
        with k.loop(a.width // GROUP, width // GROUP) as g:
            _store(record, order, g, k.zero(i32 * GROUP), k.zero(f32))


def _store(record: Record, order: Order, group: Value, q: Value, d: Value) -> None:
    """A group and its sums; q: (GROUP,) i32."""
    halves = [q.take(range(i, i + 16)).sum() for i in (0, 16)]
    if order == PLAIN:
        record.q.store(group * GROUP, q.to(i8))
    else:
        _store_fours(record.q, order, group, q.to(i8))
    record.d[group] = d
    if order.lift:
        _store_starts(record.starts, order, group, halves)
        return
    record.sums(32)[group] = halves[0].to(f32) * d + halves[1].to(f32) * d
    for i, half in enumerate(halves):
        record.sums(16)[group * 2 + i] = half.to(f32) * d


def _store_fours(q: Pointer, order: Order, group: Value, numbers: Value) -> None:
    groups = order.span // GROUP
    fours = numbers.take(order.lanes).bits_as(u32 * FOURS)
    places = q.k.table(u32, np.array(order.places, np.uint32)).at(group % groups * FOURS)
    span = q.of(u32).at(group // groups * (groups * FOURS))
    for i in range(FOURS):
        span[places[i].to(i64)] = fours[i]


def _store_starts(starts: Pointer, order: Order, group: Value, halves: list[Value]) -> None:
    groups = order.span // GROUP
    first = group // groups * (groups * order.parts) + group % groups
    sums = halves if order.parts == 2 else [halves[0] + halves[1]]
    for part, total in enumerate(sums):
        starts[first + part * groups] = total * -order.lift


def quantize_meaning(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x: (..., width) f32 -> q: (..., width) i8 and d: (..., width / 32) f32."""
    groups = x.reshape(*x.shape[:-1], -1, GROUP)
    largest = np.abs(groups).max(axis=-1, keepdims=True)
    scale = np.divide(np.float32(127), largest, out=np.zeros_like(largest), where=largest > 0)
    q = np.rint(groups * scale).astype(np.int8).reshape(x.shape)
    return q, largest[..., 0] * np.float32(1 / 127)
