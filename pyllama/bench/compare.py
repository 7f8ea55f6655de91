"""Two sets of results side by side: those that pyllama bench or llama-bench wrote as JSON."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path, PurePath
from typing import Any

from pyllama.bench.plan import name_of_test
from pyllama.errors import FileError, PyllamaError

TEST = ("n_prompt", "n_gen", "n_depth")
SETTINGS = (
    "model_filename",
    "model_type",
    "isa",
    "n_batch",
    "n_ubatch",
    "n_threads",
    "type_k",
    "type_v",
)
"""What two results must agree in to be compared, unless it is what tells the files apart."""

MACHINE = ("build_commit", "cpu_info")
"""What may differ without a word, but is shown when it does."""

MAX_SAMPLES = 10_000

REMEDY = "give a file that pyllama bench -o json, or llama-bench -o json, has written"

Value = str | int | None
Test = tuple[int, int, int]
Key = tuple[Test, tuple[Value, ...]]


@dataclass(frozen=True)
class Spread:
    """The median of samples, and the quartiles around it."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, samples: Sequence[float]) -> Spread:
        """Of at least one sample."""
        if len(samples) == 1:
            return cls(samples[0], samples[0], samples[0])
        low, median, high = statistics.quantiles(samples, n=4, method="inclusive")
        return cls(median, low, high)


@dataclass(frozen=True)
class Measured:
    """A result as it stands in a file.

    test: tokens of prompt, generated tokens, depth. samples: tokens a second of each.
    """

    test: Test
    fields: Mapping[str, Value]
    samples: tuple[float, ...]


@dataclass(frozen=True)
class Compared:
    """A test that is in both files: ``settings`` are the varying ones, ``ratio`` is B to A."""

    test: str
    settings: Mapping[str, Value]
    a: Spread
    b: Spread
    ratio: Spread


@dataclass(frozen=True)
class Comparison:
    """The tests in both files, in the order of A; and the settings in which A and B differ."""

    rows: tuple[Compared, ...]
    differences: Mapping[str, tuple[Value, Value]]


def read_results(path: Path) -> list[Measured]:
    """The results of a JSON or JSON-lines file. Raises FileError where it holds none."""
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise FileError.from_os_error(path, error) from error
    except UnicodeDecodeError as error:
        raise FileError(path, "is not text", REMEDY) from error
    try:
        whole = text.lstrip().startswith("[")
        found = json.loads(text) if whole else [json.loads(x) for x in text.splitlines() if x]
    except (ValueError, RecursionError) as error:
        raise FileError(path, "is not JSON", REMEDY) from error
    if not found:
        raise FileError(path, "holds no results", REMEDY)
    return [_measured(path, entry) for entry in found]


def compare(a: Sequence[Measured], b: Sequence[Measured]) -> Comparison:
    """Results of A and B that agree in all settings, but for those that tell A from B throughout.

    Ratios are those of all pairs of samples. Raises PyllamaError where nothing agrees.
    """
    differences = _differences(a, b)
    names = [name for name in SETTINGS if name not in differences]
    varying = [name for name in names if len(_values(name, (*a, *b))) > 1]
    grouped_a, grouped_b = _grouped(a, names), _grouped(b, names)
    rows = tuple(
        Compared(
            name_of_test(*test),
            {name: values[names.index(name)] for name in varying},
            Spread.of(samples),
            Spread.of(grouped_b[test, values]),
            ratios(samples, grouped_b[test, values]),
        )
        for (test, values), samples in grouped_a.items()
        if (test, values) in grouped_b
    )
    if not rows:
        raise PyllamaError("the files have no test in common; run the same tests for both")
    return Comparison(rows, differences)


def ratios(a: Sequence[float], b: Sequence[float]) -> Spread:
    """How the samples of B relate to those of A: the spread of all pairs."""
    return Spread.of([y / x for x, y in product(a, b)])


def _differences(a: Sequence[Measured], b: Sequence[Measured]) -> dict[str, tuple[Value, Value]]:
    found = {}
    for name in (*MACHINE, *SETTINGS):
        values_a, values_b = _values(name, a), _values(name, b)
        if len(values_a) == len(values_b) == 1 and values_a != values_b:
            found[name] = (values_a.pop(), values_b.pop())
    return found


def _values(name: str, results: Iterable[Measured]) -> set[Value]:
    return {result.fields[name] for result in results}


def _grouped(results: Iterable[Measured], names: Sequence[str]) -> dict[Key, tuple[float, ...]]:
    grouped: dict[Key, tuple[float, ...]] = {}
    for result in results:
        key = (result.test, tuple(result.fields[name] for name in names))
        grouped[key] = grouped.get(key, ()) + result.samples
    return grouped


def _measured(path: Path, entry: Any) -> Measured:
    if not isinstance(entry, dict):
        raise FileError(path, "an entry is no result", REMEDY)
    prompt, generated, depth = (_count(path, entry, name) for name in TEST)
    fields = {name: _field(path, entry, name) for name in (*MACHINE, *SETTINGS)}
    fields["model_filename"] = PurePath(str(fields["model_filename"])).name
    samples = entry.get("samples_ts")
    if not isinstance(samples, list) or not 0 < len(samples) <= MAX_SAMPLES:
        raise FileError(path, "a result has no samples_ts", REMEDY)
    if not all(_is_speed(sample) for sample in samples):
        raise FileError(path, "samples_ts holds something that is no speed", REMEDY)
    return Measured((prompt, generated, depth), fields, tuple(float(sample) for sample in samples))


def _count(path: Path, entry: Mapping[str, Any], name: str) -> int:
    value = entry.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise FileError(path, f"a result has no {name}", REMEDY)
    return value


def _field(path: Path, entry: Mapping[str, Any], name: str) -> Value:
    value = entry.get(name)
    if value is None or isinstance(value, str | int):
        return value
    raise FileError(path, f"{name} is neither a number nor a text", REMEDY)


def _is_speed(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value) and value > 0
