"""Running a plan: what is evaluated, what is timed, and that it can be stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from models.cases import CASES
from models.tiny import metadata, tensors, write_tiny

from pyllama.bench import Benchmark, BenchmarkPlan, Event, Finished, Result, Stage, Started
from pyllama.bench import measure as measuring
from pyllama.bench.ceilings import Ceilings, measure_ceilings
from pyllama.errors import Interrupted, ModelError
from pyllama.gguf import TensorType, write_gguf
from pyllama.graph.mode import Mode
from pyllama.graph.work import StepSize, Work, work_of
from pyllama.kernels import target
from pyllama.kernels.jit import Library
from pyllama.model import Model
from pyllama.session import Session
from pyllama.threads import WorkerPool

CASE = next(case for case in CASES if case.name == "llama_gqa")

Calls = list[tuple[int, list[int]]]
"""How many tokens a session held, and the tokens that it was given."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bench") / "tiny.gguf"
    write_tiny(CASE, path)
    return path


@pytest.fixture
def evaluated(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """What a session held, and the tokens that it was given, at every evaluation."""
    seen: Calls = []
    evaluate, advance = Session.evaluate, Session.advance

    def record(self: Session, tokens: Any) -> Any:
        seen.append((self.n_past, list(tokens)))
        return evaluate(self, tokens)

    def record_one(self: Session, token: int) -> Any:
        seen.append((self.n_past, [token]))
        return advance(self, token)

    monkeypatch.setattr(Session, "evaluate", record)
    monkeypatch.setattr(Session, "advance", record_one)
    return seen


def sizes(calls: Calls) -> list[tuple[int, int]]:
    """How many tokens a session held and was given."""
    return [(held, len(tokens)) for held, tokens in calls]


def run(plan: BenchmarkPlan) -> list[Event]:
    return list(Benchmark(plan))


def results(events: list[Event]) -> list[Result]:
    return [event.result for event in events if isinstance(event, Finished)]


def plan(model: Path, **changes: Any) -> BenchmarkPlan:
    sizes: dict[str, Any] = {"n_prompt": (8,), "n_gen": (), "n_threads": (1,), "repetitions": 2}
    return BenchmarkPlan((model,), **{**sizes, **changes})


def test_events(model: Path) -> None:
    events = run(plan(model, n_gen=(2,), n_depth=(4,)))
    assert [type(e) for e in events if not isinstance(e, Stage)] == [Started, Finished] * 2
    assert [(e.index, e.name, e.number, e.of) for e in events if isinstance(e, Stage)] == [
        (1, "depth", 1, 1),
        (1, "warm-up", 1, 1),
        (1, "repetition", 1, 2),
        (1, "repetition", 2, 2),
        (2, "warm-up", 1, 1),
        (2, "repetition", 1, 2),
        (2, "repetition", 2, 2),
    ]
    assert all(e.count == 2 for e in events)


def test_every_sample_is_kept(model: Path) -> None:
    (result,) = results(run(plan(model, n_prompt=(), n_pg=((8, 3),), repetitions=4)))
    assert len(result.samples_ns) == len(result.first_token_ns) == 4
    pairs = zip(result.first_token_ns, result.samples_ns, strict=True)
    assert all(0 < first < whole for first, whole in pairs)
    assert result.model.type.startswith("llama ?B")
    assert result.isa == target.select().name
    assert result.peak_bytes is not None
    assert result.time.endswith("Z")
    assert result.ceilings is None


def test_the_cache_is_empty_before_each_repetition(model: Path, evaluated: Calls) -> None:
    run(plan(model, n_gen=(2,), warmup=False))
    assert sizes(evaluated) == [(0, 8)] * 2 + [(0, 1), (1, 1)] * 2


def test_depth_is_computed_once_and_kept(model: Path, evaluated: Calls) -> None:
    run(plan(model, n_prompt=(8, 4), n_gen=(1,), n_depth=(5,), warmup=False))
    assert sizes(evaluated) == [(0, 5), (5, 8), (5, 8), (5, 4), (5, 4), (5, 1), (5, 1)]


def test_batches(model: Path, evaluated: Calls) -> None:
    run(plan(model, n_prompt=(8,), n_batch=(3,), n_depth=(4,), repetitions=1, warmup=False))
    assert sizes(evaluated) == [(0, 3), (3, 1), (4, 3), (7, 3), (10, 2)]


def test_tokens_are_random_and_the_first_is_bos_where_asked(
    tmp_path: Path, evaluated: Calls
) -> None:
    path = tmp_path / "bos.gguf"
    arrays = {n: (a.shape, TensorType.F32, a) for n, a in tensors(CASE).items()}
    write_gguf(path, metadata(CASE) | {"tokenizer.ggml.add_bos_token": True}, arrays)
    run(plan(path, n_prompt=(16,), n_gen=(2,), warmup=False))
    tokens = [ids for _, ids in evaluated]
    prompts, generated = tokens[:2], tokens[2:]
    assert [p[0] for p in prompts] == [1, 1]
    assert prompts[0] != prompts[1]
    assert len(set(prompts[0])) > 4
    assert [g[0] for g in generated[::2]] == [1, 1]


def test_no_bos_where_the_file_does_not_ask(model: Path) -> None:
    assert measuring._first_token(Model.load(model)) is None


@pytest.mark.parametrize(
    ("seconds", "runs"),
    [
        ([1.0, 0.5, 0.5], 3),  # as fast as before
        ([0.5, 0.6], 2),  # slower
        ([1.0, 0.8, 0.6, 0.5, 0.4, 0.3], 5),  # never stable
        ([4.0], 1),  # so long that it is warm
    ],
)
def test_warm_up_ends_when_it_is_stable(
    model: Path, seconds: list[float], runs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = iter(seconds)
    count = 0

    def timed(_action: Callable[[], None]) -> float:
        nonlocal count
        count += 1
        return next(left)

    monkeypatch.setattr(measuring, "timed", timed)
    run(plan(model))
    assert count == runs


def test_one_model_and_one_session_as_long_as_they_serve(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contexts: list[int] = []
    init = Session.__init__

    def record(self: Session, *given: Any, **sizes: Any) -> None:
        contexts.append(sizes["context"])
        init(self, *given, **sizes)

    monkeypatch.setattr(Session, "__init__", record)
    loads: list[Path] = []
    load = Model.load

    def record_load(path: Path, isa: str | None) -> Model:
        loads.append(path)
        return load(path, isa)

    monkeypatch.setattr(Model, "load", record_load)
    run(plan(model, n_prompt=(4, 8), n_gen=(2,), n_ubatch=(4, 2), n_depth=(0, 3)))
    assert loads == [model]
    assert contexts == [8, 11, 8, 11]


def test_work_is_that_of_the_steps(model: Path) -> None:
    (result,) = results(run(plan(model, n_prompt=(), n_pg=((6, 2),), n_ubatch=(4,), n_depth=(3,))))
    session = Session(Model.load(model), context=11)
    expected = sum(
        (
            work_of(node, StepSize(Mode(tokens, 1), depth, session.layout))
            for depth, tokens in ((3, 4), (7, 2), (9, 1), (10, 1))
            for node in session.model.graph.nodes
        ),
        Work(),
    )
    assert result.work == expected


def test_a_model_that_cannot_be_loaded(tmp_path: Path) -> None:
    path = tmp_path / "odd.gguf"
    write_gguf(
        path, {"general.architecture": "odd"}, {"x": ((1,), TensorType.F32, np.zeros(1, "<f4"))}
    )
    with pytest.raises(ModelError, match="unknown architecture"):
        run(plan(path))


def test_it_can_be_stopped(model: Path) -> None:
    benchmark = Benchmark(plan(model, n_prompt=(64,), repetitions=1_000_000))
    benchmark.abort()  # nothing runs yet
    stop = threading.Event()

    def insist() -> None:
        while not stop.wait(0.001):
            benchmark.abort()

    stopper = threading.Thread(target=insist)
    stopper.start()
    try:
        with pytest.raises(Interrupted):
            list(benchmark)
    finally:
        stop.set()
        stopper.join()


def test_ceilings_are_measured_once_for_each_number_of_threads(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def fake(_library: Library, workers: WorkerPool) -> Ceilings:
        asked.append(workers.threads)
        return Ceilings(1e9, 2e9)

    monkeypatch.setattr(measuring, "measure_ceilings", fake)
    found = results(run(plan(model, n_gen=(1,), n_threads=(1, 2), ceilings=True)))
    assert asked == [1, 2]
    assert [r.ceilings for r in found] == [Ceilings(1e9, 2e9)] * 4


def test_ceilings_of_this_machine() -> None:
    library = Library(target.select())
    found = measure_ceilings(library, WorkerPool(library, 1), seconds=0.0, streamed_bytes=1 << 22)
    assert 1e8 < found.bytes_per_second < 1e13
    assert 1e8 < found.flops_per_second < 1e15
