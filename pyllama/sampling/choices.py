"""How the token is chosen from what the filters leave: the last step of the chain."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from pyllama.sampling.candidates import Candidates
from pyllama.sampling.rng import Mt19937


class Choice(ABC):
    """Chooses one of the candidates; may learn from what became part of the text."""

    name: ClassVar[str]

    @abstractmethod
    def __call__(self, candidates: Candidates, random: Mt19937) -> int:
        """The id of the chosen token."""

    @abstractmethod
    def accept(self, token: int) -> None:
        """Learn that ``token``, perhaps the one just chosen, is now part of the text."""

    @abstractmethod
    def reset(self) -> None:
        """Forget what was learned."""


def draw(candidates: Candidates, random: Mt19937) -> int:
    """The position of a candidate, drawn by the probabilities.

    Where the running sum of the probabilities reaches a uniform random number. A single candidate
    takes no random number.
    """
    if len(candidates) == 1:
        return 0
    return candidates.reach(random.uniform())


class Dist(Choice):
    """Draws by the probabilities."""

    name: ClassVar[str] = "dist"

    def __call__(self, candidates: Candidates, random: Mt19937) -> int:
        """Draw by the probabilities."""
        return candidates.token(draw(candidates, random))

    def accept(self, token: int) -> None:
        """Nothing: every draw stands alone."""

    def reset(self) -> None:
        """Nothing: every draw stands alone."""


class Mirostat(Choice):
    """Keeps the surprise of the text near a target (Basu et al. 2020).

    ``mu``, at first twice the target, limits the surprise (-log2 of the probability) of what may
    be drawn; after each token it is corrected by ``rate`` times the error of its surprise.
    """

    def __init__(self, target: float, rate: float) -> None:
        self._target = target
        self._rate = rate
        self.reset()

    def reset(self) -> None:
        """Back to the first limit."""
        self.mu = 2 * self._target
        self._chosen: tuple[int, float] | None = None

    @abstractmethod
    def limit(self, candidates: Candidates) -> Candidates:
        """What may be drawn at the present ``mu``, ranked."""

    def __call__(self, candidates: Candidates, random: Mt19937) -> int:
        """Draw from what the limit leaves."""
        candidates = self.limit(candidates)
        position = draw(candidates, random)
        token = candidates.token(position)
        surprise = -math.log2(max(float(candidates.probabilities()[position]), 1e-45))
        self._chosen = token, surprise
        return token

    def accept(self, token: int) -> None:
        """Correct the limit by the error that the token's surprise has."""
        if self._chosen is not None and self._chosen[0] == token:
            self.mu -= self._rate * (self._chosen[1] - self._target)
        self._chosen = None


class Mirostat1(Mirostat):
    """The first version: a top-k whose k follows from the slope of the best logits.

    The probabilities are taken for a Zipf distribution, whose exponent s is estimated from the
    ``m`` likeliest tokens.
    """

    name: ClassVar[str] = "mirostat"
    m: ClassVar[int] = 100

    def limit(self, candidates: Candidates) -> Candidates:
        """The k likeliest."""
        best = candidates.top(self.m)
        best = best.where(best.logits > -np.inf)
        if len(best) < 2:
            return best
        logits = best.logits.astype(np.float64)
        ranks = np.arange(1, len(logits) + 1)
        steps = np.log(ranks[1:] / ranks[:-1])
        slope = np.dot(steps, logits[:-1] - logits[1:]) / np.dot(steps, steps)
        with np.errstate(all="ignore"):  # what is no number, or too large, limits nothing
            excess = slope - 1
            spread = 1 - np.power(float(len(candidates)), -excess)
            k = np.power(excess * np.exp2(self.mu) / spread, 1 / slope)
        return candidates.top(max(int(k), 1) if k < len(candidates) else len(candidates))


class Mirostat2(Mirostat):
    """The second version: drops every token whose surprise is above ``mu``."""

    name: ClassVar[str] = "mirostat-v2"

    def limit(self, candidates: Candidates) -> Candidates:
        """Those that surprise little enough, at least the likeliest."""
        # -log2(p) <= mu is p >= 2**-mu; the exponent is kept in float32's range
        threshold = np.float32(2.0 ** -min(max(self.mu, -1.0), 126.0))
        likely = np.count_nonzero(candidates.probabilities() >= threshold)
        return candidates.top(max(int(likely), 1))


class AdaptiveP(Choice):
    """Prefers tokens whose probability is near a target that adapts to the text.

    The target of a step is twice ``target`` less the weighted mean of the probabilities that the
    tokens so far had (weights ``decay ** age``, begun as if all had been on target). A token at
    distance d = |p - target of the step| / 0.3 gets the logit 5 - 10 * d**2 / (1 + d).
    """

    name: ClassVar[str] = "adaptive-p"

    def __init__(self, target: float, decay: float) -> None:
        self._target = target
        self._decay = decay
        self.reset()

    def reset(self) -> None:
        """As if all tokens so far had been on target."""
        self._weight = 1 / (1 - self._decay)
        self._sum = self._target * self._weight
        self._chosen: tuple[int, float] | None = None

    def __call__(self, candidates: Candidates, random: Mt19937) -> int:
        """Draw by the distance from the target."""
        probabilities = candidates.probabilities()
        target = min(max(2 * self._target - self._sum / self._weight, 0.0), 1.0)
        distances = probabilities - np.float32(target)
        np.abs(distances, out=distances)
        distances /= np.float32(0.3)
        logits = 10 * distances
        logits *= distances
        distances += 1
        logits /= distances
        np.subtract(5, logits, out=logits)
        logits[candidates.logits == -np.inf] = -np.inf
        position = draw(candidates.replace_logits(logits), random)
        token = candidates.token(position)
        self._chosen = token, float(probabilities[position])
        return token

    def accept(self, token: int) -> None:
        """Add the probability that the token had to the mean."""
        if self._chosen is not None and self._chosen[0] == token:
            self._sum = self._chosen[1] + self._decay * self._sum
            self._weight = 1 + self._decay * self._weight
        self._chosen = None
