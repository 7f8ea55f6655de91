"""The native side of a step: every worker walks the same program, with barriers between its ops.

A program is an array of ``OP`` records. An op is split into independent tasks. Each thread has a
share of neighbours, which it does one after the other, as memory is read fastest; whoever is done
helps the others with what is left of theirs, so that a slow core does not hold them up. A single
task is always the leader's, and between ops of one task no barrier is needed. Workers wait by
spinning briefly and then sleeping; an idle pool costs nothing.

    leader   run(pool)            publishes a step, works as thread 0, returns when all is done
    workers  work(pool, thread)   take part in every step until the pool is stopped
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

from pyllama.kernels.isa.base import ISA
from pyllama.kernels.kernel import STEP, Array, Fields, Struct
from pyllama.kernels.language import Builder, Pointer, Value, function_ir
from pyllama.kernels.types import Type, i32, i64, pointer, u8

OP = Struct(
    function=pointer,  # the kernel
    arguments=pointer,  # what it was bound to
    chunks=i64,  # tasks for each group of rows
    count=i64,  # which row count of the step it works on: COUNTS
    group=i64,  # rows in a group: the op has chunks * ceil(rows / group) tasks
    barrier=i64,  # 1: the next op needs what this one writes
)

COUNTS = ("one", "n_tokens", "n_outputs", "n_tiles")
"""Row counts that an op may have: a single one, or a field of the step."""

LINE = 64
"""Bytes of a cache line: what different threads write stands in different lines."""

_POOL_FIELDS = ("generation", "arrived", "phase", "sleepers", "stop", "abort")


def _pool_offset(name: str) -> int:
    return LINE * (1 + _POOL_FIELDS.index(name))


POOL_JOB = Struct(
    threads=i64,
    spins=i64,
    program=Array(u8),
    counters=Array(i64),  # (2, threads, capacity): tasks handed out of each thread's share of an op
    capacity=i64,  # ops that there are counters for, in whole lines
    n_ops=i64,
    step=pointer,
)
"""First cache line of the pool: how many threads, how long to spin, and the current job."""

POOL_BYTES = LINE * (1 + len(_POOL_FIELDS))
STOP_OFFSET, ABORT_OFFSET = _pool_offset("stop"), _pool_offset("abort")

_FUTEX_NUMBER = {"x86_64": 202, "aarch64": 98}
_FUTEX_WAIT_PRIVATE, _FUTEX_WAKE_PRIVATE = 128, 129
_WAKE_ALL = 2**31 - 1
_POLL_MICROSECONDS = 200

_SPINS_PER_YIELD = 64
"""Pauses between two offers of the processor to others: a few microseconds."""


class _Pool:
    """The pool's memory as native code sees it."""

    def __init__(self, k: Builder, address: Value) -> None:
        self.k = k
        self.base = Pointer(k, address.ir, u8)
        self.job = POOL_JOB.live(k, address)

    def word(self, name: str) -> Pointer:
        return self.base.at(_pool_offset(name)).of(i32)

    def counters(self, turn: Value, thread: Value) -> Pointer:
        """How many tasks of a thread's share are handed out, for each op.

        Steps use one half of the counters by turns: while one is in use, every thread sets its
        own of the other back, which nobody looks at then.
        """
        job = self.job
        return job.counters.at(((turn & 1) * job.threads + thread) * job.capacity)

    def wait_until_changed(self, name: str, seen: Value) -> None:
        """Spin for a while, then sleep, until a word is no longer what it was."""
        k, word = self.k, self.word(name)
        spins = k.variable(k.zero(i64))
        with k.repeat() as leave_if:
            leave_if(k.atomic_load(word).differs(seen))
            k.isa.pause(k)
            spins.value = spins.value + 1
            with k.when((spins.value % _SPINS_PER_YIELD).equals(0)):
                _yield(k)
            with k.when(spins.value > self.job.spins):
                k.atomic_add(self.word("sleepers"), 1)
                _sleep(k, word, seen)
                k.atomic_add(self.word("sleepers"), -1)

    def change(self, name: str, value: Value) -> None:
        """Set a word and wake whoever sleeps on it."""
        word = self.word(name)
        self.k.atomic_store(word, value)
        with self.k.when(self.k.atomic_load(self.word("sleepers")) > 0):
            _wake(self.k, word)

    def barrier(self) -> None:
        """Wait until every thread has come here."""
        k = self.k
        phase = k.atomic_load(self.word("phase"))
        position = k.atomic_add(self.word("arrived"), 1)
        last = (position + 1).equals(self.job.threads.to(i32))
        with k.either(last) as (then, otherwise):
            with then:
                k.atomic_store(self.word("arrived"), 0)
                self.change("phase", phase + 1)
            with otherwise:
                self.wait_until_changed("phase", phase)


def _yield(k: Builder) -> None:
    """Let another thread have the processor: the one that is waited for may need just this one."""
    if sys.platform == "win32":
        k.call("SwitchToThread", i32)
    else:
        k.call("sched_yield", i32)


def _sleep(k: Builder, word: Pointer, seen: Value) -> None:
    """Sleep while the word has this value; may return early."""
    if sys.platform == "linux":
        _futex(k, word, _FUTEX_WAIT_PRIVATE, seen)
    elif sys.platform == "win32":
        k.call("Sleep", None, k.const(i32, 1))
    else:
        k.call("usleep", i32, k.const(i32, _POLL_MICROSECONDS))


def _wake(k: Builder, word: Pointer) -> None:
    """Wake all who sleep on a word; where sleeping is polling there is nothing to do."""
    if sys.platform == "linux":
        _futex(k, word, _FUTEX_WAKE_PRIVATE, k.const(i32, _WAKE_ALL))


def _futex(k: Builder, word: Pointer, operation: int, value: Value) -> None:
    number = _FUTEX_NUMBER[k.isa.triple.split("-")[0]]
    no_timeout = k.zero(i64)
    arguments = (k.const(i64, operation), value.to(i64), no_timeout)
    k.call("syscall", i64, k.const(i64, number), word.address, *arguments)


def _tasks(k: Builder, op: Fields, step: Fields) -> Value:
    """How many tasks an op has in this step."""
    rows = k.const(i64, 1)
    for number, name in enumerate(COUNTS[1:], start=1):
        rows = k.select(op.count.equals(number), getattr(step, name), rows)
    return op.chunks * ((rows + op.group - 1) // op.group)


def _walk(k: Builder, pool: _Pool, thread: Value, turn: Value) -> None:
    """Do this thread's share of every op of the program, and help the others with theirs."""
    step, program, threads = pool.job.step, pool.job.program, pool.job.threads
    unused = pool.counters(turn + 1, thread)
    with k.loop(pool.job.capacity) as i:
        unused[i] = k.zero(i64)
    with k.loop(pool.job.n_ops) as i:
        op = OP.live(k, program.at(i * OP.size).address)
        tasks = _tasks(k, op, STEP.live(k, step))
        function, arguments = op.function, op.arguments
        helped = k.select(tasks > threads, threads, k.const(i64, 1))
        with k.loop(helped) as other:
            owner = (thread + other) % threads
            first, stop = ((tasks * n + threads - 1) // threads for n in (owner, owner + 1))
            counter = pool.counters(turn, owner).at(i)
            with k.repeat() as leave_if:
                leave_if(first + k.atomic_load(counter) >= stop)
                task = first + k.atomic_add(counter, 1)
                leave_if((task >= stop) | k.atomic_load(pool.word("abort")).differs(0))
                k.call_pointer(function, None, arguments, step, task, thread)
        with k.when(op.barrier.differs(0)):
            pool.barrier()
    pool.barrier()


def _work(k: Builder, address: Value, thread: Value) -> None:
    pool = _Pool(k, address)
    seen = k.variable(k.zero(i32))
    with k.repeat() as leave_if:
        pool.wait_until_changed("generation", seen.value)
        leave_if(k.atomic_load(pool.word("stop")).differs(0))
        seen.value = k.atomic_load(pool.word("generation"))
        _walk(k, pool, thread, seen.value.to(i64))


def _run(k: Builder, address: Value) -> None:
    pool = _Pool(k, address)
    generation = k.atomic_load(pool.word("generation")) + 1
    pool.change("generation", generation)
    _walk(k, pool, k.zero(i64), generation.to(i64))


def _stop(k: Builder, address: Value) -> None:
    pool = _Pool(k, address)
    k.atomic_store(pool.word("stop"), 1)
    pool.change("generation", k.atomic_load(pool.word("generation")) + 1)


@dataclass(frozen=True)
class ExecutorFunction:
    """One native function of the executor."""

    symbol: str
    parameters: tuple[Type, ...]
    body: Callable[..., None]

    def ir(self, isa: ISA) -> str:
        """LLVM IR for an instruction set."""
        return function_ir(self.symbol, isa, self.parameters, None, self.body)


RUN = ExecutorFunction("pyllama_run", (pointer,), _run)
"""``run(pool)``: publish the job, take part as thread 0, return when every op is done."""

WORK = ExecutorFunction("pyllama_work", (pointer, i64), _work)
"""``work(pool, thread)``: take part in every job until the pool is stopped."""

STOP = ExecutorFunction("pyllama_stop", (pointer,), _stop)
"""``stop(pool)``: let the workers return."""
