"""Collects importance: steps of a model in which native code sums up squares of activations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from pyllama.errors import PyllamaError
from pyllama.gguf.wording import quoted
from pyllama.graph import ops
from pyllama.graph.graph import Graph
from pyllama.graph.importance_graph import importance_graph
from pyllama.graph.lower_square_sums import COUNTS, SUMS
from pyllama.graph.plan import External
from pyllama.imatrix.imatrix import Entry, Imatrix
from pyllama.perplexity.measure import Record, check_finite
from pyllama.perplexity.windows import Windows
from pyllama.scoring import Extension, Scorer
from pyllama.session import Session

OUTPUT = "output.weight"
_LAYERS = "blk."
_LARGEST = float(np.finfo(np.float32).max)
"""Files hold float32."""


class Collector:
    """Sums of squares of what a model's weights are multiplied with, over windows of texts.

    Weights of layers have entries, and where ``with_output`` says so, the output matrix.
    """

    def __init__(self, session: Session, *, scores: bool = True, output: bool = False) -> None:
        """The session, of a window's tokens of context at least, is overwritten.

        As many windows as it has sequences, and as fit into a step, are evaluated side by side.
        scores: measure perplexity on the way; output: has no effect on a model whose embeddings
        serve as output matrix.
        """
        names = {weight.name for weight in session.model.graph.weights()}
        self.chunks = 0
        self.with_output = output and OUTPUT in names
        self._session, self._scores = session, scores
        self._sums = self._make_sums()
        memory = {
            External(kind, op.name): int(array.ctypes.data)
            for op, entry in self._sums.items()
            for kind, array in ((SUMS, entry.sums), (COUNTS, entry.counts))
        }
        self._scorer = Scorer(session, Extension(self._extended, memory))

    def steps(self, windows: Windows) -> Iterator[list[Record]]:
        """Evaluate windows some at a time: a record ``nll`` float64 for each, empty without scores.

        Between two steps ``imatrix`` has the sums of all windows that were evaluated, ``chunks`` of
        them. Raises PyllamaError for what is no finite number, and what Scorer raises.
        """
        fitting = self._session.ubatch // windows.size
        together = max(1, min(fitting, len(self._session.lengths)))
        for first in range(0, windows.count, together):
            stop = min(first + together, windows.count)
            records = self._evaluate(windows, first, stop)
            self._check_finite()
            self.chunks += stop - first
            yield records

    def imatrix(self, target: Path, datasets: tuple[str, ...], chunk_size: int) -> Imatrix:
        """What was collected so far, to be written to ``target``."""
        entries: dict[str, Entry] = {}
        for op, sums in self._sums.items():
            entry = Entry(sums.sums.copy(), sums.counts.copy())
            for name in op.weights_met:
                entries[name] = entries[name].plus(entry) if name in entries else entry
        return Imatrix(target, entries, datasets, self.chunks, chunk_size)

    def _make_sums(self) -> dict[ops.SquareSums, Entry]:
        found = [node.op for node in self._extended(self._session.model.graph).nodes]
        return {
            op: Entry(np.zeros((op.experts, op.width)), np.zeros(op.experts))
            for op in found
            if isinstance(op, ops.SquareSums)
        }

    def _extended(self, graph: Graph) -> Graph:
        return importance_graph(graph, self._is_wanted)

    def _is_wanted(self, name: str) -> bool:
        return name.startswith(_LAYERS) or (self.with_output and name == OUTPUT)

    def _evaluate(self, windows: Windows, first: int, stop: int) -> list[Record]:
        batch, targets = windows.batch(first, stop, whole=True)
        scored = batch.outputs if self._scores else batch.outputs[:0]
        outputs = np.arange(len(batch.tokens)) if self.with_output else scored
        wanted = np.zeros(len(batch.tokens), np.int64)
        wanted[batch.outputs] = targets
        scores = self._scorer.score(replace(batch, outputs=outputs), wanted[outputs])
        if not self._scores:
            return [{} for _ in range(first, stop)]
        nll = -scores.log_probs[np.isin(outputs, scored)].reshape(-1, windows.scored)
        for index, one in enumerate(nll, first):
            check_finite(one, windows, index)
        return [{"nll": one} for one in nll]

    def _check_finite(self) -> None:
        for op, entry in self._sums.items():
            if not (entry.sums <= _LARGEST).all():
                raise PyllamaError(
                    f"what {quoted(op.name)} is multiplied with is too large, or no number; the "
                    "model file may be damaged (--check-tensors), or another --isa may compute it"
                )
