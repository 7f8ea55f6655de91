"""Runs the tests of a plan.

A sample is taken as llama-bench does: what came before the test is kept and all else forgotten,
tokens are random, and neither tokenizing nor sampling is timed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path

import numpy as np

from pyllama.bench import machine, naming
from pyllama.bench.ceilings import Ceilings, measure_ceilings, timed
from pyllama.bench.plan import BenchmarkPlan, Trial
from pyllama.bench.results import ModelFacts, Result
from pyllama.graph.mode import Mode
from pyllama.graph.work import StepSize, Work, work_of
from pyllama.model import Model
from pyllama.session import Session

MOST_WARM_UPS = 5
WARM_UP_TOKENS = 8
"""Tokens that a warm-up generates, at most."""

WARM_UP_SECONDS = 3.0
"""A test that takes longer is warm after one run."""

WARM_UP_GAIN = 0.03
"""A run is warm when it is not faster by this part than the fastest before it."""


@dataclass(frozen=True)
class Started:
    """A test begins: the ``index``-th, from 1, of ``count``."""

    index: int
    count: int
    trial: Trial


@dataclass(frozen=True)
class Stage:
    """A part of it begins: ``depth``, ``warm-up`` or the ``number``-th ``repetition``."""

    index: int
    count: int
    trial: Trial
    name: str
    number: int = 1
    of: int = 1


@dataclass(frozen=True)
class Finished:
    """A test is done."""

    index: int
    count: int
    result: Result


Event = Started | Stage | Finished
Events = Iterator[Event]
Numbered = tuple[int, Trial]


class Benchmark:
    """The tests of a plan, run while one iterates: for each Started, its Stages, then Finished.

    Models and sessions stay open as long as following tests can use them. Iterating raises what
    ``Model.load`` and ``Session`` raise, and Interrupted after ``abort``.
    """

    def __init__(self, plan: BenchmarkPlan) -> None:
        """Raises UsageError for a plan that makes no sense; nothing is loaded yet."""
        self.plan = plan
        self.trials = plan.trials()
        self._abort: Callable[[], None] | None = None
        self._ceilings: dict[tuple[str, int], Ceilings] = {}
        self._random = np.random.default_rng(0)

    def abort(self) -> None:
        """Make a running step raise Interrupted soon; may be called from any thread."""
        if self._abort is not None:
            self._abort()

    def __iter__(self) -> Iterator[Event]:
        numbered = enumerate(self.trials, start=1)
        for (path, isa), numbers in groupby(numbered, lambda n: (n[1].model, n[1].isa)):
            yield from self._with_model(path, isa, numbers)

    def _with_model(self, path: Path, isa: str | None, numbers: Iterable[Numbered]) -> Events:
        model = Model.load(path, isa=isa)
        facts = naming.describe(model)
        for _, group in groupby(numbers, lambda n: n[1].session_key):
            yield from self._with_session(model, facts, list(group))

    def _with_session(self, model: Model, facts: ModelFacts, numbers: list[Numbered]) -> Events:
        session = _open(model, self.plan, [trial for _, trial in numbers])
        self._abort = session.abort
        for index, trial in numbers:
            run = _Run(session, trial, self._random)
            yield from self._measure(run, facts, index)
        self._abort = None

    def _measure(self, run: _Run, facts: ModelFacts, index: int) -> Events:
        plan, trial = self.plan, run.trial
        stage = partial(Stage, index, len(self.trials), trial)
        yield Started(index, len(self.trials), trial)
        ceilings = self._ceilings_of(run.session) if plan.ceilings else None
        machine.reset_peak()
        time.sleep(plan.delay)
        began = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        if run.session.n_past < trial.n_depth:
            yield stage("depth")
        run.rewind()
        if plan.warmup:
            yield stage("warm-up")
            run.warm_up()
        samples = []
        for number in range(1, plan.repetitions + 1):
            yield stage("repetition", number, plan.repetitions)
            samples.append(run.sample())
        totals, firsts = zip(*samples, strict=True)
        result = Result(
            trial=trial,
            model=facts,
            isa=run.session.model.library.isa.name,
            cpu=machine.cpu_name(),
            time=began,
            samples_ns=totals,
            first_token_ns=firsts,
            peak_bytes=machine.peak_bytes(),
            work=work_of_trial(run.session, trial),
            ceilings=ceilings,
        )
        yield Finished(index, len(self.trials), result)

    def _ceilings_of(self, session: Session) -> Ceilings:
        """Measured once for each instruction set and number of threads."""
        library = session.model.library
        key = (library.isa.name, session.threads)
        if key not in self._ceilings:
            workers = session.model.workers(session.threads)
            self._abort = lambda: workers.abort(workers)
            self._ceilings[key] = measure_ceilings(library, workers)
            self._abort = session.abort
        return self._ceilings[key]


class _Run:
    """A test on a session."""

    def __init__(self, session: Session, trial: Trial, random: np.random.Generator) -> None:
        self.session, self.trial = session, trial
        self._random = random
        self._first = _first_token(session.model)

    def rewind(self) -> None:
        """Let the session hold the tokens before the test and nothing else."""
        depth = self.trial.n_depth
        if self.session.n_past >= depth:
            self.session.truncate(depth)
        else:
            self.session.reset()
            self._read(depth)

    def warm_up(self) -> None:
        """Run the test, or the beginning of it, until it is as fast as it gets."""
        fastest, spent = math.inf, 0.0
        for _ in range(MOST_WARM_UPS):
            self.rewind()
            seconds = timed(self._once)
            spent += seconds
            if seconds > (1 - WARM_UP_GAIN) * fastest or spent > WARM_UP_SECONDS:
                return
            fastest = min(fastest, seconds)

    def _once(self) -> None:
        self._read(self.trial.n_prompt)
        self._generate(min(self.trial.n_gen, WARM_UP_TOKENS))

    def sample(self) -> tuple[int, int]:
        """Nanoseconds of the whole test, and until its first logits."""
        self.rewind()
        trial = self.trial
        started = time.perf_counter_ns()
        if trial.n_prompt:
            self._read(trial.n_prompt)
        else:
            self._generate(1)
        first = time.perf_counter_ns() - started
        self._generate(trial.n_gen if trial.n_prompt else trial.n_gen - 1)
        return time.perf_counter_ns() - started, first

    def _read(self, count: int) -> None:
        """Evaluate random tokens, a batch at a time."""
        for start in range(0, count, self.trial.n_batch):
            tokens = self._tokens(min(self.trial.n_batch, count - start))
            self.session.evaluate(tokens)

    def _generate(self, count: int) -> None:
        """Evaluate random tokens one by one."""
        for token in self._tokens(count):
            self.session.advance(token)

    def _tokens(self, count: int) -> list[int]:
        tokens: list[int] = self._random.integers(0, self.session.model.n_vocab, count).tolist()
        if tokens and self._first is not None and self.session.n_past == 0:
            tokens[0] = self._first
        return tokens


def work_of_trial(session: Session, trial: Trial) -> Work:
    """What one repetition of a test must read and compute."""
    total = Work()
    for depth, tokens in _steps(session, trial):
        size = StepSize(Mode(tokens, outputs=1), depth, session.layout)
        total = sum((work_of(node, size) for node in session.model.graph.nodes), total)
    return total


def _steps(session: Session, trial: Trial) -> Iterator[tuple[int, int]]:
    """Depth and tokens of each step that the session makes of the test."""
    depth, most = trial.n_depth, min(session.ubatch, trial.n_batch)
    end = depth + trial.n_prompt
    while depth < end:
        batch_end = min(end, depth + trial.n_batch)
        while depth < batch_end:
            tokens = min(most, batch_end - depth)
            yield depth, tokens
            depth += tokens
    for position in range(end, end + trial.n_gen):
        yield position, 1


def _open(model: Model, plan: BenchmarkPlan, trials: Sequence[Trial]) -> Session:
    """A session that all of the tests can use in turn."""
    first = trials[0]
    placement = plan.placement(first)
    return Session(
        model,
        context=max(trial.context for trial in trials),
        batch=first.n_batch,
        ubatch=first.n_ubatch,
        threads=first.n_threads,
        cache_type=first.type_k,
        cache_type_v=first.type_v,
        placements=(placement, placement),
    )


def _first_token(model: Model) -> int | None:
    """The token that a text begins with, where the file itself asks for one."""
    token = model.metadata.get("tokenizer.ggml.bos_token_id")
    if model.metadata.get("tokenizer.ggml.add_bos_token") is not True:
        return None
    return token if isinstance(token, int) and 0 <= token < model.n_vocab else None
