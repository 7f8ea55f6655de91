"""What a filter of the sampling chain is, and the one that comes before all others.

The rules of all filters are those of llama.cpp's samplers of the same names, so that the same
options mean the same distribution. A filter that has nothing to do returns what it was given.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from pyllama.sampling.candidates import Candidates


class Filter(ABC):
    """One step of the chain."""

    name: ClassVar[str]
    keeps_best: ClassVar[bool] = False
    """Whether the likeliest candidate always stays the likeliest, and nothing is remembered."""
    keeps_places: ClassVar[bool] = False
    """Whether the same candidates always stay, where they were: only logits change."""

    @abstractmethod
    def __call__(self, candidates: Candidates) -> Candidates:
        """Fewer candidates, or the same with other logits."""


class FilterWithMemory(Filter):
    """A filter that depends on the last ``window`` tokens of the text, and is told of each."""

    window: int

    @abstractmethod
    def accept(self, token: int) -> None:
        """Learn that ``token`` is now part of the text."""

    @abstractmethod
    def reset(self) -> None:
        """Forget everything that was accepted."""


@dataclass(frozen=True)
class LogitBias(Filter):
    """Adds a bias to the logits of single tokens; minus infinity forbids a token."""

    bias: Mapping[int, float]
    name: ClassVar[str] = "logit-bias"
    keeps_places: ClassVar[bool] = True

    def __call__(self, candidates: Candidates) -> Candidates:
        """Add each bias where its token is a candidate."""
        positions, bias = candidates.find(self.bias)
        logits = candidates.logits.copy()
        logits[positions] += bias
        return candidates.replace_logits(logits)
