"""The sampler: a chain of filters, then a draw from what is left."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from pyllama.errors import PyllamaError
from pyllama.sampling.candidates import Candidates
from pyllama.sampling.filters import (
    Filter,
    FilterWithMemory,
    LogitBias,
    MinP,
    Temperature,
    TopK,
    TopP,
)
from pyllama.sampling.params import SamplingParams
from pyllama.sampling.penalties import Penalties
from pyllama.sampling.rng import RANDOM_SEED, Mt19937, resolve_seed

FILTERS: Mapping[str, Callable[[SamplingParams], Filter | None]] = MappingProxyType(
    {
        "penalties": lambda p: (
            Penalties(p.repeat_last_n, p.repeat_penalty, p.presence_penalty, p.frequency_penalty)
            if p.penalizes
            else None
        ),
        "top_k": lambda p: TopK(p.top_k) if p.top_k > 0 else None,
        "top_p": lambda p: TopP(p.top_p) if p.top_p < 1 else None,
        "min_p": lambda p: MinP(p.min_p) if p.min_p > 0 else None,
        "temperature": lambda p: Temperature(p.temperature) if p.temperature != 1 else None,
    }
)
"""How each filter is made from the options, None where it would do nothing; in llama.cpp's order:
the temperature comes last, so the others see the model's own distribution."""


class Sampler:
    """Picks the next token from logits. It remembers what it accepted: one for each text.

    ``seed`` is the seed in use, also where a random one was asked for.
    """

    def __init__(self, filters: Sequence[Filter], seed: int = RANDOM_SEED) -> None:
        self.filters = tuple(filters)
        self._memories = [f for f in self.filters if isinstance(f, FilterWithMemory)]
        self.seed = resolve_seed(seed)
        self._random = Mt19937(self.seed)

    @classmethod
    def from_params(cls, params: SamplingParams, banned: Collection[int] = ()) -> Sampler:
        """The chain that the options describe; the ``banned`` tokens are never chosen."""
        filters: list[Filter] = []
        if banned:
            filters.append(LogitBias(dict.fromkeys(banned, -np.inf)))
        made = (make(params) for make in FILTERS.values())
        filters.extend(filter for filter in made if filter is not None)
        return cls(filters, params.seed)

    def candidates(self, logits: NDArray[np.float32]) -> Candidates:
        """What the filters leave of the whole vocabulary. logits: float32 (n_vocab,), unchanged.

        Raises PyllamaError where a logit is NaN or +inf, or no token is possible.
        """
        candidates = Candidates.of(logits)
        _require_numbers(candidates)
        with np.errstate(over="ignore", invalid="ignore"):  # the check below sees the result
            for apply in self.filters:
                candidates = apply(candidates)
        _require_numbers(candidates)
        return candidates

    def sample(self, logits: NDArray[np.float32]) -> int:
        """Draw the next token; the caller accepts it once it is part of the text."""
        candidates = self.candidates(logits)
        if len(candidates) == 1:
            return int(candidates.ids[0])
        mass = np.cumsum(candidates.weights(), dtype=np.float64)
        drawn = np.searchsorted(mass, mass[-1] * self._random.uniform())
        return int(candidates.ids[drawn])

    def accept(self, *tokens: int) -> None:
        """Tell the filters that these tokens, of the prompt or drawn, are part of the text."""
        for memory in self._memories:
            for token in tokens:
                memory.accept(token)

    def reset(self) -> None:
        """Forget the text and start the random numbers anew."""
        self._random = Mt19937(self.seed)
        for memory in self._memories:
            memory.reset()

    def __str__(self) -> str:
        """The chain as llama.cpp prints it: ``logits -> top-k -> temp -> dist``."""
        return " -> ".join(("logits", *(apply.name for apply in self.filters), "dist"))


def _require_numbers(candidates: Candidates) -> None:
    largest = candidates.logits.max()  # NaN where any is NaN
    if not np.isfinite(largest):
        raise PyllamaError(
            f"the largest logit is {largest}, so no token can be chosen; the model's file may be "
            "damaged (download or convert it again) or the sampling options extreme"
        )
