"""Random choices that are the same as those of llama-perplexity, which uses seed 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from pyllama.sampling.rng import Mt19937

T = TypeVar("T")

_SEED = 1
_WORDS = 1 << 32


def drawn_by_integers(items: Sequence[T], count: int) -> list[T]:
    """``count`` items as std::uniform_int_distribution draws them (HellaSwag): Lemire 2019."""
    rng, rest = Mt19937(_SEED), list(items)
    return [rest.pop(_below(rng, len(rest))) for _ in range(min(count, len(rest)))]


def _below(rng: Mt19937, bound: int) -> int:
    product = rng.word() * bound
    if product % _WORDS < bound:
        threshold = -bound % _WORDS % bound
        while product % _WORDS < threshold:
            product = rng.word() * bound
    return product // _WORDS


def drawn_by_floats(items: Sequence[T], count: int) -> list[T]:
    """``count`` items by float32 products (Winogrande, multiple choice).

    The place of an item that is taken goes to the last one.
    """
    rng, rest, chosen = Mt19937(_SEED), list(items), []
    for _ in range(min(count, len(rest))):
        share = np.float32(rng.word()) * np.float32(2.0**-32) * np.float32(len(rest))
        at = min(int(share), len(rest) - 1)
        chosen.append(rest[at])
        rest[at] = rest[-1]
        rest.pop()
    return chosen
