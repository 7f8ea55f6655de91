"""What to measure: lists of parameters, and the tests that their product stands for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from pyllama.errors import UsageError
from pyllama.kernels.cache_types import CACHE_TYPES
from pyllama.placement import ANYWHERE, Placement, by_node, parse_mask, within
from pyllama.threads import MAX_THREADS, default_threads

KV_TYPES = tuple(name for name in CACHE_TYPES if name != "f32")
"""Types of cached keys and values. As in llama-bench float32 is none of them."""

ANY_CPU = "0x0"
"""The mask that says nothing."""

MAX_TRIALS = 10_000


def name_of_test(n_prompt: int, n_gen: int, n_depth: int) -> str:
    """As llama-bench writes it: ``pp512``, ``tg128``, ``pp512+tg128 @ d4096``."""
    prompt, generated = f"pp{n_prompt}" * bool(n_prompt), f"tg{n_gen}" * bool(n_gen)
    depth = f" @ d{n_depth}" if n_depth else ""
    return "+".join(filter(None, (prompt, generated))) + depth


@dataclass(frozen=True, slots=True)
class Trial:
    """One test: ``n_prompt`` tokens at once, then ``n_gen`` one by one, after ``n_depth`` others.

    ``isa`` None is the best instruction set of the machine.
    """

    model: Path
    isa: str | None
    n_batch: int
    n_ubatch: int
    type_k: str
    type_v: str
    n_threads: int
    cpu_mask: str
    cpu_strict: bool
    n_depth: int
    n_prompt: int
    n_gen: int

    @property
    def name(self) -> str:
        """As llama-bench writes it."""
        return name_of_test(self.n_prompt, self.n_gen, self.n_depth)

    @property
    def context(self) -> int:
        """Positions that it needs."""
        return self.n_depth + self.n_prompt + self.n_gen

    @property
    def session_key(self) -> tuple[object, ...]:
        """Equal for tests that may follow each other in one session, its first tokens kept."""
        sizes = (self.n_batch, self.n_ubatch, self.type_k, self.type_v)
        placement = (self.cpu_mask, self.cpu_strict)
        return (self.model, self.isa, *sizes, self.n_threads, *placement, self.n_depth)


def _physical_cores() -> tuple[int, ...]:
    return (default_threads()[0],)


@dataclass(frozen=True)
class BenchmarkPlan:
    """Parameters whose product is measured; defaults are llama-bench's.

    Attributes:
        n_pg: pairs of prompt and generated tokens, measured together.
        n_threads: by default as many as suit the machine.
        cpu_mask, cpu_strict: CPUs in hexadecimal, and whether each thread has one of its own.
        numa: how threads are placed by memory node, instead of by masks.
        isa: instruction sets; None is the best that the machine has.
        repetitions: samples of each test. delay: seconds of rest before each test.
        warmup: run each test, untimed, until it is as fast as it gets.
        ceilings: measure what memory and processor can do at most, which takes about a second.
    """

    models: tuple[Path, ...]
    n_prompt: tuple[int, ...] = (512,)
    n_gen: tuple[int, ...] = (128,)
    n_pg: tuple[tuple[int, int], ...] = ()
    n_depth: tuple[int, ...] = (0,)
    n_batch: tuple[int, ...] = (2048,)
    n_ubatch: tuple[int, ...] = (512,)
    type_k: tuple[str, ...] = ("f16",)
    type_v: tuple[str, ...] = ("f16",)
    n_threads: tuple[int, ...] = ()
    cpu_mask: tuple[str, ...] = (ANY_CPU,)
    cpu_strict: tuple[bool, ...] = (False,)
    numa: str | None = None
    isa: tuple[str | None, ...] = (None,)
    repetitions: int = 5
    delay: float = 0
    warmup: bool = True
    ceilings: bool = False

    def trials(self) -> list[Trial]:
        """The tests in llama-bench's order.

        The model is the outermost loop, then come batches, cache types, threads, CPUs and depth;
        within each combination prompts, then generations, then both together.

        Raises UsageError for numbers out of range, and where nothing is left to measure.
        """
        self._check()
        trials = list(self._product())
        if not trials:
            raise UsageError("nothing to measure: give -p, -n or -pg a number above 0")
        for trial in trials:
            self.placement(trial)
        return trials

    def _product(self) -> Iterator[Trial]:
        tests = [
            *((n, 0) for n in self.n_prompt),
            *((0, n) for n in self.n_gen),
            *self.n_pg,
        ]
        sizes = (self.n_batch, self.n_ubatch, self.type_k, self.type_v)
        threads = self.n_threads or _physical_cores()
        cpus = (self.cpu_mask, self.cpu_strict)
        for values in product(self.models, self.isa, *sizes, threads, *cpus, self.n_depth):
            yield from (Trial(*values, *test) for test in tests if any(test))

    def placement(self, trial: Trial) -> Placement:
        """Where the threads of a test run; UsageError for CPUs that are not there."""
        if self.numa is not None:
            return by_node(self.numa)
        if trial.cpu_mask == ANY_CPU:
            return ANYWHERE
        return within(parse_mask(trial.cpu_mask), trial.cpu_strict)

    def _check(self) -> None:
        ranges = (
            ("-b", self.n_batch, 1, None),
            ("-ub", self.n_ubatch, 1, None),
            ("-t", self.n_threads, 1, MAX_THREADS),
            ("-d", self.n_depth, 0, None),
            ("-p", self.n_prompt, 0, None),
            ("-n", self.n_gen, 0, None),
            ("-pg", [n for pair in self.n_pg for n in pair], 0, None),
            ("-r", (self.repetitions,), 1, None),
            ("--delay", (self.delay,), 0, None),
        )
        for name, values, low, high in ranges:
            for value in values:
                if value < low or (high is not None and value > high):
                    bounds = f"at least {low}" if high is None else f"between {low} and {high}"
                    raise UsageError(f"{name} {value}: it must be {bounds}")
        for name, types in (("-ctk", self.type_k), ("-ctv", self.type_v)):
            for type in types:
                if type not in KV_TYPES:
                    raise UsageError(f"{name} {type}: give one of {', '.join(KV_TYPES)}")
        if self.numa is not None and self.cpu_mask != (ANY_CPU,):
            raise UsageError("--numa and -C contradict: both place threads; leave one of them")
        factors = (self.models, self.isa, self.n_batch, self.n_ubatch, self.type_k, self.type_v)
        places = (self.n_threads or (0,), self.cpu_mask, self.cpu_strict, self.n_depth)
        count = len(self.n_prompt) + len(self.n_gen) + len(self.n_pg)
        for factor in (*factors, *places):
            count *= len(factor)
        if count > MAX_TRIALS:
            raise UsageError(f"{count} tests asked for; at most {MAX_TRIALS} are possible")
