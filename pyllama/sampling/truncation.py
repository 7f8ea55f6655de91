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
    keeps_best: ClassVar[bool] = True

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
    keeps_best: ClassVar[bool] = True

    def __call__(self, candidates: Candidates) -> Candidates:
        """Keep the nucleus, ranked."""
        if self.p >= 1:
            return candidates
        if candidates.ranked:
            candidates = candidates.rank()  # no longer read by their distances
        target = self.p * candidates.sums.total
        if not candidates.ranked:
            candidates = candidates.top(_enough(candidates.weights, target))
        return candidates.first(candidates.sums.reach(target) + 1)


@dataclass(frozen=True)
class MinP(Filter):
    """Keeps the tokens at least ``p`` times as likely as the likeliest one (Nguyen et al. 2024).

    In logits: logit >= largest + log(p). 0 or less keeps all.
    """

    p: float
    name: ClassVar[str] = "min-p"
    keeps_best: ClassVar[bool] = True

    def __call__(self, candidates: Candidates) -> Candidates:
        """Keep what is likely enough, in the present order."""
        if self.p <= 0:
            return candidates
        threshold = candidates.largest + np.float32(min(math.log(self.p), 0.0))
        return _keep(candidates, candidates.logits >= threshold)


@dataclass(frozen=True)
class TopNSigma(Filter):
    """Forbids logits more than ``n`` standard deviations below the largest (Tang et al. 2024).

    0 or less forbids none. The forbidden tokens stay candidates, with a logit of minus infinity.
    """

    n: float
    name: ClassVar[str] = "top-n-sigma"
    keeps_best: ClassVar[bool] = True

    def __call__(self, candidates: Candidates) -> Candidates:
        """Forbid what is too far below the best; ranked."""
        if self.n <= 0 or len(candidates) <= 1:
            return candidates
        candidates = candidates.rank()
        logits = candidates.logits
        possible = np.count_nonzero(logits > -np.inf)
        limit = candidates.largest - self.n * _deviation(logits[:possible])
        kept = np.count_nonzero(logits >= limit)
        if kept == possible:
            return candidates
        logits = logits.copy()
        logits[kept:] = -np.inf
        return candidates.replace_logits(logits, ranked=True)


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
        if self.p * _estimated_total(candidates) <= _HEAD / 8:  # of a flat one it takes many
            near = _nearest(_distances(candidates), candidates.weights, self._target(candidates))
            if near is not None:
                return replace(candidates.take(near), distances=None)
        candidates = candidates.rank()
        distances = _distances(candidates)
        start, stop = stretch(distances, candidates.sums, self._target(candidates))
        return replace(candidates, distances=distances).between(start, stop)

    def _target(self, candidates: Candidates) -> float:
        """The sum of weights to be reached: ``p`` is to be exceeded."""
        return math.nextafter(self.p * candidates.sums.total, math.inf)


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
        self._random = Mt19937(seed)
        self.window = 1

    def __call__(self, candidates: Candidates) -> Candidates:
        """Drop the top choices, if it comes to that; ranked."""
        if self._probability <= 0 or self._threshold > 0.5 or len(candidates) < 2:
            return candidates
        if self._random.uniform_float() > self._probability:
            return candidates
        candidates = candidates.rank()
        # No more than one over the threshold can be so likely.
        most = 1 + int(1 / max(float(self._threshold), 1 / len(candidates)))
        probabilities = candidates.weights[:most] / np.float32(candidates.sums.total)
        likely = int(np.count_nonzero(probabilities >= self._threshold))
        dropped = max(likely - 1, 0)
        return candidates.between(dropped, len(candidates)) if dropped else candidates

    def accept(self, token: int) -> None:
        """Nothing: only the generator has a state, and drawing moves it."""

    def reset(self) -> None:
        """Start the random numbers anew."""
        self._random.reset()


def _keep(candidates: Candidates, keep: NDArray[np.bool_]) -> Candidates:
    """Those above a threshold: of ranked candidates the first, without a copy."""
    if candidates.ranked:
        return candidates.first(int(np.count_nonzero(keep)))
    return candidates.where(keep)


def _deviation(logits: NDArray[np.float32]) -> np.float32:
    """The standard deviation of finite logits, by all of them (not n - 1)."""
    errors = logits - logits.mean()
    return np.float32(math.sqrt(float(np.dot(errors, errors)) / len(errors)))


def _enough(weights: NDArray[np.float32], target: float) -> int:
    """How many of the largest weights, 1 at most, to rank so that they surely reach ``target``."""
    if len(weights) > _HEAD >= target and largest(weights, _HEAD).sum(dtype=np.float64) >= target:
        return _HEAD
    return len(weights)


def _estimated_total(candidates: Candidates) -> float:
    """About the sum of the weights, from some two thousand of them."""
    step = max(len(candidates) // _HEAD, 1)
    return step * float(np.exp(candidates.logits[::step] - candidates.largest).sum())


def _distances(candidates: Candidates) -> NDArray[np.float32]:
    """How far the surprise of each is from the expected one, in nats: float32 (n,).

    What is impossible is infinitely far.
    """
    logits = candidates.logits - candidates.largest
    # surprise = log(total) - logit, so surprise - entropy = mean logit - logit
    mean = np.dot(candidates.weights, np.maximum(logits, _IMPOSSIBLE)) / candidates.sums.total
    logits -= np.float32(mean)
    np.abs(logits, out=logits)
    return logits


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
    return near[: RunningSum.of(weights[near]).reach(target) + 1]
