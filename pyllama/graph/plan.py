"""A plan: kernel launches in order, with memory assigned and barriers only where they are needed.

A plan knows nothing of processors. A backend lowers a graph to launches; what a launch reads and
writes decides where workers must wait for each other and which buffers can share memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyllama.kernels.executor import COUNTS, OP
from pyllama.kernels.jit import Library
from pyllama.kernels.kernel import Kernel

ALIGNMENT = 64


@dataclass(frozen=True, eq=False)
class Buffer:
    """Memory that lives from the launch that first writes it to the last that reads it."""

    name: str
    n_bytes: int


@dataclass(frozen=True)
class External:
    """Memory that outlives a step: a ``weight``, ``vector``, ``table``, ``keys``, ``values``,
    ``conv``, or what an op says of its own.

    ``offset``: bytes from its beginning.
    """

    kind: str
    name: str
    offset: int = 0


Memory = Buffer | External
Argument = int | float | Memory


@dataclass(frozen=True)
class Launch:
    """One kernel call of a plan, split into ``chunks * ceil(rows / group)`` tasks.

    ``count`` names the row count of the step (see ``COUNTS`` of the executor).
    """

    kernel: Kernel
    arguments: dict[str, Argument]
    reads: tuple[Memory, ...]
    writes: tuple[Memory, ...]
    label: str
    count: str = "one"
    chunks: int = 1
    group: int = 1

    def is_single(self, most_rows: Mapping[str, int]) -> bool:
        """Whether it has one task at most, if no more rows of a count come than these."""
        rows = most_rows.get(self.count)
        return self.chunks == 1 and rows is not None and rows <= self.group


@dataclass(frozen=True)
class Plan:
    """Launches with the barriers after them and the places of their buffers."""

    launches: tuple[Launch, ...]
    barriers: tuple[bool, ...]
    offsets: dict[Buffer, int]
    arena_bytes: int
    scratch_bytes: int
    tile_tokens: int
    result: Buffer


def make_plan(
    launches: Sequence[Launch],
    result: Buffer,
    scratch_bytes: int,
    tile_tokens: int,
    most_rows: Mapping[str, int] | None = None,
) -> Plan:
    """Assign memory and barriers.

    scratch_bytes: what a worker's tasks need at most; tile_tokens: how many neighbouring tokens of
    a sequence attend together; most_rows: how many there can be of each of ``COUNTS``, where that
    is known.
    """
    offsets, arena_bytes = _assign(launches, result)
    barriers = _barriers(launches, offsets, most_rows or {"one": 1})
    sizes = (arena_bytes, scratch_bytes, tile_tokens)
    return Plan(tuple(launches), barriers, offsets, *sizes, result)


def _assign(launches: Sequence[Launch], result: Buffer) -> tuple[dict[Buffer, int], int]:
    """First fit: a buffer takes the lowest place that no living buffer occupies."""
    last_use: dict[Buffer, int] = {}
    for i, launch in enumerate(launches):
        for memory in (*launch.reads, *launch.writes):
            if isinstance(memory, Buffer):
                last_use[memory] = i
    last_use[result] = len(launches)
    offsets: dict[Buffer, int] = {}
    living: list[Buffer] = []
    end = 0
    for i, launch in enumerate(launches):
        for memory in launch.writes:
            if isinstance(memory, Buffer) and memory not in offsets:
                offsets[memory] = _lowest_gap(memory.n_bytes, living, offsets)
                end = max(end, offsets[memory] + _rounded(memory.n_bytes))
                living.append(memory)
        living = [buffer for buffer in living if last_use[buffer] > i]
    return offsets, end


def _lowest_gap(n_bytes: int, living: Iterable[Buffer], offsets: dict[Buffer, int]) -> int:
    place = 0
    for buffer in sorted(living, key=offsets.__getitem__):
        if place + n_bytes <= offsets[buffer]:
            break
        place = max(place, offsets[buffer] + _rounded(buffer.n_bytes))
    return place


def _rounded(n_bytes: int) -> int:
    return -(-n_bytes // ALIGNMENT) * ALIGNMENT


@dataclass
class _Touched:
    """Memory that launches since the last barrier read or wrote."""

    offsets: dict[Buffer, int]
    memories: set[Memory] = field(default_factory=set)

    def meets(self, others: Iterable[Memory]) -> bool:
        """Whether any of the others is, or overlaps, something touched."""
        return any(self._same(a, b) for a in others for b in self.memories)

    def _same(self, a: Memory, b: Memory) -> bool:
        if not (isinstance(a, Buffer) and isinstance(b, Buffer)):
            return a == b
        first, second = self.offsets[a], self.offsets[b]
        return first < second + b.n_bytes and second < first + a.n_bytes


class _Open:
    """The launches since the last barrier: what they read, and what they wrote."""

    def __init__(self, offsets: dict[Buffer, int]) -> None:
        self._read, self._written = _Touched(offsets), _Touched(offsets)

    def add(self, launch: Launch) -> None:
        self._read.memories.update(launch.reads)
        self._written.memories.update(launch.writes)

    def must_end_before(self, launch: Launch) -> bool:
        touched = (*launch.reads, *launch.writes)
        return self._written.meets(touched) or self._read.meets(launch.writes)


def _barriers(
    launches: Sequence[Launch], offsets: dict[Buffer, int], most_rows: Mapping[str, int]
) -> tuple[bool, ...]:
    """A barrier stands before a launch that touches what another wrote since the last one.

    Not between launches of a single task each: all these run on the same thread, in order.
    """
    needed = [False] * len(launches)
    single, split = _Open(offsets), _Open(offsets)
    for i, launch in enumerate(launches):
        is_single = launch.is_single(most_rows)
        if split.must_end_before(launch) or (not is_single and single.must_end_before(launch)):
            needed[i - 1] = True
            single, split = _Open(offsets), _Open(offsets)
        (single if is_single else split).add(launch)
    return tuple(needed)


class Program:
    """A plan bound to addresses: what native code walks."""

    def __init__(
        self,
        plan: Plan,
        library: Library,
        arena: NDArray[np.uint8],
        external: Callable[[External], int],
    ) -> None:
        """``arena``: at least ``plan.arena_bytes``; ``external``: address of outside memory."""
        library.load(launch.kernel for launch in plan.launches)
        self.plan = plan

        def resolve(argument: Argument) -> int | float:
            if isinstance(argument, Buffer):
                return int(arena.ctypes.data) + plan.offsets[argument]
            return external(argument) if isinstance(argument, External) else argument

        # the records point into these blocks, which live as long as the program
        self._arguments = [
            launch.kernel.arguments.pack({k: resolve(v) for k, v in launch.arguments.items()})
            for launch in plan.launches
        ]
        self.records: NDArray[np.int64] = np.concatenate(
            [
                self._record(library, launch, block, barrier)
                for launch, block, barrier in zip(
                    plan.launches, self._arguments, plan.barriers, strict=True
                )
            ]
        )

    @staticmethod
    def _record(
        library: Library, launch: Launch, block: NDArray[Any], barrier: bool
    ) -> NDArray[np.int64]:
        return OP.pack(
            {
                "function": library.address(launch.kernel),
                "arguments": block.ctypes.data,
                "chunks": launch.chunks,
                "count": COUNTS.index(launch.count),
                "group": launch.group,
                "barrier": int(barrier),
            }
        )
