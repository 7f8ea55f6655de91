"""Filters that leave out unlikely tokens, or untypical ones, or the too obvious."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pyllama.sampling.candidates import Candidates
from pyllama.sampling.filters import Filter, FilterWithMemory
from pyllama.sampling.rng import Mt19937
from pyllama.sampling.selection import RunningSum, falling_order, largest, stretch

_HEAD = 2048
"""How many candidates are ranked in the hope that no more are needed. The nucleus of a real
distribution is small, and ranking a whole vocabulary takes longer than all else."""


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
        if not candidates.ranked:
            candidates = candidates.top(_enough(weights, target))
            weights = candidates.weights()
        return candidates.rank().first(RunningSum(weights).reach(target) + 1)


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
        threshold = candidates.logits.max() + np.float32(min(math.log(self.p), 0.0))
        return _keep(candidates, candidates.logits >= threshold)


@dataclass(frozen=True)
class TopNSigma(Filter):
    """Forbids logits more than ``n`` standard deviations below the largest (Tang et al. 2024).

    0 or less forbids none. The forbidden tokens stay candidates, with a logit of minus infinity.
    """

    n: float
    name: ClassVar[str] = "top-n-sigma"

    def __call__(self, candidates: Candidates) -> Candidates:
        """Forbid what is too far below the best; ranked."""
        if self.n <= 0 or len(candidates) <= 1:
            return candidates
        keep = candidates.logits >= candidates.logits.max() - self.n * _deviation(candidates)
        kept = candidates.where(keep).rank()
        if len(kept) == len(candidates):
            return kept
        rest = candidates.where(~keep)
        forbidden = np.full(len(rest), -np.inf, np.float32)
        return Candidates(
            np.concatenate((kept.ids, rest.ids)),
            np.concatenate((kept.logits, forbidden)),
            ranked=True,
        )


@dataclass(frozen=True)
class Typical(Filter):
    """Keeps the tokens whose surprise is nearest to the expected one (Meister et al. 2022).

    With surprise -log(probability), whose expectation is the entropy, tokens are taken by the
    distance between the two until their probability exceeds ``p``; 1 or more keeps all.
    """

    p: float
    name: ClassVar[str] = "typical"

    def __call__(self, candidates: Candidates) -> Candidates:
        """Keep the typical tokens, the most typical first."""
        if self.p >= 1:
            return candidates
        weights = candidates.weights()
        total = float(weights.sum(dtype=np.float64))
        target = math.nextafter(self.p * total, math.inf)  # to be exceeded, not only reached
        if target <= _HEAD / 8:  # a weight is at most 1; of a flat distribution it takes many
            near = _nearest(_distances(candidates, weights, total), weights, target)
            if near is not None:
                return replace(candidates.take(near), distances=None)
        candidates = candidates.rank()
        weights = candidates.weights()
        distances = _distances(candidates, weights, total)
        start, stop = stretch(distances, weights, target)
        return replace(candidates, distances=distances).between(start, stop)


class Xtc(FilterWithMemory):
    """Now and then leaves out the top choices (p-e-w 2024), all but the last likely one.

    With ``probability``, where two or more tokens are at least ``threshold`` likely, all of these
    but the least likely are dropped. The chance is drawn from a generator of its own, seeded as
    the final draw is. A threshold above one half, which no two tokens reach, does nothing.
    """

    name: ClassVar[str] = "xtc"

    def __init__(self, probability: float, threshold: float, seed: int) -> None:
        self._probability = np.float32(probability)
        self._threshold = np.float32(threshold)
        self._seed = seed
        self._random = Mt19937(seed)
        self.window = 1

    def __call__(self, candidates: Candidates) -> Candidates:
        """Drop the top choices, if it comes to that; ranked."""
        if self._probability <= 0 or self._threshold > 0.5 or len(candidates) < 2:
            return candidates
        if self._random.uniform_float() > self._probability:
            return candidates
        candidates = candidates.rank()
        likely = int(np.count_nonzero(candidates.probabilities() >= self._threshold))
        dropped = max(likely - 1, 0)
        return Candidates(candidates.ids[dropped:], candidates.logits[dropped:], ranked=True)

    def accept(self, token: int) -> None:
        """Nothing: only the generator has a state, and drawing moves it."""

    def reset(self) -> None:
        """Start the random numbers anew."""
        self._random = Mt19937(self._seed)


def _keep(candidates: Candidates, keep: NDArray[np.bool_]) -> Candidates:
    """Those above a threshold: of ranked candidates the first, without a copy."""
    if candidates.ranked:
        return candidates.first(int(np.count_nonzero(keep)))
    return candidates.where(keep)


def _deviation(candidates: Candidates) -> np.float32:
    """The standard deviation of the logits above minus infinity, by all of them (not n - 1)."""
    logits = candidates.where(candidates.logits > -np.inf).logits
    errors = logits - np.float32(logits.mean(dtype=np.float64))
    return np.float32(math.sqrt(float(np.dot(errors, errors)) / len(errors)))


def _enough(weights: NDArray[np.float32], target: float) -> int:
    """How many of the largest weights, 1 at most, to rank so that they surely reach ``target``."""
    if len(weights) > _HEAD >= target and largest(weights, _HEAD).sum(dtype=np.float64) >= target:
        return _HEAD
    return len(weights)


def _distances(
    candidates: Candidates, weights: NDArray[np.float32], total: float
) -> NDArray[np.float32]:
    """How far the surprise of each is from the expected one, in nats: float32 (n,).

    total: sum of the weights. What is impossible is infinitely far.
    """
    logits = candidates.logits - candidates.logits.max()
    # surprise = log(total) - logit, so surprise - entropy = mean logit - logit
    mean = np.dot(weights, np.maximum(logits, _IMPOSSIBLE)) / total
    distances: NDArray[np.float32] = np.abs(logits - np.float32(mean))
    return distances


_IMPOSSIBLE = np.float32(-1e9)
"""Instead of minus infinity, which times 0 is no number."""


def _nearest(
    distances: NDArray[np.float32], weights: NDArray[np.float32], target: float
) -> NDArray[np.int64] | None:
    """Positions by growing distance that reach ``target``; None where these are many."""
    near = np.arange(len(distances))
    if len(distances) > _HEAD:
        near = np.flatnonzero(distances < np.partition(distances, _HEAD)[_HEAD])
        if weights[near].sum(dtype=np.float64) < target:
            return None
    near = near[falling_order(-distances[near])]
    return near[: RunningSum(weights[near]).reach(target) + 1]
