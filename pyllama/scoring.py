"""How likely a model finds given tokens, without the logits of all of them in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pyllama.errors import UsageError
from pyllama.graph.graph import Graph
from pyllama.graph.lower_scores import TARGETS
from pyllama.graph.mode import MATVEC_TOKENS, Mode
from pyllama.graph.ops import SCORE_WIDTH, token_scores
from pyllama.graph.plan import External
from pyllama.graph.score_graph import score_graph
from pyllama.session import ALL_LOGITS_TOKENS, Session
from pyllama.step import Batch, BoundProgram

Integers = NDArray[np.integer]


@dataclass(frozen=True)
class Scores:
    """Of n targets: (n,) float32 logits of the targets and the largest of all, and (n,) totals.

    ``total`` is the sum of exp(logit - largest) over the vocabulary; NaN where one of these logits
    is no finite number.
    """

    logit: NDArray[np.float32]
    largest: NDArray[np.float32]
    total: NDArray[np.float32]

    @classmethod
    def of(cls, records: NDArray[np.float32]) -> Scores:
        """From (n, 3) float32, as ``TokenScores`` makes them."""
        largest, total, logit = records.T
        return cls(logit, largest, total)

    @property
    def log_probs(self) -> NDArray[np.float64]:
        """(n,) natural logarithms of the targets' probabilities; NaN where the total is."""
        with np.errstate(invalid="ignore"):  # infinity less infinity is NaN, as it shall be
            below = (self.logit - self.largest).astype(np.float64)
        return np.asarray(below - np.log(self.total.astype(np.float64)))


@dataclass(frozen=True)
class LogitBlock:
    """Logits (n, n_vocab) float32 of the outputs ``start .. start + n`` of a batch.

    They are valid until the next block is asked for.
    """

    start: int
    logits: NDArray[np.float32]


@dataclass(frozen=True)
class Extension:
    """What is computed in the same steps besides the logits: more ops, and memory of theirs.

    ``graph`` adds them to a graph; ``memory`` has the addresses of what they refer to by name.
    """

    graph: Callable[[Graph], Graph] = lambda graph: graph
    memory: Mapping[External, int] = field(default_factory=dict)

    def addresses(self, others: Callable[[External], int]) -> Callable[[External], int]:
        """Addresses of its memory, and of ``others``."""
        return lambda name: self.memory[name] if name in self.memory else others(name)


MODEL_ALONE = Extension()


class BatchLogits:
    """Logits of batches of any size, computed in steps of a session.

    The tokens of a sequence stand in a batch in order, and so do the outputs.
    """

    def __init__(self, session: Session, extension: Extension = MODEL_ALONE) -> None:
        """The session's sequences are overwritten; how long they are does not matter."""
        self._session, self._extension = session, extension
        self._programs: dict[Mode, BoundProgram] = {}

    def of(self, batch: Batch) -> Iterator[LogitBlock]:
        """The logits of the outputs, some at a time.

        Raises UsageError for numbers out of range, Interrupted after ``session.abort``.
        """
        session = self._session
        few = min(ALL_LOGITS_TOKENS, session.ubatch)
        for part, first in _parts(batch, _spans(batch, few, session.ubatch)):
            count = len(part.outputs)
            program = self._program(Mode(few if count else session.ubatch, few))
            session.run(program, part)
            if count:
                yield LogitBlock(first, program.logits[:count])

    def _program(self, mode: Mode) -> BoundProgram:
        if mode not in self._programs:
            plan = self._session.plan(mode, self._extension.graph(self._session.model.graph))
            external = self._extension.addresses(self._session.external)
            self._programs[mode] = self._session.bind(plan, mode, external)
        return self._programs[mode]


class Scorer:
    """Scores of batches as above, without their logits."""

    def __init__(self, session: Session, extension: Extension = MODEL_ALONE) -> None:
        """The session's sequences are overwritten; how long they are does not matter."""
        self._n_vocab = session.model.n_vocab
        graph = score_graph(session.model.graph)
        scores = (
            _PlainScores(session, extension)
            if graph is None
            else _FusedScores(session, graph, extension)
        )
        self._compute: Callable[[Batch, Integers], NDArray[np.float32]] = scores.compute

    def score(self, batch: Batch, targets: Integers) -> Scores:
        """Scores of the targets, one for each output of the batch.

        Raises UsageError for numbers out of range, Interrupted after ``session.abort``.
        """
        end = self._n_vocab
        if len(targets) != len(batch.outputs) or np.any((targets < 0) | (targets >= end)):
            raise UsageError(f"each output needs a target between 0 and {end - 1}")
        return Scores.of(self._compute(batch, targets))


class _PlainScores:
    """Scores of logits, where these come from something else than a matmul."""

    def __init__(self, session: Session, extension: Extension) -> None:
        self._logits = BatchLogits(session, extension)

    def compute(self, batch: Batch, targets: Integers) -> NDArray[np.float32]:
        """(outputs, SCORE_WIDTH) records."""
        records = np.empty((len(targets), SCORE_WIDTH), np.float32)
        for block in self._logits.of(batch):
            where = slice(block.start, block.start + len(block.logits))
            records[where] = token_scores(block.logits, targets[where])
        return records


class _FusedScores:
    """Steps whose last op computes scores instead of logits."""

    def __init__(self, session: Session, graph: Graph, extension: Extension) -> None:
        mode = Mode(session.ubatch, max(session.ubatch, MATVEC_TOKENS + 1))
        self._session = session
        self._targets = np.zeros(mode.outputs, np.int32)

        others = extension.addresses(session.external)

        def external(memory: External) -> int:
            is_own = memory == TARGETS
            return int(self._targets.ctypes.data) if is_own else others(memory)

        plan = session.plan(mode, extension.graph(graph))
        self._program = session.bind(plan, mode, external, result_width=SCORE_WIDTH)

    def compute(self, batch: Batch, targets: Integers) -> NDArray[np.float32]:
        """(outputs, SCORE_WIDTH) records."""
        size = self._session.ubatch
        spans = [(i, min(i + size, len(batch.tokens))) for i in range(0, len(batch.tokens), size)]
        records = np.empty((len(targets), SCORE_WIDTH), np.float32)
        for part, first in _parts(batch, spans):
            where = slice(first, first + len(part.outputs))
            self._targets[: len(part.outputs)] = targets[where]
            self._session.run(self._program, part)
            records[where] = self._program.logits[: len(part.outputs)]
        return records


def _spans(batch: Batch, few: int, many: int) -> Iterator[tuple[int, int]]:
    """Where to cut a batch: ``few`` tokens where there are outputs, else up to ``many``."""
    start, n = 0, len(batch.tokens)
    while start < n:
        later = batch.outputs[np.searchsorted(batch.outputs, start) :]
        silent = (int(later[0]) if len(later) else n) - start
        stop = start + (min(silent, many) if silent else min(few, n - start))
        yield start, stop
        start = stop


def _parts(batch: Batch, spans: Iterable[tuple[int, int]]) -> Iterator[tuple[Batch, int]]:
    """The batch cut into pieces, each with the number of outputs before it."""
    for start, stop in spans:
        first, end = np.searchsorted(batch.outputs, (start, stop))
        tokens, positions, sequences = (
            numbers[start:stop] for numbers in (batch.tokens, batch.positions, batch.sequences)
        )
        outputs = batch.outputs[first:end] - start
        yield Batch(tokens, positions, sequences, outputs), int(first)
