"""In which order int8 activations are stored, so that they meet the weights as these are unpacked.

An order rearranges spans of numbers. Most orders keep groups of 32 numbers with a scale each, and
rearrange within these first, then the fours of the span. In columns the numbers that meet in a
lane share a scale.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

GROUP = 32
"""Numbers that share a scale, except in columns."""

FOUR = 4
"""Numbers that one lane of an integer dot product takes."""

FOURS = GROUP // FOUR
"""Fours of a group."""

STRIPE = 64
"""Bytes of a vector of weights, and of the activations that meet it."""

LANES = STRIPE // FOUR
"""Lanes of an integer dot product of such vectors."""


@dataclass(frozen=True)
class Order(ABC):
    """An order of activations. What no number of a span comes to is zero."""

    name: str
    span: int
    """Numbers that are rearranged among themselves."""
    lift: int
    """What is added to the weights that these activations meet, so that they are unsigned."""
    parts: int
    """Where weights are lifted: parts of a group, each of which is summed up by itself."""

    def __str__(self) -> str:
        return self.name

    @property
    @abstractmethod
    def bytes(self) -> int:
        """Bytes that the numbers of a span take."""

    @property
    @abstractmethod
    def groups(self) -> int:
        """Groups of a span: numbers that share a scale."""

    @property
    @abstractmethod
    def _places(self) -> NDArray[np.intp]:
        """(span,): the byte of each number."""

    @property
    @abstractmethod
    def _group_of(self) -> NDArray[np.intp]:
        """(span,): the group of each number."""

    @property
    @abstractmethod
    def _part_of(self) -> NDArray[np.intp]:
        """(span,): the part of each number, in the order of starts."""

    @property
    def group(self) -> int:
        """Numbers of a span for each of its groups."""
        return self.span // self.groups

    @property
    def fields(self) -> int:
        """Numbers that a record has for each group: its scale, and starts or three sums."""
        return 1 + (self.parts if self.lift else 3)

    def padded(self, width: int) -> int:
        """Numbers of whole spans that hold ``width`` of them."""
        return -(-width // self.span) * self.span

    def spans(self, x: NDArray[Any]) -> NDArray[Any]:
        """x: (..., width) -> (..., spans, span), zero where there is no number."""
        missing = self.padded(x.shape[-1]) - x.shape[-1]
        whole = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, missing)])
        return whole.reshape(*x.shape[:-1], -1, self.span)

    def arranged(self, q: NDArray[Any]) -> NDArray[Any]:
        """q: (..., width) as it comes -> (..., spans * bytes), zero where there is no number."""
        spans = self.spans(q)
        result = np.zeros((*spans.shape[:-1], self.bytes), q.dtype)
        result[..., self._places] = spans
        return result.reshape(*q.shape[:-1], -1)

    def largest(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """x: (..., width) -> (..., spans * groups): the largest magnitude of each group."""
        spans = np.abs(self.spans(x))
        groups = (spans[..., self._group_of == g] for g in range(self.groups))
        largest = np.stack([group.max(axis=-1, initial=0) for group in groups], axis=-1)
        return largest.reshape(*x.shape[:-1], -1)

    def scaled(self, x: NDArray[Any], scales: NDArray[np.float32]) -> NDArray[np.float32]:
        """x: (..., width), scales: (..., spans * groups) -> (..., width): each by its group's."""
        spans = scales.reshape(*x.shape[:-1], -1, self.groups)[..., self._group_of]
        result: NDArray[np.float32] = x * spans.reshape(*x.shape[:-1], -1)[..., : x.shape[-1]]
        return result

    def starts(self, q: NDArray[Any]) -> NDArray[np.int32]:
        """q: (..., width) as it comes -> (..., spans * groups * parts): ``-lift`` times sums."""
        spans = self.spans(q)
        parts = (spans[..., self._part_of == p] for p in range(self.groups * self.parts))
        sums = np.stack([part.sum(axis=-1, dtype=np.int32) for part in parts], axis=-1)
        return -self.lift * sums.reshape(*q.shape[:-1], -1)


@dataclass(frozen=True)
class Grouped(Order):
    """An order of groups of 32. Starts are those of the first parts of all groups of a span, then
    of the second.
    """

    lanes: tuple[int, ...] = field(repr=False)
    """Of a group the numbers in the order in which they make fours."""
    places: tuple[int, ...] = field(repr=False)
    """Where each four of a span goes, counted in fours."""

    @property
    def bytes(self) -> int:
        """One for each number."""
        return self.span

    @property
    def groups(self) -> int:
        """One for each 32 numbers."""
        return self.span // GROUP

    @cached_property
    def _places(self) -> NDArray[np.intp]:
        lane = np.argsort(self.lanes)  # of each number of a group
        fours = np.array(self.places).reshape(-1, FOURS)[:, lane // FOUR]
        return (fours * FOUR + lane % FOUR).ravel()

    @cached_property
    def _group_of(self) -> NDArray[np.intp]:
        return np.arange(self.span) // GROUP

    @cached_property
    def _part_of(self) -> NDArray[np.intp]:
        part = np.arange(self.span) % GROUP // (GROUP // self.parts)
        return part * self.groups + self._group_of


@dataclass(frozen=True)
class Columned(Order):
    """An order of vectors below each other: what is in the same lane of all is a group.

    There are whole spans of numbers only.
    """

    fours: tuple[tuple[int | None, ...], ...] = field(repr=False)
    """Of each lane of each vector the first of the four neighbours in it; None where it has none.
    """

    @property
    def bytes(self) -> int:
        """Those of all vectors."""
        return STRIPE * len(self.fours)

    @property
    def groups(self) -> int:
        """One for each lane."""
        return LANES

    @cached_property
    def _places(self) -> NDArray[np.intp]:
        lanes = [four for vector in self.fours for four in vector]
        places = np.zeros(self.span, np.intp)
        for lane, first in enumerate(lanes):
            if first is not None:
                places[first : first + FOUR] = range(lane * FOUR, (lane + 1) * FOUR)
        return places

    @cached_property
    def _group_of(self) -> NDArray[np.intp]:
        return self._places // FOUR % LANES

    @property
    def _part_of(self) -> NDArray[np.intp]:
        return self._group_of


def _order(
    name: str,
    span: int,
    lanes: list[int],
    places: list[int],
    lift: int = 0,
    parts: int = 1,
) -> Grouped:
    return Grouped(name, span, lift, parts, tuple(lanes), tuple(places))


PLAIN = _order("plain", GROUP, [*range(GROUP)], [*range(FOURS)])
"""As they come."""

RUN = 8
"""Neighbouring numbers in a stripe."""

STRIPES = _order(
    "stripes",
    256,
    [*range(GROUP)],
    [i // 2 * LANES + 2 * group + i % 2 for group in range(8) for i in range(FOURS)],
)
"""Of every 256 numbers the first eight of each group, then the second eight of each, and so on."""

QUARTERS = _order(
    "quarters",
    256,
    [16 * half + 4 * i + part for half in range(2) for part in range(4) for i in range(4)],
    [i % 4 * LANES + 2 * group + i // 4 for group in range(8) for i in range(FOURS)],
)
"""Of every 256 numbers the first of each four, then the second of each, and so on."""


LIFT = 64
"""More than the largest weight of formats on grids, before it is scaled."""

EIGHTHS = _order(
    "eighths",
    512,
    [8 * point + part for part in range(8) for point in range(4)],
    [part * LANES + group for group in range(16) for part in range(FOURS)],
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
    [i * LANES + group for group in range(16) for i in range(FOURS)],
    lift=LIFT,
    parts=2,
)
"""Of every 512 numbers first the fours of the groups' first halves, then of their second."""

DIGITS = Columned(
    "digits",
    256,
    lift=-256,
    parts=1,
    fours=tuple(
        (
            *range(32 * digit, 32 * (digit + 1), FOUR),
            *[None] * 3,
            *range(160 + 16 * digit, 160 + 16 * (digit + 1), FOUR),
            240 + 4 * digit if digit < 4 else None,
        )
        for digit in range(5)
    ),
)
"""What meets the first digits of TQ1_0's bytes, then what meets the second, and so on: those of the
first 32 bytes, then of 32 of which twelve are among these. Weights are -256 times as large."""
