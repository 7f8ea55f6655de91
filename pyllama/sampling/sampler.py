"""The sampler: a chain of filters, then a choice from what is left."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pyllama.errors import GrammarError, PyllamaError
from pyllama.sampling.candidates import Candidates, keep_freed_memory
from pyllama.sampling.chain import make_choice, make_filters
from pyllama.sampling.choices import Choice, Dist
from pyllama.sampling.compiled import NativeDraw, find_ending
from pyllama.sampling.filters import Filter, FilterWithMemory
from pyllama.sampling.params import SamplingParams
from pyllama.sampling.rng import RANDOM_SEED, Mt19937, resolve_seed

if TYPE_CHECKING:
    from pyllama.grammar import Grammar
    from pyllama.kernels.jit import Library
    from pyllama.tokenizers.tokenizer import Tokenizer


class Sampler:
    """Picks the next token from logits. It remembers what it accepted: one for each text.

    ``seed`` is the seed in use, also where a random one was asked for.

    A grammar is applied as llama.cpp does it: the token is drawn as if there were none, and only
    one that the grammar refuses is drawn again, now from what the grammar allows. Mostly the model
    writes what it should, and to test one token costs next to nothing; a second draw costs the
    mask of the vocabulary (up to 4 ms for 128k tokens) and the chain once more.
    """

    def __init__(
        self,
        filters: Sequence[Filter],
        seed: int = RANDOM_SEED,
        choice: Choice | None = None,
        grammar: Grammar | None = None,
        library: Library | None = None,
    ) -> None:
        """``library``: compiles the end of the chain, where it is one of the usual ones."""
        keep_freed_memory()
        self.filters = tuple(filters)
        self.choice = choice or Dist()
        self.grammar = grammar
        self._memories = [f for f in self.filters if isinstance(f, FilterWithMemory)]
        self.seed = resolve_seed(seed)
        self._random = Mt19937(self.seed)
        self._drawn = False
        ending = find_ending(self.filters, self.choice) if library else None
        self._front = self.filters[: ending.start] if ending else ()
        self._native = NativeDraw(ending, self._random, library) if ending and library else None

    @classmethod
    def from_params(
        cls,
        params: SamplingParams,
        tokenizer: Tokenizer | None = None,
        grammar: Grammar | None = None,
        banned: Collection[int] = (),
        library: Library | None = None,
    ) -> Sampler:
        """The chain that the options describe; the ``banned`` tokens are never chosen.

        tokenizer: for DRY's sequence breakers, and to check the tokens of the biases; grammar:
        what the text must be, for this sampler alone; library: the model's, to compile what can be
        compiled. Raises UsageError for a biased token outside the vocabulary, and for sequence
        breakers without a tokenizer.
        """
        # XTC draws from a generator of its own, with the same seed.
        params = replace(params, seed=resolve_seed(params.seed))
        filters = make_filters(params, tokenizer, banned)
        return cls(filters, params.seed, make_choice(params), grammar, library)

    def candidates(self, logits: NDArray[np.float32]) -> Candidates:
        """What the filters leave of the whole vocabulary, in their order.

        logits: float32 (n_vocab,), unchanged. Raises PyllamaError where a logit is NaN or +inf, or
        no token is possible.
        """
        return self._filter(logits).in_order()

    def _filter(self, logits: NDArray[np.float32]) -> Candidates:
        candidates = Candidates.of(logits)
        _require_numbers(candidates)
        with np.errstate(over="ignore", invalid="ignore"):  # the check sees the result
            for apply in self.filters:
                candidates = apply(candidates)
                _require_numbers(candidates)
        return candidates

    def sample(self, logits: NDArray[np.float32]) -> int:
        """Draw the next token; the caller accepts it once it is part of the text.

        logits: float32 (n_vocab,), unchanged. Raises PyllamaError as ``candidates`` does, and
        GrammarError where the grammar allows no token.
        """
        self._drawn = True
        token = self._draw(logits)
        if self.grammar is None or self.grammar.allows(token):
            return token
        return self._draw_again(logits, self.grammar)

    def _draw(self, logits: NDArray[np.float32]) -> int:
        if self._native is not None:
            token = self._native.draw(self._changed(logits) if self._front else logits)
            if token is not None:
                return token
        return self.choice(self._filter(logits), self._random)  # it says what is wrong, too

    def _changed(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """The logits after the filters in front of what is compiled."""
        candidates = Candidates.of(logits)
        with np.errstate(over="ignore", invalid="ignore"):  # the kernel sees the result
            for apply in self._front:
                candidates = apply(candidates)
        return candidates.logits

    def _draw_again(self, logits: NDArray[np.float32], grammar: Grammar) -> int:
        """Draw from what the grammar allows, with the others at minus infinity."""
        allowed = np.where(grammar.mask(), logits, np.float32(-np.inf))
        try:
            return self._draw(allowed)
        except PyllamaError as error:
            raise GrammarError(
                grammar.source,
                "every token that it allows here is forbidden; allow one (--logit-bias, "
                "--ignore-eos)",
            ) from error

    def accept(self, *tokens: int) -> None:
        """Tell the filters that these tokens, of the prompt or drawn, are part of the text.

        The first token after a draw also moves the grammar on; those of the prompt do not. Raises
        GrammarError for one that the grammar refuses.
        """
        if self._drawn and tokens:
            self._drawn = False
            self.choice.accept(tokens[0])
            if self.grammar is not None:
                self.grammar.accept(tokens[0])
        for memory in self._memories:
            for token in tokens[-memory.window :]:
                memory.accept(token)

    def reset(self) -> None:
        """Forget the text and start the random numbers anew."""
        self._random.reset()
        self._drawn = False
        self.choice.reset()
        if self.grammar is not None:
            self.grammar.reset()
        for memory in self._memories:
            memory.reset()

    def __str__(self) -> str:
        """The chain as llama.cpp prints it: ``logits -> top-k -> temp -> dist``."""
        names = (apply.name for apply in self.filters)
        return " -> ".join(("logits", *names, self.choice.name))


def _require_numbers(candidates: Candidates) -> None:
    largest = candidates.largest
    if not math.isfinite(largest):
        raise PyllamaError(
            f"the largest logit is {largest}, so no token can be chosen; the model's file may be "
            "damaged (download or convert it again) or the sampling options extreme"
        )
