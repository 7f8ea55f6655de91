"""Weights of the values of a tensor, from the importance of its columns.

An importance matrix holds, for each column, the mean square of the activations that meet it: an
error there counts that much. It is multiplied with sqrt(x**2 + sigma**2), sigma**2 being the mean
square of the values around x or twice that, which makes large values count more, and none nothing.
Source of the formula: ggml-quants.c.
"""

from __future__ import annotations

import numpy as np

from pyllama.quants.block_format import Floats


def weights_by_row(rows: Floats, importance: Floats) -> Floats:
    """Weights (r, c) of ``rows`` (r, c) by ``importance`` (c,); sigma is that of the row."""
    return _weights(rows, importance, _mean_square(rows))


def weights_by_block(rows: Floats, importance: Floats, size: int, factor: int) -> Floats:
    """The same with the sigma**2 of each block of ``size`` values, times ``factor`` (1 or 2)."""
    blocks = rows.reshape(-1, size)
    squares = _mean_square(blocks, factor)
    spread = np.broadcast_to(importance, rows.shape).reshape(-1, size)
    return _weights(blocks, spread, squares).reshape(rows.shape)


def _mean_square(rows: Floats, factor: int = 1) -> Floats:
    """``factor`` times the mean of the squares of each row, summed up in order: (r, 1)."""
    sums: Floats = np.add.accumulate(rows * rows, axis=1, dtype=np.float32)[:, -1:]
    return np.float32(factor) * sums / np.float32(rows.shape[1])


def _weights(values: Floats, importance: Floats, sigma2: Floats) -> Floats:
    result: Floats = importance * np.sqrt(sigma2 + values * values)
    return result
