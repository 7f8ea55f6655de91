"""Worker threads that wait in native code and walk a program together, one step at a time."""

from __future__ import annotations

import ctypes
import os
import threading
import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyllama.cpus import default_threads
from pyllama.errors import Interrupted, UsageError
from pyllama.graph.plan import Program
from pyllama.kernels import executor
from pyllama.kernels.jit import Library
from pyllama.placement import ANYWHERE, Placement

__all__ = ["MAX_THREADS", "WorkerPool", "default_threads"]

MAX_THREADS = 512
SPINS = 40_000
"""Pauses before a waiting thread sleeps, some 0.5 to 2 ms: more than there is between two tokens,
because to wake a thread takes as long as a token of a small model."""


class WorkerPool:
    """A number of threads, the caller of ``run`` being the first. One step runs at a time."""

    def __init__(self, library: Library, threads: int, placement: Placement = ANYWHERE) -> None:
        if not 1 <= threads <= MAX_THREADS:
            raise UsageError(
                f"{threads} threads asked for; between 1 and {MAX_THREADS} are possible"
            )
        library.load([executor.RUN, executor.WORK, executor.STOP])
        self.threads, self._placement = threads, placement
        self._run = _function(library, executor.RUN, ctypes.c_void_p)
        self._work = _function(library, executor.WORK, ctypes.c_void_p, ctypes.c_int64)
        self._stop = _function(library, executor.STOP, ctypes.c_void_p)
        self._library = library
        self._lock = threading.Lock()
        self._running: object = None
        self._start()

    def _start(self) -> None:
        self._process = os.getpid()
        self._job: tuple[Program, NDArray[np.int64]] | None = None
        self._capacity, self._counters = 0, _lines(0)
        self._memory = _lines(executor.POOL_BYTES // 8)
        self._address = int(self._memory.ctypes.data)
        self._abort_word = self._memory.view(np.int32)[executor.ABORT_OFFSET // 4 :].data
        workers = [
            threading.Thread(
                target=_serve,
                args=(self._placement, self._work, self._memory.ctypes.data, n),
                daemon=True,
            )
            for n in range(1, self.threads)
        ]
        for worker in workers:
            worker.start()
        # the workers use the memory and the code, so both must outlive them, not just this object
        self.close = weakref.finalize(
            self, _shut_down, self._process, self._stop, self._memory, workers, self._library
        )

    def run(self, program: Program, step: NDArray[np.int64], owner: object) -> None:
        """Compute one step; returns when it is done.

        Raises Interrupted when ``abort(owner)`` was called meanwhile.
        """
        with self._lock:
            self._placement.place(0)
            if os.getpid() != self._process:  # a forked child has none of the threads
                self._start()
            if self._job is None or self._job[0] is not program or self._job[1] is not step:
                self._publish(program, step)
            self._abort_word[0] = 0
            self._running = owner
            try:
                self._run(self._address)
            finally:
                self._running = None
            if self._abort_word[0]:
                raise Interrupted("stopped")

    def _publish(self, program: Program, step: NDArray[np.int64]) -> None:
        """Tell the threads what to compute, until they are told otherwise."""
        job = executor.POOL_JOB.pack(
            {
                "threads": self.threads,
                "spins": SPINS,
                "program": program.records.ctypes.data,
                "counters": self._counters_for(len(program.plan.launches)),
                "capacity": self._capacity,
                "n_ops": len(program.plan.launches),
                "step": step.ctypes.data,
            }
        )
        self._memory[: len(job)] = job
        self._job = program, step

    def _counters_for(self, ops: int) -> int:
        """The address of zeroed counters for so many ops; the same ones as long as they do."""
        if ops > self._capacity:
            self._capacity = -(-ops // (executor.LINE // 8)) * (executor.LINE // 8)
            self._counters = _lines(2 * self.threads * self._capacity)
        return int(self._counters.ctypes.data)

    def abort(self, owner: object) -> None:
        """Make a running step of ``owner`` stop soon; does nothing when none runs."""
        if self._running is owner:
            self._abort_word[0] = 1


def _lines(words: int) -> NDArray[np.int64]:
    """Zeros that begin with a cache line."""
    memory = np.zeros(words + executor.LINE // 8, np.int64)
    start = -memory.ctypes.data % executor.LINE // 8
    return memory[start : start + words]


def _serve(placement: Placement, work: Any, memory: int, thread: int) -> None:
    """The life of a worker. It holds no reference to the pool, which may thus be collected."""
    placement.place(thread)
    work(memory, thread)


def _function(library: Library, function: executor.ExecutorFunction, *types: Any) -> Any:
    return ctypes.CFUNCTYPE(None, *types)(library.address(function))


def _shut_down(
    process: int,
    stop: Any,
    memory: NDArray[np.int64],
    workers: list[threading.Thread],
    _code: Library,
) -> None:
    """Let the workers of a pool end; called when the pool is gone, at the latest at exit."""
    if os.getpid() == process:
        stop(memory.ctypes.data)
        for worker in workers:
            worker.join()
