"""The usual end of a chain as one native call: a few of the best tokens, filters over them, a draw.

    any logits -> [biases, penalties] -> top-k -> top-p, min-p, temp in any order -> dist
                   NumPy                 `pyllama.kernels.draw`

The filters are the meaning of what the kernel does, and what does it where the kernel cannot.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyllama.kernels.draw import INVALID, MOST_KEPT, draw
from pyllama.kernels.jit import Library
from pyllama.sampling.choices import Choice, Dist
from pyllama.sampling.filters import Filter
from pyllama.sampling.rng import Mt19937
from pyllama.sampling.temperature import Temperature
from pyllama.sampling.truncation import MinP, TopK, TopP

# It takes microseconds, less than to let go of the interpreter's lock and to get it back.
_CALL = ctypes.PYFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)


@dataclass(frozen=True)
class Ending:
    """The end of a chain that the kernel can do."""

    start: int
    """How many filters come before it."""
    keep: int
    """How many candidates its first filter keeps."""
    steps: tuple[tuple[str, float], ...]
    """Name and number of each of the kernel's steps."""


def find_ending(filters: Sequence[Filter], choice: Choice) -> Ending | None:
    """The part of a chain that the kernel can do, if all before it leaves the tokens in place."""
    start = next((i for i, filter in enumerate(filters) if not filter.keeps_places), len(filters))
    keep = _kept(filters[start]) if start < len(filters) else 0
    steps = [_step(filter) for filter in filters[start + 1 :]]
    known = tuple(step for step in steps if step is not None)
    if not 1 <= keep <= MOST_KEPT or len(known) < len(steps) or not isinstance(choice, Dist):
        return None
    return Ending(start, keep, known)


def _kept(filter: Filter) -> int:
    if isinstance(filter, Temperature) and filter.is_greedy:
        return 1
    return filter.k if isinstance(filter, TopK) else 0


def _step(filter: Filter) -> tuple[str, float] | None:
    """The kernel's name of a filter, and its number."""
    match filter:
        case TopP(p) if p < 1:
            return "top_p", p
        case MinP(p) if p > 0:
            return "min_p", min(math.log(p), 0.0)
        case Temperature(value) if not filter.is_greedy:
            return "temperature", value
    return None


class NativeDraw:
    """An ``Ending`` and a draw, bound to a generator of random numbers."""

    def __init__(self, ending: Ending, random: Mt19937, library: Library) -> None:
        kernel = draw(steps="+".join(name for name, _ in ending.steps))
        self._call: Callable[..., None] = _CALL(library.address(kernel))
        next_word, generator = random.native
        self._token = np.zeros(1, np.int64)
        self._numbers = np.array([number for _, number in ending.steps], np.float64)
        self._arguments = kernel.arguments.pack(
            {
                "logits": 0,
                "count": 0,
                "keep": ending.keep,
                "numbers": self._numbers.ctypes.data,
                "next_word": next_word,
                "generator": generator,
                "token": self._token.ctypes.data,
            }
        )
        self._address = self._arguments.ctypes.data
        self._result = self._token.data
        self._owners = random, library
        self._logits: NDArray[np.float32] | None = None

    def draw(self, logits: NDArray[np.float32]) -> int | None:
        """The drawn token; None, and no random number is taken, where the logits are invalid.

        logits: float32 (n_vocab,). An array that is given again, with other numbers in it, is
        found again without a look at it.
        """
        if logits is not self._logits:
            self._logits = np.ascontiguousarray(logits, np.float32)
            self._arguments[:2] = self._logits.ctypes.data, len(self._logits)
        self._call(self._address, None, 0, 0)
        token: int = self._result[0]
        return None if token == INVALID else token
