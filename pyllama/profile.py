"""Measures where the time of a step goes: every launch of its plan, run natively again and again.

What is measured are steps that follow what a session holds and that it does not keep, so every one
does the same work. Steps with clocks between their ops alternate with plain ones: a plain step is
faster, because its ops may overlap.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from pyllama.errors import TargetError, UsageError
from pyllama.graph.describe import kind_of, layer_of
from pyllama.graph.graph import Node
from pyllama.graph.mode import Mode
from pyllama.graph.plan import Launch, Plan
from pyllama.graph.timing import launch_ticks, with_clocks
from pyllama.graph.work import StepSize, Work, work_of
from pyllama.session import Session

SECONDS = 1.0
"""How long to measure when no number of repetitions is given."""

FEWEST, MOST = 5, 200
"""Repetitions then, at least and at most."""


@dataclass(frozen=True)
class OpTime:
    """A launch of the plan: its name, its kernel, the layer it belongs to, and what it took."""

    name: str
    kind: str
    layer: int | None
    seconds: float
    work: Work


@dataclass(frozen=True)
class Group:
    """Ops taken together. ``share`` is the part of the time of all ops, 0 to 1."""

    name: str
    ops: int
    seconds: float
    share: float
    work: Work

    @property
    def bytes_per_second(self) -> float:
        """Weights and cached keys and values that were read; 0 where time is too short to tell."""
        return self.work.n_bytes / self.seconds if self.seconds else 0.0

    @property
    def flops_per_second(self) -> float:
        """Floating-point operations; 0 where time is too short to tell."""
        return self.work.flops / self.seconds if self.seconds else 0.0


@dataclass(frozen=True)
class Profile:
    """Times of a step of ``tokens`` tokens, of which ``depth`` others were before it.

    All are medians over ``repetitions`` in seconds: ``step_seconds`` of a plain step, ``ops`` of
    the launches one after the other, without ``clock_seconds``, which measuring each of them cost.
    """

    tokens: int
    depth: int
    threads: int
    isa: str
    repetitions: int
    step_seconds: float
    clock_seconds: float
    ops: tuple[OpTime, ...]

    @property
    def total(self) -> Group:
        """All ops."""
        return self._group("total", self.ops)

    def grouped(self, by: str) -> list[Group]:
        """Ops by ``kind``, the slowest first, or by ``op`` or ``layer``, in their order."""
        name = _NAMES[by]
        parts: dict[str, list[OpTime]] = {}
        for op in self.ops:
            parts.setdefault(name(op), []).append(op)
        groups = [self._group(name, ops) for name, ops in parts.items()]
        return sorted(groups, key=lambda g: -g.seconds) if by == "kind" else groups

    def _group(self, name: str, ops: Sequence[OpTime]) -> Group:
        seconds, whole = (sum(op.seconds for op in part) for part in (ops, self.ops))
        work = sum((op.work for op in ops), Work())
        return Group(name, len(ops), seconds, seconds / whole if whole else 0.0, work)


_NAMES: dict[str, Callable[[OpTime], str]] = {
    "kind": lambda op: op.kind,
    "op": lambda op: op.name,
    "layer": lambda op: "outside" if op.layer is None else f"layer {op.layer}",
}


def profile(session: Session, tokens: int = 1, repetitions: int | None = None) -> Profile:
    """Measure steps of so many tokens that follow what the session holds, and leave it as it is.

    repetitions: of both kinds of steps; by default as many as take about a second.

    Raises UsageError for numbers out of range, CapacityError when the tokens do not fit into the
    context, Interrupted after ``session.abort``.
    """
    for name, value in (("tokens", tokens), ("repetitions", repetitions)):
        if value is not None and value < 1:
            raise UsageError(f"{name} is {value}; it must be at least 1")
    mode = Mode(tokens, outputs=1)
    plan = session.plan(mode)
    series = _Series(session, plan, mode)
    steps, ticks, seconds_per_tick = series.run(repetitions or series.fitting(SECONDS))
    launches, clock = launch_ticks(ticks)
    size = StepSize(mode, session.n_past, session.layout)
    nodes = {node.output.name: node for node in session.model.graph.nodes}
    return Profile(
        tokens=tokens,
        depth=session.n_past,
        threads=session.threads,
        isa=session.model.library.isa.name,
        repetitions=len(steps),
        step_seconds=float(np.median(steps)),
        clock_seconds=clock * seconds_per_tick,
        ops=tuple(
            _op_time(launch, nodes.get(launch.label), seconds, size)
            for launch, seconds in zip(plan.launches, launches * seconds_per_tick, strict=True)
        ),
    )


class _Series:
    """The same step again and again: a plain one, one with clocks, in turn."""

    def __init__(self, session: Session, plan: Plan, mode: Mode) -> None:
        timed, ticks = with_clocks(plan)
        self._session = session
        self._plain, self._timed = session.bind(plan, mode), session.bind(timed, mode)
        self._ticks = self._timed.memory(ticks).view(np.int64)
        self._tokens = np.random.default_rng(1).integers(0, session.model.n_vocab, mode.tokens)
        self._both()  # the first steps read the file

    def fitting(self, seconds: float) -> int:
        """How many repetitions fit into a time, within bounds."""
        started = perf_counter()
        self._both()
        return min(MOST, max(FEWEST, int(seconds / (perf_counter() - started))))

    def run(self, repetitions: int) -> tuple[NDArray[np.float64], NDArray[np.int64], float]:
        """Seconds of each plain step, (repetitions, clocks) ticks, and seconds a tick."""
        steps = np.empty(repetitions)
        ticks = np.empty((repetitions, len(self._ticks)), np.int64)
        self._session.rehearse(self._timed, self._tokens)
        first, started = int(self._ticks[-1]), perf_counter()
        for i in range(repetitions):
            steps[i] = self._both()
            ticks[i] = self._ticks
        elapsed = perf_counter() - started
        passed = int(ticks[-1, -1]) - first
        if passed <= 0:
            raise TargetError("this processor's clock stands still: ops cannot be timed")
        return steps, ticks, elapsed / passed

    def _both(self) -> float:
        """A step of each kind; the seconds of the plain one."""
        started = perf_counter()
        self._session.rehearse(self._plain, self._tokens)
        seconds = perf_counter() - started
        self._session.rehearse(self._timed, self._tokens)
        return seconds


def _op_time(launch: Launch, node: Node | None, seconds: float, size: StepSize) -> OpTime:
    """``node``: that which the launch computes; those that prepare or store something have none."""
    work = work_of(node, size) if node else Work()
    return OpTime(launch.label, kind_of(launch), layer_of(launch.label), float(seconds), work)
