"""How far the predictions of a model are from those of another, token by token."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pyllama.errors import FileError, PyllamaError
from pyllama.graph.ops import token_scores
from pyllama.perplexity.base_file import RANGE, BaseFile, BaseWriter
from pyllama.perplexity.measure import Record, check_finite
from pyllama.perplexity.windows import Windows
from pyllama.scoring import BatchLogits, LogitBlock, Scores
from pyllama.session import Session

Floats = NDArray[np.float32]

ROWS = 16
"""Rows of a base file that are read at a time."""

FIELDS = ("nll", "nll_base", "kld", "p_diff", "same_top")
"""Of a token: negative log-probability by the model and by the base, Kullback-Leibler divergence
from the base, difference of the token's probabilities, and whether both hold the same likeliest."""


class Base(Protocol):
    """Where the log-probabilities of the base come from."""

    def log_probs(self, window: int) -> Iterator[Floats]:
        """Those of a window's scored tokens, (n, n_vocab) at a time."""


class SavedBase:
    """From a file."""

    def __init__(self, file: BaseFile, windows: Windows) -> None:
        self._file, self._scored = file, windows.scored

    def log_probs(self, window: int) -> Iterator[Floats]:
        """Raises FileError where the file cannot be read."""
        first = window * self._scored
        for at in range(0, self._scored, ROWS):
            yield self._file.log_probs(first + at, min(ROWS, self._scored - at))


class ReferenceBase:
    """From another model, which is evaluated at the same time."""

    def __init__(self, session: Session, windows: Windows) -> None:
        """The session is overwritten."""
        self._logits, self._windows = BatchLogits(session), windows

    def log_probs(self, window: int) -> Iterator[Floats]:
        """Raises what BatchLogits raises."""
        batch, _ = self._windows.batch(window, window + 1)
        for block in self._logits.of(batch):
            yield log_softmax(block.logits)


class Divergences:
    """Records with an array of each of ``FIELDS``, one record a window."""

    def __init__(self, session: Session, windows: Windows, base: Base) -> None:
        """The session is overwritten."""
        self._logits, self._windows, self._base = BatchLogits(session), windows, base
        self._threads = session.threads

    @property
    def count(self) -> int:
        """Number of windows."""
        return self._windows.count

    def records(self, start: int) -> Iterator[Record]:
        """Raises PyllamaError for what is no finite number, and what model and base raise."""
        with ThreadPoolExecutor(self._threads) as pool:
            for index in range(start, self.count):
                record = self._window(index, pool)
                check_finite(record["nll"], self._windows, index)
                if not np.isfinite(record["kld"]).all():
                    raise PyllamaError(f"chunk {index + 1}: the base gives no finite numbers")
                yield record

    def _window(self, index: int, pool: Executor) -> Record:
        batch, targets = self._windows.batch(index, index + 1)
        rows: list[tuple[float, ...]] = []
        base = _Rows(self._base.log_probs(index))
        for block in self._logits.of(batch):
            n = len(block.logits)
            known = base.take(n)
            rows += pool.map(divergence, block.logits, known, targets[block.start :][:n])
        columns = np.array(rows, np.float64).T
        return dict(zip(FIELDS, columns, strict=True))


class _Rows:
    """Deals out rows that come in blocks of another size."""

    def __init__(self, blocks: Iterator[Floats]) -> None:
        self._blocks = blocks
        self._rest: list[Floats] = []

    def take(self, count: int) -> list[Floats]:
        """The next rows."""
        while len(self._rest) < count:
            self._rest += list(next(self._blocks))
        taken, self._rest = self._rest[:count], self._rest[count:]
        return taken


def divergence(logits: Floats, base: Floats, target: int) -> tuple[float, ...]:
    """The numbers of one token, in the order of ``FIELDS``.

    logits, base: (n_vocab,), of which the base's are log-probabilities. As llama-perplexity does
    it, what the base gives less than e**-16 does not count.
    """
    with np.errstate(invalid="ignore"):  # infinity less infinity is NaN, which callers look for
        shifted = logits - logits.max()
    log_total = np.log(np.exp(shifted).sum(dtype=np.float64)).astype(np.float32)
    nll, nll_base = float(log_total - shifted[target]), -float(base[target])
    probability = np.exp(base)
    probability[base <= -RANGE] = 0
    gaps = base - shifted
    gaps += log_total
    gaps *= probability
    kld = float(gaps.sum(dtype=np.float64))
    p_diff = float(np.exp(-nll) - np.exp(-nll_base))
    return nll, nll_base, kld, p_diff, float(shifted.argmax() == base.argmax())


def log_softmax(logits: Floats) -> Floats:
    """(n, n_vocab) logits to log-probabilities."""
    with np.errstate(invalid="ignore"):
        shifted: Floats = logits - logits.max(axis=1, keepdims=True)
    total = np.exp(shifted).sum(axis=1, dtype=np.float64, keepdims=True)
    shifted -= np.log(total).astype(np.float32)
    return shifted


class SavingPerplexity:
    """Records ``nll`` like Perplexity, of logits that are also written to a file."""

    def __init__(self, session: Session, windows: Windows, writer: BaseWriter) -> None:
        """The session is overwritten; the writer must be at the first window."""
        self._logits, self._windows, self._writer = BatchLogits(session), windows, writer

    @property
    def count(self) -> int:
        """Number of windows."""
        return self._windows.count

    def records(self, start: int) -> Iterator[Record]:
        """Raises PyllamaError for what is no finite number, and what BatchLogits and writer do."""
        for index in range(start, self.count):
            batch, targets = self._windows.batch(index, index + 1)
            parts = [self._save(block, targets, index) for block in self._logits.of(batch)]
            yield {"nll": np.concatenate(parts)}

    def _save(
        self, block: LogitBlock, targets: NDArray[np.int32], index: int
    ) -> NDArray[np.float64]:
        records = token_scores(block.logits, targets[block.start :][: len(block.logits)])
        nll = -Scores.of(records).log_probs
        check_finite(nll, self._windows, index)
        self._writer.write(block.logits)
        return nll


def check_base(file: BaseFile, n_vocab: int) -> None:
    """Raises FileError for a base of another vocabulary."""
    if file.n_vocab != n_vocab:
        problem = f"is of a vocabulary of {file.n_vocab} tokens, the model has {n_vocab}"
        raise FileError(file.path, problem, "compare models with the same tokenizer")
