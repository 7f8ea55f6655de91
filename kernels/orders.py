"""In which order int8 activations are stored, so that they meet the weights as these are unpacked.

An order rearranges a span of numbers: within each group of 32 first, then the fours of the span.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

GROUP = 32
"""Numbers that share a scale."""

FOUR = 4
"""Numbers that one lane of an integer dot product takes."""

FOURS = GROUP // FOUR
"""Fours of a group."""


@dataclass(frozen=True)
class Order:
    """An order of activations. What no number of a span comes to is zero."""

    name: str
    span: int
    """Numbers that are rearranged among themselves."""
    lanes: tuple[int, ...] = field(repr=False)
    """Of a group the numbers in the order in which they make fours."""
    places: tuple[int, ...] = field(repr=False)
    """Where each four of a span goes, counted in fours."""
    lift: int = 0
    """What is added to the weights that these activations meet, so that they are unsigned."""
    parts: int = 1
    """Where weights are lifted: equal parts of a group, each of which is summed up by itself."""

    def __str__(self) -> str:
        return self.name

    def padded(self, width: int) -> int:
        """Numbers of whole spans that hold ``width`` of them."""
        return -(-width // self.span) * self.span

    def arranged(self, q: NDArray[np.int8]) -> NDArray[np.int8]:
        """q: (..., width) i8 as it comes -> (..., padded) i8, zero where there is no number."""
        whole = np.zeros((*q.shape[:-1], self.padded(q.shape[-1])), q.dtype)
        whole[..., : q.shape[-1]] = q
        groups = whole.reshape(*q.shape[:-1], -1, GROUP)[..., self.lanes]
        fours = groups.reshape(*q.shape[:-1], -1, self.span // FOUR, FOUR)
        result = np.empty_like(fours)
        result[..., self.places, :] = fours
        return result.reshape(whole.shape)

    def starts(self, q: NDArray[Any]) -> NDArray[np.int32]:
        """q: (..., padded) as it comes -> (..., padded * parts / 32) i32: ``-lift`` times sums.

        Of each span the first parts of all groups, then the second.
        """
        groups = self.span // GROUP
        sums = q.reshape(*q.shape[:-1], -1, groups, self.parts, GROUP // self.parts).sum(axis=-1)
        ordered = sums.swapaxes(-1, -2).reshape(*q.shape[:-1], -1)
        return (-self.lift * ordered).astype(np.int32)


def _order(
    name: str,
    span: int,
    lanes: list[int],
    places: list[int],
    lift: int = 0,
    parts: int = 1,
) -> Order:
    return Order(name, span, tuple(lanes), tuple(places), lift, parts)


STRIPE = 64
"""Bytes of a vector of weights, and of the activations that meet it."""

_LANES = STRIPE // FOUR

PLAIN = _order("plain", GROUP, [*range(GROUP)], [*range(FOURS)])
"""As they come."""

RUN = 8
"""Neighbouring numbers in a stripe."""

STRIPES = _order(
    "stripes",
    256,
    [*range(GROUP)],
    [i // 2 * _LANES + 2 * group + i % 2 for group in range(8) for i in range(FOURS)],
)
"""Of every 256 numbers the first eight of each group, then the second eight of each, and so on."""

QUARTERS = _order(
    "quarters",
    256,
    [16 * half + 4 * i + part for half in range(2) for part in range(4) for i in range(4)],
    [i % 4 * _LANES + 2 * group + i // 4 for group in range(8) for i in range(FOURS)],
)
"""Of every 256 numbers the first of each four, then the second of each, and so on."""


LIFT = 64
"""More than the largest weight of formats on grids, before it is scaled."""

EIGHTHS = _order(
    "eighths",
    512,
    [8 * point + part for part in range(8) for point in range(4)],
    [part * _LANES + group for group in range(16) for part in range(FOURS)],
    lift=LIFT,
)
"""Of every 512 numbers the first of each eight, then the second of each, and so on."""

_SIDES = ((0, 1), (1, 0))

_BY_HALVES = [
    16 * half + 8 * point + 4 * side + part
    for half in range(2)
    for part in range(4)
    for side in _SIDES[half]
    for point in range(2)
]
"""Of the two eights of each half of a group the first number and the fifth, then the second and the
sixth, and so on; in the second half the fifth comes first."""


HALVES = _order(
    "halves",
    512,
    _BY_HALVES,
    [i * _LANES + group for group in range(16) for i in range(FOURS)],
    lift=LIFT,
    parts=2,
)
"""Of every 512 numbers first the fours of the groups' first halves, then of their second."""
