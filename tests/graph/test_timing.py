"""Plans with clocks compute what they computed, and the clocks run."""

from __future__ import annotations

import numpy as np
import pytest
from models.cases import CASES
from models.tiny import write_tiny

from pyllama.graph.mode import Mode
from pyllama.graph.timing import launch_ticks, with_clocks
from pyllama.kernels.clock import stamp
from pyllama.kernels.isa.arm import NEON
from pyllama.kernels.isa.x86 import AVX2
from pyllama.kernels.jit import assembly_for
from pyllama.model import Model
from pyllama.session import Session


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    path = tmp_path_factory.mktemp("timing") / "tiny.gguf"
    write_tiny(next(case for case in CASES if case.name == "llama_gqa"), path)
    return Session(Model.load(path), context=64, ubatch=1, threads=2)


@pytest.mark.parametrize("tokens", [1, 5, 20])
def test_clocks_stand_between_all_launches_and_change_nothing(
    session: Session, tokens: int
) -> None:
    mode = Mode(tokens, 1)
    plan = session.plan(mode)
    timed, ticks = with_clocks(plan)
    kernels = [launch.kernel for launch in timed.launches]
    assert timed.launches[3::2] == plan.launches
    assert kernels[:3] == [stamp()] * 3
    assert set(kernels[4::2]) == {stamp()}
    assert all(timed.barriers)
    assert all(timed.offsets[buffer] == place for buffer, place in plan.offsets.items())
    assert plan.arena_bytes <= timed.offsets[ticks] < timed.arena_bytes

    ids = np.arange(tokens)
    plain, clocked = session.bind(plan, mode), session.bind(timed, mode)
    for program in (plain, clocked):
        session.rehearse(program, ids)
    assert np.array_equal(plain.logits, clocked.logits)
    read = clocked.memory(ticks).view(np.int64)
    assert len(read) == len(plan.launches) + 3
    assert (np.diff(read) > 0).all()


def test_ticks_of_launches_are_medians_without_the_clock() -> None:
    intervals = [[50, 2, 10, 1, 30], [900, 4, 14, 3, 20], [40, 3, 99, 2, 25]]
    ticks = np.cumsum([[1000, *row] for row in intervals], axis=1)
    launches, clock = launch_ticks(ticks)
    assert clock == 3
    assert launches.tolist() == [11, 0, 22]


def test_a_rehearsal_is_forgotten(session: Session) -> None:
    session.reset()
    session.evaluate([1, 2, 3])
    expected = session.evaluate([4])
    session.truncate(3)
    mode = Mode(5, 1)
    session.rehearse(session.bind(session.plan(mode), mode), [9, 8, 7, 6, 5])
    assert session.n_past == 3
    assert np.array_equal(session.evaluate([4]), expected)


def test_the_clock_is_one_that_programs_may_read() -> None:
    assert "rdtsc" in assembly_for(AVX2(frozenset(AVX2.needs)), stamp())
    everything = frozenset((*NEON.needs, *NEON.uses))
    assert "CNTVCT_EL0" in assembly_for(NEON(everything), stamp())
