"""Profiles: every op is there, the parts add up to the whole, the session is left as it was."""

from __future__ import annotations

import threading

import pytest
from models.cases import CASES
from models.tiny import write_tiny

from pyllama.errors import CapacityError, Interrupted, UsageError
from pyllama.graph.mode import Mode
from pyllama.graph.work import Work
from pyllama.model import Model
from pyllama.profile import FEWEST, OpTime, Profile, profile
from pyllama.session import Session


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    path = tmp_path_factory.mktemp("profile") / "tiny.gguf"
    write_tiny(next(case for case in CASES if case.name == "llama_gqa"), path)
    return Model.load(path)


@pytest.fixture
def session(model: Model) -> Session:
    return Session(model, context=64, ubatch=16, threads=2)


@pytest.mark.parametrize("tokens", [1, 4, 20])
def test_every_launch_is_timed(session: Session, tokens: int) -> None:
    session.evaluate([1, 2, 3])
    measured = profile(session, tokens, repetitions=3)
    plan = session.plan(Mode(tokens, 1))
    assert [op.name for op in measured.ops] == [launch.label for launch in plan.launches]
    assert (measured.tokens, measured.depth, measured.repetitions) == (tokens, 3, 3)
    assert (measured.threads, measured.isa) == (2, session.model.library.isa.name)
    assert measured.step_seconds > 0
    assert measured.clock_seconds > 0
    assert all(op.seconds >= 0 for op in measured.ops)
    assert measured.total.seconds > 0
    assert session.n_past == 3


def test_work_is_that_of_the_model(session: Session) -> None:
    total = profile(session, 1, repetitions=1).total
    matrices = [w for w in session.model.graph.weights() if len(w.shape) == 2]
    embedding, *others = matrices
    read = sum(4 * w.shape[0] * w.shape[1] for w in others) + 4 * embedding.shape[1]
    cached = session.cache_bytes // session.layout.capacity
    assert total.work.n_bytes == read + cached


@pytest.mark.parametrize(("seconds", "repetitions"), [(0, FEWEST), (1e9, FEWEST + 3)])
def test_repetitions_by_default(
    session: Session, seconds: float, repetitions: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyllama.profile.SECONDS", seconds)
    monkeypatch.setattr("pyllama.profile.MOST", FEWEST + 3)
    assert profile(session).repetitions == repetitions


def test_groups_add_up() -> None:
    ops = (
        OpTime("embd", "embedding", None, 1e-6, Work(100)),
        OpTime("blk.0.q", "matvec", 0, 2e-6, Work(4000, 8000)),
        OpTime("blk.0.q.int8", "quantize", 0, 0.0, Work()),
        OpTime("blk.1.q", "matvec", 1, 5e-6, Work(6000, 12000)),
    )
    measured = Profile(1, 0, 2, "avx2", 5, 7e-6, 1e-8, ops)
    assert [g.name for g in measured.grouped("kind")] == ["matvec", "embedding", "quantize"]
    assert [g.name for g in measured.grouped("op")] == [op.name for op in ops]
    layers = measured.grouped("layer")
    assert [(g.name, g.ops) for g in layers] == [("outside", 1), ("layer 0", 2), ("layer 1", 1)]
    for by in ("kind", "op", "layer"):
        groups = measured.grouped(by)
        assert sum(g.ops for g in groups) == measured.total.ops == 4
        assert sum(g.seconds for g in groups) == pytest.approx(8e-6)
        assert sum(g.share for g in groups) == pytest.approx(1)
        assert sum((g.work for g in groups), Work()) == measured.total.work == Work(10100, 20000)
    matvec = measured.grouped("kind")[0]
    assert (matvec.share, matvec.seconds) == pytest.approx((7 / 8, 7e-6))
    assert matvec.bytes_per_second == pytest.approx(10000 / 7e-6)
    assert matvec.flops_per_second == pytest.approx(20000 / 7e-6)
    assert measured.grouped("kind")[2].bytes_per_second == 0


def test_what_cannot_be_measured(session: Session) -> None:
    with pytest.raises(UsageError, match="tokens is 0"):
        profile(session, 0)
    with pytest.raises(UsageError, match="repetitions is -1"):
        profile(session, 1, repetitions=-1)
    with pytest.raises(CapacityError, match="65 tokens do not fit"):
        profile(session, 65)


def test_it_can_be_stopped(session: Session) -> None:
    stop = threading.Event()

    def insist() -> None:
        while not stop.wait(0.001):
            session.abort()

    stopper = threading.Thread(target=insist)
    stopper.start()
    try:
        with pytest.raises(Interrupted):
            profile(session, 20, repetitions=100_000)
    finally:
        stop.set()
        stopper.join()
