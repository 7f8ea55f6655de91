"""Programs of several ops on several threads: same result, stoppable, asleep when idle."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from pyllama.errors import Interrupted, UsageError
from pyllama.graph.plan import Argument, Buffer, External, Launch, Program, make_plan
from pyllama.kernels.elementwise import add, gate, rms_norm
from pyllama.kernels.jit import Library
from pyllama.kernels.kernel import STEP, Array, Fields, kernel
from pyllama.kernels.language import Builder, Value
from pyllama.kernels.target import select
from pyllama.kernels.types import i64
from pyllama.threads import MAX_THREADS, WorkerPool

TOKENS, WIDTH = 37, 96
LAYERS = 12
OWNER = object()


@kernel(counts=Array(i64), spins=i64)
def count_up(
    k: Builder,
    a: Fields,
    step: Fields,  # noqa: ARG001
    *,
    task: Value,
    thread: Value,  # noqa: ARG001
) -> None:
    """Add one to the task's count, slowly."""
    with k.loop(a.spins):
        k.isa.pause(k)
    k.atomic_add(a.counts.at(task), 1)


@kernel(later=Array(i64), seen=Array(i64), spins=i64)
def watch(
    k: Builder,
    a: Fields,
    step: Fields,  # noqa: ARG001
    *,
    task: Value,
    thread: Value,  # noqa: ARG001
) -> None:
    """The first task notes, for a while, whether a later op has begun."""
    with k.when(task.equals(0)), k.loop(a.spins):
        k.isa.pause(k)
        k.atomic_add(a.seen.at(0), k.atomic_load(a.later.at(0)))


@kernel(threads=Array(i64), waits=Array(i64))
def wait_and_note(
    k: Builder,
    a: Fields,
    step: Fields,  # noqa: ARG001
    *,
    task: Value,
    thread: Value,
) -> None:
    """Write which thread does a task, after so many pauses."""
    with k.loop(a.waits[task]):
        k.isa.pause(k)
    a.threads[task] = thread


class Chain:
    """A program in which every op needs all of the one before: norm, gate, sum, again and again."""

    def __init__(self, library: Library) -> None:
        rng = np.random.default_rng(3)
        self.x = rng.normal(0, 1, (TOKENS, WIDTH)).astype(np.float32)
        self.weight = rng.normal(1, 0.1, WIDTH).astype(np.float32)
        memory = {"x": self.x, "weight": self.weight}
        plan = make_plan(list(self._launches()), self.result, 0, 1)
        self.arena = np.zeros(plan.arena_bytes, np.uint8)
        self.program = Program(
            plan, library, self.arena, lambda outside: int(memory[outside.name].ctypes.data)
        )
        place = plan.offsets[self.result]
        self.out = self.arena[place : place + TOKENS * WIDTH * 4].view(np.float32)

    def _launches(self) -> Iterator[Launch]:
        x: Buffer | External = External("vector", "x")
        weight = External("vector", "weight")
        for layer in range(LAYERS):
            normed, gated, total = (
                Buffer(f"{name}{layer}", TOKENS * WIDTH * 4)
                for name in ("normed", "gated", "total")
            )
            norm: dict[str, Argument] = {
                "x": x, "weight": weight, "out": normed, "width": WIDTH, "stride": 0, "groups": 1,
                "eps": 1e-5,
            }  # fmt: skip
            yield Launch(rms_norm(), norm, (x, weight), (normed,), "norm", "n_tokens")
            halves: dict[str, Argument] = {"gate": normed, "up": x, "out": gated, "width": WIDTH}
            yield Launch(gate(activation="silu"), halves, (normed, x), (gated,), "gate", "n_tokens")
            sum_: dict[str, Argument] = {
                "x": x,
                "y": gated,
                "out": total,
                "width": WIDTH,
                "scale": 1.0,
            }
            yield Launch(add(), sum_, (x, gated), (total,), "sum", "n_tokens")
            self.result = x = total

    def run(self, pool: WorkerPool) -> NDArray[np.float32]:
        """The result, computed anew."""
        self.arena[:] = 0
        pool.run(self.program, step(), owner=self)
        return self.out.copy()


def step(tokens: int = TOKENS) -> NDArray[np.int64]:
    """A step that has tokens and nothing else."""
    return STEP.pack(dict.fromkeys(STEP.fields, 0) | {"n_tokens": tokens})


@pytest.fixture
def library(library_of: Callable[[str], Library]) -> Library:
    """The best target: the executor has no code that depends on it."""
    return library_of(select().name)


@pytest.fixture
def pools(library: Library) -> Iterator[list[WorkerPool]]:
    """Pools of one to four threads."""
    pools = [WorkerPool(library, n) for n in range(1, 5)]
    yield pools
    for pool in pools:
        pool.close()


def test_any_number_of_threads_computes_the_same(library: Library, pools: list[WorkerPool]) -> None:
    chain = Chain(library)
    expected = chain.run(pools[0])
    assert np.ptp(expected) > 1
    for _ in range(20):
        for pool in pools:
            np.testing.assert_array_equal(chain.run(pool), expected)


class Counting:
    """Ops that count their tasks: ``chunks`` for each group of the rows that are counted."""

    def __init__(
        self, library: Library, ops: list[tuple[str, int, int]], spins: int = 0, most: int = 4096
    ) -> None:
        """``ops``: row count, chunks, group."""
        self.counts = np.zeros((len(ops), most), np.int64)
        names = {str(i): row for i, row in enumerate(self.counts)}
        launches = []
        for i, (count, chunks, group) in enumerate(ops):
            place = External("vector", str(i))
            arguments: dict[str, Argument] = {"counts": place, "spins": spins}
            launches.append(
                Launch(count_up(), arguments, (), (place,), "count", count, chunks, group)
            )
        plan = make_plan(launches, Buffer("nothing", 0), 0, 1)
        self.program = Program(
            plan, library, np.zeros(64, np.uint8), lambda x: int(names[x.name].ctypes.data)
        )


def test_every_task_is_done_once(library: Library, pools: list[WorkerPool]) -> None:
    ops = [
        ("one", 5, 1), ("n_tokens", 1, 1), ("n_tokens", 3, 16), ("n_outputs", 2, 1),
        ("n_tiles", 4, 1), ("one", 1, 1), ("n_tokens", 1, 64),
    ]  # fmt: skip
    tasks = [5, 33, 9, 14, 12, 1, 1]
    counting = Counting(library, ops)
    values = STEP.pack(
        dict.fromkeys(STEP.fields, 0) | {"n_tokens": 33, "n_outputs": 7, "n_tiles": 3}
    )
    for runs, pool in enumerate(pools, start=1):
        pool.run(counting.program, values, owner=OWNER)
        for n, counts in zip(tasks, counting.counts, strict=True):
            assert (counts[:n] == runs).all()
            assert not counts[n:].any()


def test_programs_of_any_length_take_turns(library: Library, pools: list[WorkerPool]) -> None:
    counting = [Counting(library, [("one", 7, 1)] * n_ops, most=8) for n_ops in (3, 40, 1)]
    order = np.random.default_rng(5).integers(0, len(counting), 60)
    for pool in pools:
        for which in order:
            pool.run(counting[which].program, step(), owner=OWNER)
    for which, one in enumerate(counting):
        runs = len(pools) * np.count_nonzero(order == which)
        assert (one.counts[:, :7] == runs).all()
        assert not one.counts[:, 7:].any()


@kernel(threads=Array(i64))
def note_thread(
    k: Builder,  # noqa: ARG001
    a: Fields,
    step: Fields,  # noqa: ARG001
    *,
    task: Value,
    thread: Value,
) -> None:
    """Write which thread does a task."""
    a.threads[task] = thread


def test_as_many_tasks_as_threads_are_one_for_each(
    library: Library, pools: list[WorkerPool]
) -> None:
    """And a single task is always the first thread's."""
    seen = np.zeros((2, len(pools)), np.int64)
    rows = [External("vector", str(i)) for i in range(2)]
    launches = [
        Launch(note_thread(), {"threads": row}, (), (row,), "note", chunks=chunks)
        for row, chunks in zip(rows, (1, len(pools)), strict=True)
    ]
    plan = make_plan(launches, Buffer("nothing", 0), 0, 1)
    program = Program(
        plan, library, np.zeros(64, np.uint8), lambda x: int(seen[int(x.name)].ctypes.data)
    )
    for _ in range(50):
        for pool in pools:
            seen[:] = -1
            pool.run(program, step(), owner=OWNER)
            assert seen[0].tolist() == [0] + [-1] * (len(pools) - 1)
            if pool.threads == len(pools):
                assert seen[1].tolist() == [*range(len(pools))]


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_do_what_is_left_of_the_shares_of_others(library: Library, threads: int) -> None:
    """The first task of all takes as long as all others do together, many times over."""
    seen, waits = np.zeros(64, np.int64), np.zeros(64, np.int64)
    waits[0] = 3_000_000
    memory = {"seen": seen, "waits": waits}
    names = {name: External("vector", name) for name in memory}
    launch = Launch(
        wait_and_note(), {"threads": names["seen"], "waits": names["waits"]}, (),
        (names["seen"],), "note", chunks=64,
    )  # fmt: skip
    program = Program(
        make_plan([launch], Buffer("nothing", 0), 0, 1),
        library,
        np.zeros(64, np.uint8),
        lambda x: int(memory[x.name].ctypes.data),
    )
    pool = WorkerPool(library, threads)
    pool.run(program, step(), owner=OWNER)  # threads start
    pool.run(program, step(), owner=OWNER)
    pool.close()
    assert np.count_nonzero(seen == seen[0]) < 64 // threads  # less than its share


def test_an_op_waits_for_all_tasks_of_those_before(
    library: Library, pools: list[WorkerPool]
) -> None:
    later, seen = External("vector", "later"), External("vector", "seen")
    memory = {"later": np.zeros(1, np.int64), "seen": np.zeros(1, np.int64)}
    spins: dict[str, Argument] = {"spins": 500_000}
    launches = [
        Launch(watch(), {"later": later, "seen": seen, **spins}, (later,), (seen,), "a", chunks=8),
        Launch(count_up(), {"counts": later, "spins": 0}, (), (later,), "b"),
    ]
    plan = make_plan(launches, Buffer("nothing", 0), 0, 1)
    program = Program(
        plan, library, np.zeros(64, np.uint8), lambda x: int(memory[x.name].ctypes.data)
    )
    for pool in pools[1:]:
        for _ in range(2):
            memory["later"][0] = 0
            pool.run(program, step(), owner=OWNER)
            assert memory["later"][0] == 1
            assert memory["seen"][0] == 0


def test_a_step_without_tokens_does_nothing(library: Library, pools: list[WorkerPool]) -> None:
    counting = Counting(library, [("n_tokens", 3, 16), ("n_outputs", 1, 1)])
    for pool in pools:
        pool.run(counting.program, step(0), owner=OWNER)
    assert not counting.counts.any()


def test_abort_stops_a_step_soon(library: Library, pools: list[WorkerPool]) -> None:
    tasks = 1 << 16
    counting = Counting(library, [("one", tasks, 1)] * 2, spins=10_000, most=tasks)
    for pool in pools:
        owner = object()
        timer = threading.Timer(0.05, pool.abort, (owner,))
        timer.start()
        started = time.perf_counter()
        with pytest.raises(Interrupted):
            pool.run(counting.program, step(), owner)
        assert time.perf_counter() - started < 2
        timer.join()
    done = counting.counts.sum()
    assert 0 < done < tasks
    chain = Chain(library)
    np.testing.assert_array_equal(chain.run(pools[3]), chain.run(pools[0]))


def test_abort_of_someone_else_stops_nothing(library: Library, pools: list[WorkerPool]) -> None:
    pools[1].abort(object())
    counting = Counting(library, [("one", 100, 1)])
    pools[1].run(counting.program, step(), owner=OWNER)
    assert counting.counts.sum() == 100


def test_idle_workers_sleep(library: Library, pools: list[WorkerPool]) -> None:
    chain = Chain(library)
    for pool in pools:
        chain.run(pool)
    time.sleep(0.05)
    before = time.process_time()
    time.sleep(0.3)
    assert time.process_time() - before < 0.05
    np.testing.assert_array_equal(chain.run(pools[3]), chain.run(pools[0]))


def test_closed_pools_leave_no_threads(library: Library) -> None:
    before = threading.active_count()
    pool = WorkerPool(library, 4)
    assert threading.active_count() == before + 3
    pool.close()
    pool.close()
    assert threading.active_count() == before


@pytest.mark.parametrize("threads", [0, -1, MAX_THREADS + 1])
def test_numbers_of_threads_that_are_refused(threads: int, library: Library) -> None:
    with pytest.raises(UsageError, match=str(threads)):
        WorkerPool(library, threads)
