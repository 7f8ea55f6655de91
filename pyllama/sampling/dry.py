"""DRY: a penalty on tokens that would continue a repetition (p-e-w 2024)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from pyllama.sampling.candidates import Candidates
from pyllama.sampling.filters import FilterWithMemory

if TYPE_CHECKING:
    from pyllama.tokenizers.tokenizer import Tokenizer

Breakers = Mapping[int, Sequence[tuple[int, ...]]]
"""Token -> the tails: a breaker is a token followed by the tokens of one of its tails."""

_MAX_BYTES = 40
_MAX_TAIL = 20
_LOG_LARGEST_FLOAT = 88.7228391


class Dry(FilterWithMemory):
    """Penalizes tokens that continue a sequence which the text already holds.

    If the last ``length`` tokens occurred before, within the last ``window`` tokens, followed by
    a token, that token's logit loses ``multiplier * base ** (length - allowed)`` where ``length``
    is at least ``allowed``; the longest such sequence counts. A sequence breaker ends the
    sequences: none reaches back over it, and a token that is a breaker is not penalized.
    """

    name: ClassVar[str] = "dry"
    keeps_places: ClassVar[bool] = True

    def __init__(
        self, multiplier: float, base: float, allowed: int, window: int, breakers: Breakers
    ) -> None:
        self._multiplier = multiplier
        self._base = base
        self._allowed = allowed
        self.window = window
        self._breakers = breakers
        self.reset()

    def reset(self) -> None:
        """Forget the text."""
        self._text: NDArray[np.int32] = np.empty(0, np.int32)
        # For each position of the text: how many tokens up to it are also the text's last ones.
        self._repeated: NDArray[np.int32] = np.empty(0, np.int32)

    def accept(self, token: int) -> None:
        """Add one token.

        A sequence that ended before a token which is like the new one has grown by it, all others
        are broken: one step over the window, where finding the repetitions anew in each token
        would take a search.
        """
        before = np.concatenate((np.zeros(1, np.int32), self._repeated))
        same = np.append(self._text == token, False)
        repeated = np.where(same, before + 1, 0).astype(np.int32)
        start = max(0, len(same) - self.window)
        self._text = np.append(self._text, np.int32(token))[start:]
        # What has left the window on the left is no part of a sequence any more.
        self._repeated = np.minimum(repeated[start:], np.arange(1, len(self._text) + 1))

    def __call__(self, candidates: Candidates) -> Candidates:
        """Subtract the penalties."""
        positions, penalties = candidates.find(self.penalties())
        if not len(positions):
            return candidates
        logits = candidates.logits.copy()
        logits[positions] -= penalties
        return candidates.replace_logits(logits)

    def penalties(self) -> Mapping[int, float]:
        """What each token that would continue a repetition loses."""
        if len(self._text) <= self._allowed:
            return {}
        limit = self._since_breaker()
        if limit < self._allowed:
            return {}
        lengths = np.minimum(self._repeated[:-1], limit)
        longest: dict[int, int] = {}
        for position in np.flatnonzero(lengths >= self._allowed).tolist():
            token = int(self._text[position + 1])
            longest[token] = max(longest.get(token, 0), int(lengths[position]))
        return {
            token: self._penalty(length)
            for token, length in longest.items()
            if () not in self._breakers.get(token, ())
        }

    def _penalty(self, length: int) -> float:
        exponent = length - self._allowed
        if self._base > 1.000001:  # keeps the power within float32
            exponent = min(exponent, int(_LOG_LARGEST_FLOAT / math.log(self._base)))
        return self._multiplier * self._base**exponent

    def _since_breaker(self) -> int:
        """How many tokens follow the last breaker in the window."""
        text = self._text.tolist()
        for position in range(len(text) - 1, -1, -1):
            tails = self._breakers.get(text[position])
            if not tails:
                continue
            after = tuple(text[position + 1 : position + 1 + _MAX_TAIL])
            fitting = [len(tail) for tail in tails if after[: len(tail)] == tail]
            if fitting:
                return len(text) - 1 - position - max(fitting)
        return len(text)


def find_breakers(texts: Iterable[str], tokenizer: Tokenizer) -> Breakers:
    """The tokens at which one of the breakers ``texts`` is in the text, or begins in it.

    A token that contains a breaker is one. A token that ends with the beginning of a breaker is
    one if the tokens of the rest follow. Only the first 40 bytes of a breaker count, and the
    first 20 tokens of a rest.
    """
    pieces = [tokenizer.piece(token, special=True) for token in range(tokenizer.n_vocab)]
    breakers: dict[int, list[tuple[int, ...]]] = {}
    for text in filter(None, texts):
        breaker = text.encode("utf-8", "surrogateescape")[:_MAX_BYTES]
        beginnings = tuple(breaker[:n] for n in range(1, len(breaker)))
        for token, piece in enumerate(pieces):
            if breaker in piece or piece.endswith(beginnings):
                known = breakers.setdefault(token, [])
                tails = _tails(breaker, piece, tokenizer)
                known.extend(tail for tail in tails if tail not in known)
    return breakers


def _tails(breaker: bytes, piece: bytes, tokenizer: Tokenizer) -> list[tuple[int, ...]]:
    """The tokens of what is left of the breaker after each of its beginnings at the piece's end."""
    if breaker in piece:
        return [()]
    rests = (breaker[n:] for n in range(1, len(breaker)) if piece.endswith(breaker[:n]))
    texts = (rest.decode("utf-8", "replace") for rest in rests)
    return [tuple(tokenizer.encode(text, add_special=False)[:_MAX_TAIL]) for text in texts]
