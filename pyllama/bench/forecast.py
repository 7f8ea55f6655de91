"""How long the rest of a benchmark will take, judged by what is done."""

from __future__ import annotations

from time import perf_counter

from pyllama.bench.measure import Benchmark, Event, Finished, Stage
from pyllama.bench.plan import Trial

GENERATED = 10
"""Tokens of a prompt that take as long as one that is generated, about."""


class Forecast:
    """Told of every event, it knows what is left."""

    def __init__(self, benchmark: Benchmark) -> None:
        """The clock starts now."""
        plan = benchmark.plan
        self._repetitions, self._warm_ups = plan.repetitions, 1 if plan.warmup else 0
        self._total = sum(self._units(trial) for trial in benchmark.trials)
        self._finished = self._current = 0
        self._started = perf_counter()

    def observe(self, event: Event) -> None:
        """Take note of an event."""
        if isinstance(event, Finished):
            self._finished += self._units(event.result.trial)
            self._current = 0
        elif isinstance(event, Stage):
            self._current = self._units_before(event)

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the end; None before anything can be said."""
        done = self._finished + self._current
        if not done:
            return None
        return (perf_counter() - self._started) / done * (self._total - done)

    def _units(self, trial: Trial) -> int:
        return trial.n_depth + (self._repetitions + self._warm_ups) * _run_units(trial)

    def _units_before(self, stage: Stage) -> int:
        """Of the test that is running, what comes before the stage."""
        if stage.name == "depth":
            return 0
        runs = stage.number - 1 + self._warm_ups if stage.name == "repetition" else 0
        return stage.trial.n_depth + runs * _run_units(stage.trial)


def _run_units(trial: Trial) -> int:
    return trial.n_prompt + GENERATED * trial.n_gen
