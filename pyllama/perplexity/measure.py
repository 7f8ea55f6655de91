"""What is measured: items in order, each a record of named arrays, one number a token.

All that is shown is computed from these records, so that a run that goes on from saved ones ends
with the same result, to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pyllama.errors import PyllamaError
from pyllama.perplexity.windows import Windows
from pyllama.scoring import Scorer
from pyllama.session import Session

Record = dict[str, NDArray[Any]]


class Measurement(Protocol):
    """Something that takes long and comes item by item."""

    @property
    def count(self) -> int:
        """Number of items."""

    def records(self, start: int) -> Iterator[Record]:
        """The records of the items from ``start`` on. A later run may begin at any of them."""


class Perplexity:
    """Negative log-probabilities of the scored tokens: a record ``nll`` float64 for each window."""

    def __init__(self, session: Session, windows: Windows) -> None:
        """The session, of ``windows.size`` tokens of context at least, is overwritten.

        As many windows as it has sequences, and as fit into a step, are evaluated side by side.
        """
        self._scorer, self._windows = Scorer(session), windows
        fitting = session.ubatch // (windows.size - 1)
        self._together = max(1, min(fitting, len(session.lengths)))

    @property
    def count(self) -> int:
        """Number of windows."""
        return self._windows.count

    def records(self, start: int) -> Iterator[Record]:
        """Raises PyllamaError for a logit that is no finite number, and what Scorer raises."""
        windows = self._windows
        for first in range(start, self.count, self._together):
            batch, targets = windows.batch(first, min(first + self._together, self.count))
            scores = self._scorer.score(batch, targets)
            for index, nll in enumerate(-scores.log_probs.reshape(-1, windows.scored), first):
                check_finite(nll, windows, index)
                yield {"nll": nll}


def check_finite(nll: NDArray[np.floating], windows: Windows, index: int) -> None:
    """Raises PyllamaError that names the window and the first position that is no number."""
    wrong = np.flatnonzero(~np.isfinite(nll))
    if len(wrong):
        position = windows.context - 1 + int(wrong[0])
        raise PyllamaError(
            f"chunk {index + 1}, position {position}: a logit is not a finite number; the model "
            "file may be damaged (--check-tensors), or another --isa may compute it"
        )
