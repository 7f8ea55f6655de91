"""Measures the launches of a plan by making clocks part of it: native code walks it as any other.

    clock 0 | clock 1 | clock 2 | launch 0 | clock 3 | launch 1 | clock 4 | ...

Every bar is a barrier, so that no launch overlaps another. The first interval is that in which the
workers wake up, the second the cost of a clock and its barrier.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pyllama.graph.plan import Buffer, Launch, Plan
from pyllama.kernels.clock import stamp

_CLOCKS_BEFORE = 3
_TICK_BYTES = 8


def with_clocks(plan: Plan) -> tuple[Plan, Buffer]:
    """The plan with clocks between its launches, and the buffer of int64 that they write."""
    ticks = Buffer("ticks", (_CLOCKS_BEFORE + len(plan.launches)) * _TICK_BYTES)
    launches = [_clock(ticks, i) for i in range(_CLOCKS_BEFORE)]
    for i, launch in enumerate(plan.launches, start=_CLOCKS_BEFORE):
        launches += (launch, _clock(ticks, i))
    timed = Plan(
        tuple(launches),
        barriers=(True,) * len(launches),
        offsets=plan.offsets | {ticks: plan.arena_bytes},
        arena_bytes=plan.arena_bytes + ticks.n_bytes,
        scratch_bytes=plan.scratch_bytes,
        tile_tokens=plan.tile_tokens,
        result=plan.result,
    )
    return timed, ticks


def launch_ticks(ticks: NDArray[np.int64]) -> tuple[NDArray[np.float64], float]:
    """Median ticks of every launch, and of a clock itself, which they do not include.

    ticks: (steps, clocks) what the buffer held after each of several steps.
    """
    intervals = np.diff(ticks, axis=1)
    clock = float(np.median(intervals[:, 1]))
    launches = np.median(intervals[:, _CLOCKS_BEFORE - 1 :], axis=0)
    return np.maximum(launches - clock, 0), clock


def _clock(ticks: Buffer, index: int) -> Launch:
    return Launch(stamp(), {"ticks": ticks, "index": index}, (), (ticks,), f"clock {index}")
