"""The filters of the sampling chain: each takes candidates and returns candidates.

The rules are those of llama.cpp's samplers of the same names, so that the same options mean the
same distribution. A filter that has nothing to do returns what it was given.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pyllama.sampling.candidates import Candidates


class Filter(ABC):
    """One step of the chain."""

    name: ClassVar[str]

    @abstractmethod
    def __call__(self, candidates: Candidates) -> Candidates:
        """Fewer candidates, or the same with other logits."""


class FilterWithMemory(Filter):
    """A filter that depends on the text so far, and is told of each token of it."""

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

    def __call__(self, candidates: Candidates) -> Candidates:
        """Add each bias where its token is a candidate."""
        return candidates.replace_logits(candidates.logits + candidates.spread(self.bias))


@dataclass(frozen=True)
class TopK(Filter):
    """Keeps the ``k`` largest logits (Fan et al. 2018); 0 or less keeps all."""

    k: int
    name: ClassVar[str] = "top-k"

    def __call__(self, candidates: Candidates) -> Candidates:
        """Keep the k largest, ranked."""
        return candidates.top(self.k) if self.k > 0 else candidates


@dataclass(frozen=True)
class TopP(Filter):
    """Keeps the likeliest tokens until their probability reaches ``p``, the last one included.

    Nucleus sampling (Holtzman et al. 2019); 1 or more keeps all. At least one token stays.
    """

    p: float
    name: ClassVar[str] = "top-p"

    def __call__(self, candidates: Candidates) -> Candidates:
        """Keep the nucleus, ranked."""
        if self.p >= 1:
            return candidates
        weights = candidates.weights()
        target = self.p * float(weights.sum(dtype=np.float64))
        head = candidates.top(_head_size(candidates.logits, weights, target))
        mass = np.cumsum(head.weights(), dtype=np.float64)
        return head.first(int(np.searchsorted(mass, target)) + 1)


def _head_size(logits: NDArray[np.float32], weights: NDArray[np.float32], target: float) -> int:
    """How many of the largest logits to rank so that their weights surely reach ``target``.

    The nucleus of a real distribution is small, and ranking a whole vocabulary takes longer than
    all else: so sizes are tried whose weight a partition tells without ranking.
    """
    size = 256
    while size < len(logits):
        threshold = np.partition(logits, len(logits) - size)[len(logits) - size]
        if weights[logits > threshold].sum(dtype=np.float64) >= target:
            return size
        size *= 8
    return len(logits)


@dataclass(frozen=True)
class MinP(Filter):
    """Keeps the tokens at least ``p`` times as likely as the likeliest one (Nguyen et al. 2024).

    In logits: logit >= largest + log(p). 0 or less keeps all.
    """

    p: float
    name: ClassVar[str] = "min-p"

    def __call__(self, candidates: Candidates) -> Candidates:
        """Keep what is likely enough, in the present order."""
        if self.p <= 0:
            return candidates
        threshold = candidates.logits.max() + np.float32(math.log(self.p))
        return candidates.where(candidates.logits >= threshold)


@dataclass(frozen=True)
class Temperature(Filter):
    """Divides the logits by ``value``; 0 or less keeps only the largest logit (greedy).

    So does a value so small that the quotient could leave float32's range.
    """

    value: float
    name: ClassVar[str] = "temp"

    def __call__(self, candidates: Candidates) -> Candidates:
        """Sharpen (below 1) or flatten (above 1) the distribution."""
        if self.value < 1e-6:
            best = int(candidates.logits.argmax())
            return Candidates(candidates.ids[[best]], candidates.logits[[best]], ranked=True)
        scaled = candidates.logits / np.float32(self.value)
        return candidates.replace_logits(scaled, ranked=candidates.ranked)
