"""What ``pyllama perplexity`` shows of a measurement: as text while it grows, and as JSON."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from pyllama.perplexity.estimate import Estimate, Measured, macro_average
from pyllama.perplexity.measure import Record
from pyllama.perplexity.windows import Windows


class View(ABC):
    """Is given the records in order. Texts are llama-perplexity's, to the letter."""

    head = ""
    """What stands before the first item."""

    @abstractmethod
    def add(self, record: Record) -> str:
        """The text of the next item."""

    @abstractmethod
    def foot(self) -> str:
        """The text behind the last item."""

    @property
    @abstractmethod
    def so_far(self) -> str:
        """The result of the items so far, in a few words; there is at least one."""

    @abstractmethod
    def document(self) -> dict[str, Any]:
        """The items and the result as JSON."""


class PerplexityView(View):
    """Perplexity after each chunk."""

    def __init__(self, windows: Windows, *, as_table: bool) -> None:
        """as_table: a line for each chunk (``--ppl-output-type 1``)."""
        self._windows, self._as_table = windows, as_table
        self.estimates: list[Estimate] = []
        self._chunks: list[dict[str, Any]] = []

    def add(self, record: Record) -> str:
        """``[3]5.4321,``, or a line of the table."""
        nll = record["nll"]
        now = (self.estimates[-1] if self.estimates else Estimate()).plus(nll)
        self.estimates.append(now)
        chunk = {"tokens": len(nll), "nll": float(nll.mean()), "perplexity": finite(now.perplexity)}
        self._chunks.append(chunk)
        number = len(self.estimates)
        if not self._as_table:
            return f"[{number}]{now.perplexity:.4f},"
        row = f"{(number - 1) * self._windows.step:8d}  {now.perplexity:.4f}"
        is_plain = self._windows.step == self._windows.size
        return f"{row}  {now.mean:4f}  {now.mean_error:4f}\n" if is_plain else f"{row}\n"

    def foot(self) -> str:
        """The final estimate."""
        last = self.estimates[-1]
        start = "" if self._as_table else "\n"
        return f"{start}Final estimate: PPL = {last.perplexity:.4f} +/- {last.error:.5f}\n"

    @property
    def so_far(self) -> str:
        """Perplexity and its error."""
        last = self.estimates[-1]
        return f"PPL = {last.perplexity:.4f} +/- {last.error:.4f}"

    def document(self) -> dict[str, Any]:
        """Means of each chunk, perplexity after it, and the result."""
        last = self.estimates[-1]
        result = {
            "tokens": last.count,
            "nll": last.mean,
            "nll_error": last.mean_error,
            "perplexity": finite(last.perplexity),
            "error": finite(last.error),
        }
        return {"chunks": self._chunks, "result": result}


def finite(value: float) -> float | None:
    """The number, or None, as JSON knows no infinity."""
    return value if math.isfinite(value) else None


def average_of(estimates: Sequence[Estimate]) -> tuple[str, dict[str, Any]]:
    """The average over texts, of which each counts the same, as text and as JSON."""
    average = macro_average([Measured(e.perplexity, e.error) for e in estimates])
    ppl = f"{average.value:.4f} +/- {average.error:.5f}"
    document = {"perplexity": finite(average.value), "error": finite(average.error)}
    return f"Macro average of {len(estimates)} texts: PPL = {ppl}\n", document
