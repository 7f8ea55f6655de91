"""How a text is cut into windows: what is evaluated, and which of its tokens are scored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyllama.errors import PyllamaError, UsageError
from pyllama.step import Batch

Tokens = NDArray[np.int32]

STRIDED_MULTIPLE = 256
"""llama.cpp rounds the context of strided windows up to a multiple of this."""


@dataclass(frozen=True)
class Windows:
    """Windows of ``size`` tokens that begin every ``step`` tokens of a text.

    In each the tokens behind the first ``context`` are scored, each given all before it. ``bos``:
    what stands in place of a window's first token when it is evaluated.
    """

    tokens: Tokens
    size: int
    step: int
    context: int
    count: int
    bos: int | None = None

    @classmethod
    def chunks(cls, tokens: Tokens, size: int, bos: int | None, limit: int = -1) -> Windows:
        """As llama-perplexity cuts: chunks that do not overlap; the second halves are scored.

        limit: chunks at most, unless negative. Raises UsageError for a size below 3 and a limit of
        0, PyllamaError for fewer tokens than two chunks.
        """
        if size < 3:
            raise UsageError(f"chunks of {size} tokens leave nothing to score; give -c 3 or more")
        _check_length(len(tokens), size)
        return cls.saved(tokens, size, bos, limit)

    @classmethod
    def saved(cls, tokens: Tokens, size: int, bos: int | None, limit: int = -1) -> Windows:
        """The same of tokens that are known to be some chunks; at least one."""
        count = _limited(len(tokens) // size, limit)
        return cls(tokens, size, size, size // 2 + 1, count, bos)

    @classmethod
    def strided(cls, tokens: Tokens, size: int, stride: int, limit: int = -1) -> Windows:
        """As llama-perplexity --ppl-stride does: overlapping windows, ends of ``stride`` scored.

        A window is longer than ``size`` by half a stride, rounded up to a multiple of 256, and
        its first token is that of the text. Raises what ``chunks`` raises.
        """
        wanted = size + stride // 2
        padded = -(-wanted // STRIDED_MULTIPLE) * STRIDED_MULTIPLE
        if not 0 < stride < padded:
            raise UsageError(f"--ppl-stride is {stride}; it must be between 1 and {padded - 1}")
        _check_length(len(tokens), padded)
        count = _limited(-(-(len(tokens) - padded) // stride), limit)
        return cls(tokens, padded, stride, padded - stride, count)

    @property
    def scored(self) -> int:
        """Tokens of a window that are scored."""
        return self.size - self.context

    def batch(self, start: int, stop: int, *, whole: bool = False) -> tuple[Batch, Tokens]:
        """The windows ``start .. stop``, each a sequence, and the (n,) tokens that are scored.

        A window's last token is only a target: nothing follows it. Only a ``whole`` window has it.
        """
        windows = np.stack([self._window(i) for i in range(start, stop)])
        inputs = windows.copy() if whole else windows[:, :-1].copy()
        if self.bos is not None:
            inputs[:, 0] = self.bos
        n, width = inputs.shape
        outputs = np.arange(n * width).reshape(n, width)[:, self.context - 1 : self.size - 1]
        positions, sequences = np.tile(np.arange(width), n), np.repeat(np.arange(n), width)
        batch = Batch(inputs.reshape(-1), positions, sequences, outputs.reshape(-1))
        return batch, windows[:, self.context :].reshape(-1)

    def _window(self, index: int) -> Tokens:
        start = index * self.step
        return self.tokens[start : start + self.size]


def _limited(count: int, limit: int) -> int:
    if limit == 0:
        raise UsageError("no chunks leave nothing to measure; give 1 or more (--chunks)")
    return count if limit < 0 else min(count, limit)


def _check_length(n_tokens: int, size: int) -> None:
    if n_tokens < 2 * size:
        raise PyllamaError(
            f"the text has {n_tokens} tokens, but at least {2 * size} are needed for a context of "
            f"{size}; give a longer text or a smaller context (-c)"
        )
