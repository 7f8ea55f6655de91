"""The result of a test: every sample, and the figures that follow from them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from pyllama.bench.ceilings import Ceilings
from pyllama.bench.plan import Trial
from pyllama.graph.work import Work


@dataclass(frozen=True)
class ModelFacts:
    """A model as llama-bench shows it.

    ``type`` is its description, ``n_bytes`` those of all tensors (not of the file), ``n_params``
    their elements.
    """

    type: str
    n_bytes: int
    n_params: int


@dataclass(frozen=True)
class Result:
    """A test that was run.

    Attributes:
        model, isa, cpu: what ran where.
        time: when it began, in UTC: ``2026-01-02T03:04:05Z``.
        samples_ns: nanoseconds of each repetition.
        first_token_ns: of those, until the first logits were there.
        peak_bytes: most memory of the process while it ran, None where the system does not say.
        work: bytes to be read and operations of one repetition.
        ceilings: what the machine can do at most, where that was measured.
    """

    trial: Trial
    model: ModelFacts
    isa: str
    cpu: str
    time: str
    samples_ns: tuple[int, ...]
    first_token_ns: tuple[int, ...]
    peak_bytes: int | None
    work: Work
    ceilings: Ceilings | None

    @property
    def samples_ts(self) -> list[float]:
        """Tokens a second of each repetition; those before the test do not count."""
        tokens = self.trial.n_prompt + self.trial.n_gen
        return [1e9 * tokens / ns for ns in self.samples_ns]

    @property
    def avg_ts(self) -> float:
        """Their mean."""
        return statistics.fmean(self.samples_ts)

    @property
    def stddev_ts(self) -> float:
        """Their standard deviation; 0 for a single one."""
        return statistics.stdev(self.samples_ts) if len(self.samples_ns) > 1 else 0.0

    @property
    def avg_ns(self) -> int:
        """Mean of the samples, rounded down."""
        return integer_mean(self.samples_ns)

    @property
    def stddev_ns(self) -> int:
        """Their standard deviation in whole numbers, as llama-bench computes it."""
        return integer_deviation(self.samples_ns)

    @property
    def avg_first_token_ns(self) -> int:
        """Mean time to the first logits, rounded down."""
        return integer_mean(self.first_token_ns)

    @property
    def bytes_per_second(self) -> float:
        """Weights and cached keys and values that were read, on average."""
        return 1e9 * self.work.n_bytes / max(self.avg_ns, 1)

    @property
    def flops_per_second(self) -> float:
        """Floating-point operations, on average."""
        return 1e9 * self.work.flops / max(self.avg_ns, 1)


def integer_mean(values: Sequence[int]) -> int:
    """The mean, rounded down."""
    return sum(values) // len(values)


def integer_deviation(values: Sequence[int]) -> int:
    """The sample standard deviation, every division rounded down; 0 for a single value."""
    n = len(values)
    if n < 2:
        return 0
    mean = integer_mean(values)
    squares = sum(value * value for value in values)
    return math.isqrt(squares // (n - 1) - mean * mean * n // (n - 1))
