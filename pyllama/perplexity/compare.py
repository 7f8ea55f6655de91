"""Two runs side by side: only those that measure the same text in the same way are compared."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyllama.errors import FileError, PyllamaError
from pyllama.perplexity.estimate import Measured, deviation, exp
from pyllama.perplexity.statistics import exponential

MUST_AGREE: Mapping[str, str] = {
    "measure": "they measure different things",
    "tokenizer_hash": "the tokenizers differ",
    "text_hash": "the texts differ",
    "tokens": "the texts have different numbers of tokens",
    "context": "the contexts differ",
    "stride": "the strides differ",
    "bos": "one puts a BOS token first, the other does not",
    "items": "they cover different numbers of chunks",
}
"""Fields of the header without which perplexities cannot be compared, and what to say then."""

SHOWN = ("model", "model_hash", "isa", "cache_types", "ubatch", "pyllama")
"""Fields that may differ: their difference is what one compares."""

_REMEDY = "give a file that pyllama perplexity --output-format json has written"


@dataclass(frozen=True)
class Run:
    """The result for one text: (chunks,) tokens and mean negative log-probabilities of each."""

    header: Mapping[str, Any]
    tokens: NDArray[np.float64]
    nll: NDArray[np.float64]

    @property
    def mean(self) -> float:
        """Of all tokens."""
        return float((self.nll * self.tokens).sum() / self.tokens.sum())


@dataclass(frozen=True)
class Comparison:
    """The perplexities of a text, and that of B by that of A.

    The error of the ratio is that of the chunks' differences, in which what makes a chunk hard for
    both cancels out. ``differences``: fields of the headers, with both values.
    """

    text: str
    a: float
    b: float
    ratio: Measured
    differences: Mapping[str, tuple[Any, Any]]


def read_runs(path: Path) -> list[Run]:
    """The runs of a file. Raises FileError where it holds none."""
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise FileError.from_os_error(path, error) from error
    except (ValueError, RecursionError) as error:
        raise FileError(path, "is not JSON", _REMEDY) from error
    runs = document.get("runs") if isinstance(document, dict) else None
    if not isinstance(runs, list) or not runs:
        raise FileError(path, "holds no runs", _REMEDY)
    return [_run(path, entry) for entry in runs]


def compare(a: Sequence[Run], b: Sequence[Run]) -> list[Comparison]:
    """The runs of A and B, in order. Raises PyllamaError where they cannot be compared."""
    if len(a) != len(b):
        raise PyllamaError(f"the runs cannot be compared: A has {len(a)} texts, B has {len(b)}")
    return [_compare(*pair) for pair in zip(a, b, strict=True)]


def _compare(a: Run, b: Run) -> Comparison:
    problems = [
        f"{problem} ({_short(a.header[name])} and {_short(b.header[name])})"
        for name, problem in MUST_AGREE.items()
        if a.header[name] != b.header[name]
    ]
    if not problems and not np.array_equal(a.tokens, b.tokens):
        problems.append("their chunks have different numbers of tokens")
    if problems:
        raise PyllamaError(f"the runs cannot be compared: {'; '.join(problems)}")
    gaps, n = b.nll - a.nll, len(a.nll)
    error = deviation(float(gaps.sum()), float((gaps * gaps).sum()), n)
    ratio = exponential(Measured(b.mean - a.mean, error))
    differences = {
        name: (a.header.get(name), b.header.get(name))
        for name in SHOWN
        if a.header.get(name) != b.header.get(name)
    }
    return Comparison(str(a.header.get("text")), exp(a.mean), exp(b.mean), ratio, differences)


def _short(value: object) -> str:
    return str(value)[:12]


def _run(path: Path, entry: Any) -> Run:
    header, chunks = _part(path, entry, "header", dict), _part(path, entry, "chunks", list)
    missing = [name for name in MUST_AGREE if name not in header]
    if missing:
        raise FileError(path, f"a header has no {missing[0]}", _REMEDY)
    if not chunks:
        raise FileError(path, "a run has no chunks", _REMEDY)
    tokens, nll = ([_number(path, chunk, name) for chunk in chunks] for name in ("tokens", "nll"))
    if min(tokens) <= 0:
        raise FileError(path, "a chunk has no tokens", _REMEDY)
    return Run(header, np.array(tokens), np.array(nll))


def _part(path: Path, entry: Any, name: str, kind: type[Any]) -> Any:
    part = entry.get(name) if isinstance(entry, dict) else None
    if not isinstance(part, kind):
        raise FileError(path, f"a run has no {name}", _REMEDY)
    return part


def _number(path: Path, chunk: Any, name: str) -> float:
    value = chunk.get(name) if isinstance(chunk, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise FileError(path, f"a chunk's {name} is no number", _REMEDY)
    return float(value)
