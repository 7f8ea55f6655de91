"""Activations as decode matmuls read them: int8 in groups of 32 with a float32 scale.

One record a token, made of four arrays one after the other::

    q       (padded,)       i8    round(x / d), in the order that the format of the weights wants
    d       (padded / 32,)  f32   largest |x| of the group / 127
    sums32  (padded / 32,)  f32   d * sum of q over 32
    sums16  (padded / 16,)  f32   d * sum of q over 16

The sums serve formats whose weights have an offset: the offset is multiplied once a group. An
order rearranges spans of numbers (see ``orders``); the last span is filled up with zeros. Where
it lifts the weights, i32 stand in the place of sums: what sums of products begin with. In columns
q takes more bytes than there are numbers, and each column has a scale and an i32.
"""

from __future__ import annotations

from functools import reduce
from operator import add

import numpy as np

from pyllama.kernels.kernel import Array, Fields, kernel
from pyllama.kernels.language import Builder, Pointer, Value
from pyllama.kernels.orders import (
    FOUR,
    FOURS,
    GROUP,
    LANES,
    PLAIN,
    STRIPE,
    Columned,
    Grouped,
    Order,
)
from pyllama.kernels.types import f32, i8, i32, i64, u8, u32

ALIGNMENT = 64


def record_bytes(width: int, order: Order = PLAIN) -> int:
    """Bytes of one token's record; ``width`` is a multiple of 32."""
    span = order.bytes + order.groups * order.fields * f32.bytes
    return -(-order.padded(width) // order.span * span // ALIGNMENT) * ALIGNMENT


class Record:
    """The arrays of one token's record; ``width`` is that of whole spans."""

    def __init__(self, place: Pointer, width: Value, order: Order = PLAIN) -> None:
        spans = width // order.span
        groups = spans * order.groups
        self.q = place.of(i8)
        self.d = place.at(spans * order.bytes).of(f32)
        self._sums = {32: self.d.at(groups), 16: self.d.at(groups * 2)}
        self.starts = self.d.at(groups).of(i32)

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
    if isinstance(order, Columned):
        _quantize_columns(k, order, x, record, a.width)
        return
    assert isinstance(order, Grouped)
    _quantize_groups(k, order, x, record, a.width, width)


def _quantize_groups(
    k: Builder, order: Grouped, x: Pointer, record: Record, width: Value, whole: Value
) -> None:
    """whole: numbers of whole spans."""
    with k.loop(width // GROUP) as g:
        values = x.load(g * GROUP, GROUP)
        largest = k.abs(values).max()
        q = k.round(values * _scale(k, largest)).to(i32)
        _store(record, order, g, q, largest * (1 / 127))
    if order.span > GROUP:
        with k.loop(width // GROUP, whole // GROUP) as g:
            _store(record, order, g, k.zero(i32 * GROUP), k.zero(f32))


def _scale(k: Builder, largest: Value) -> Value:
    """What makes the largest magnitude 127."""
    return k.select(largest > 0, 127.0 / largest, k.zero(largest.type))


def _quantize_columns(
    k: Builder, order: Columned, x: Pointer, record: Record, width: Value
) -> None:
    """What is largest, and what is summed up, first down the columns, then in fours."""
    nothing = k.zero(f32 * FOUR)
    with k.loop(width // order.span) as s:
        span, q = x.at(s * order.span), record.q.at(s * order.bytes)
        vectors = [
            k.concat([nothing if at is None else span.load(at, FOUR) for at in fours])
            for fours in order.fours
        ]
        largest = reduce(k.max, _fours(reduce(k.max, map(k.abs, vectors))))
        scale = _scale(k, largest).take([i // FOUR for i in range(STRIPE)])
        numbers = [k.round(vector * scale).to(i32) for vector in vectors]
        for n, vector in enumerate(numbers):
            q.store(n * STRIPE, vector.to(i8))
        sums = reduce(add, _fours(reduce(add, numbers)))
        record.d.store(s * LANES, largest * (1 / 127))
        record.starts.store(s * LANES, sums * -order.lift)


def _fours(vector: Value) -> list[Value]:
    """Of each four the first, then the second, and so on."""
    return [vector.take(range(i, STRIPE, FOUR)) for i in range(FOUR)]


def _store(record: Record, order: Grouped, group: Value, q: Value, d: Value) -> None:
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


def _store_fours(q: Pointer, order: Grouped, group: Value, numbers: Value) -> None:
    groups = order.span // GROUP
    fours = numbers.take(order.lanes).bits_as(u32 * FOURS)
    places = q.k.table(u32, np.array(order.places, np.uint32)).at(group % groups * FOURS)
    span = q.of(u32).at(group // groups * (groups * FOURS))
    for i in range(FOURS):
        span[places[i].to(i64)] = fours[i]


def _store_starts(starts: Pointer, order: Grouped, group: Value, halves: list[Value]) -> None:
    groups = order.span // GROUP
    first = group // groups * (groups * order.parts) + group % groups
    sums = halves if order.parts == 2 else [halves[0] + halves[1]]
    for part, total in enumerate(sums):
        starts[first + part * groups] = total * -order.lift


def quantize_meaning(x: np.ndarray, order: Order = PLAIN) -> tuple[np.ndarray, np.ndarray]:
    """x: (..., width) f32 -> q: (..., width) i8 as it comes, and d: (..., groups) f32 of spans."""
    largest = order.largest(x)
    scale = np.divide(np.float32(127), largest, out=np.zeros_like(largest), where=largest > 0)
    return np.rint(order.scaled(x, scale)).astype(np.int8), largest * np.float32(1 / 127)
