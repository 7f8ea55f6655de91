"""What rendering a chat template may cost, and the meter that counts it.

A template comes with the model, from anywhere, and is a program. Three budgets hold it:

    time    of the processor; every operation of the template looks at the clock
    total   bytes of everything the template makes, also of what it throws away again
    single  bytes of one value, written out in full: ``[a, a]`` counts ``a`` twice

The last one bounds what one indivisible operation of Python can cost, and so how late the clock
can be looked at: a value that passed can be compared, sorted, printed or encoded in well under a
second. All three grow with what the caller puts in. At worst a rendering ends a second after its
time, and has taken some three times its total of memory.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import chain
from time import monotonic, thread_time
from typing import TypeVar

T = TypeVar("T")

MIB = 1 << 20

_LEAF = 64
"""Bytes that count for a small object such as a number; about what it takes."""

_LARGEST_INTEGER_BITS = 1024

_NO_DICT: dict[object, object] = {}
_SEQUENCES = (list, tuple, type(_NO_DICT.keys()), type(_NO_DICT.values()))
_ITEMS = type(_NO_DICT.items())


class LimitError(Exception):
    """A template asked for more than its limits allow; the message says of what."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a template may cost.

    Attributes:
        seconds: processor time of one rendering, for an empty conversation.
        seconds_per_mib: how many more, for each MiB of the conversation.
        source: characters of the template's own text. The longest in use have some 20,000.
        total: bytes that one rendering may make altogether, for an empty conversation.
        total_per_input: how many more, for each byte of the conversation.
        single: bytes of the largest value, and of the result, for an empty conversation.
        single_per_input: how many more, for each byte of the conversation.
    """

    seconds: float = 5.0
    seconds_per_mib: float = 10.0
    source: int = 64 * 1024
    total: int = 64 * MIB
    total_per_input: int = 64
    single: int = 8 * MIB
    single_per_input: int = 16


class Meter:
    """Counts what one rendering costs; every method raises ``LimitError`` at a limit."""

    def __init__(self, limits: Limits, variables: Mapping[str, object]) -> None:
        """``variables``: what the template is given; plain data."""
        self._seconds = limits.seconds
        self._began = thread_time()
        self._deadline = monotonic() + limits.seconds
        self._weighed: dict[int, tuple[object, int]] = {}
        self._given: set[int] = set()
        self._spent = 0
        self._total = self._single = sys.maxsize
        given = sum(self.weigh(value) for value in variables.values())
        self._given = {id(text) for text in _texts(variables)}
        self._spent = 0
        self._seconds += limits.seconds_per_mib * given / MIB
        self._total = limits.total + limits.total_per_input * given
        self._single = limits.single + limits.single_per_input * given

    def tick(self) -> bool:
        """Look at the clock; always true."""
        if monotonic() > self._deadline:
            self._extend()
        return True

    def _extend(self) -> None:
        """Allow the time in which a busy machine did something else."""
        rest = self._seconds - (thread_time() - self._began)
        if rest <= 0:
            raise LimitError(f"it ran for more than {self._seconds:.1f} seconds")
        self._deadline = monotonic() + rest

    def spend(self, size: int) -> None:
        """Count ``size`` bytes that are being made, and look at the clock."""
        self._spent += size
        if self._spent > self._total:
            raise LimitError(f"it made more than {self._total / MIB:.0f} MiB of data")
        self.tick()

    def allow(self, size: int) -> None:
        """Refuse a value of ``size`` bytes if it would be too large, before it is made."""
        if size > self._single:
            raise LimitError(f"it wanted a value of more than {self._single / MIB:.0f} MiB")
        if self._spent + size > self._total:
            raise LimitError(f"it made more than {self._total / MIB:.0f} MiB of data")

    def keep(self, value: T) -> T:
        """``value`` itself, once it has been weighed and paid for."""
        self.tick()
        if value is not None and not isinstance(value, bool):
            self.allow(self.weigh(value))
        return value

    def weigh(self, value: object) -> int:
        """Bytes of ``value`` written out in full; what of it is new is paid for."""
        if isinstance(value, str):
            size = sys.getsizeof(value)
            self.spend(0 if id(value) in self._given else size)
            return size
        children = _children(value)
        if children is None:
            _check_number(value)
            self.spend(_LEAF)
            return _LEAF
        if id(value) in self._weighed:
            return self._weighed[id(value)][1]
        size = sys.getsizeof(value)
        self.spend(size)
        for child in children:
            size += self.weigh(child)
            self.allow(size)
        self._weighed[id(value)] = value, size  # holding it, for an id is unique in a lifetime only
        return size


def _children(value: object) -> Iterable[object] | None:
    """What a container of plain data contains; ``None`` for anything else."""
    if isinstance(value, dict):
        return chain(value, value.values())
    if isinstance(value, _SEQUENCES):
        return value
    if isinstance(value, _ITEMS):
        return chain.from_iterable(value)
    return None


def _texts(value: object) -> Iterable[str]:
    """All strings in plain data."""
    if isinstance(value, str):
        yield value
    for child in _children(value) or ():
        yield from _texts(child)


def _check_number(value: object) -> None:
    """Arithmetic on huge integers takes quadratic time; no conversation needs them."""
    if isinstance(value, int) and value.bit_length() > _LARGEST_INTEGER_BITS:
        raise LimitError(f"it wanted a number of more than {_LARGEST_INTEGER_BITS} bits")


CURRENT: ContextVar[Meter] = ContextVar("meter of the rendering that is under way")
"""Set while a template is rendered. Nothing of a template runs without it."""
