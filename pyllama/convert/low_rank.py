"""Matrices that are products of two small ones, and what a family's transforms make of them.

A transform moves the elements of a matrix. Where it moves whole rows and whole columns, moving the
rows of B and the columns of A does the same to B A:

    moved[i, j] = (B A)[rows[i], columns[j]] = (B[rows] A[:, columns])[i, j]

Which rows and columns those are, a transform tells that is given the numbers of rows, or of
columns, in place of weights; so no transform needs to know of adapters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyllama.convert.config import Config
from pyllama.convert.tensor import Array, LazyTensor
from pyllama.convert.transforms import Transform, as_it_is
from pyllama.gguf import TensorType

Indices = NDArray[np.int32]


@dataclass(frozen=True)
class Pair:
    """The matrix ``b @ a``: a (rank, n_in), b (n_out, rank)."""

    a: LazyTensor
    b: LazyTensor

    @property
    def rank(self) -> int:
        """Columns of b, rows of a."""
        return self.a.shape[0]

    @property
    def shape(self) -> tuple[int, int]:
        """(n_out, n_in) of the matrix."""
        return self.b.shape[0], self.a.shape[1]

    def multiplied(self, factor: float) -> Pair:
        """The pair of ``factor`` times the matrix."""
        if factor == 1:
            return self
        return Pair(self.a, self.b.computed(lambda values: values * np.float32(factor)))


@dataclass(frozen=True)
class Moves:
    """Which rows and columns of a matrix a transform takes, in order.

    ``is_turned``: the checkpoint stores the matrix as (n_in, n_out), and the transform turns it.
    """

    rows: Indices
    columns: Indices
    is_turned: bool = False

    def apply(self, pair: Pair) -> Pair:
        """The pair of the matrix that the transform makes."""
        n_out, n_in = len(self.rows), len(self.columns)
        return Pair(
            pair.a.rearranged((pair.rank, n_in), lambda array: array[:, self.columns]),
            pair.b.rearranged((n_out, pair.rank), lambda array: array[self.rows]),
        )


def moves(transform: Transform, config: Config, name: str, shape: tuple[int, int]) -> Moves | None:
    """What a transform does to a matrix (n_out, n_in), None where it is more than moving.

    Raises ConversionError where the shape does not fit the configuration.
    """
    n_out, n_in = shape
    if transform is as_it_is:
        return Moves(np.arange(n_out, dtype=np.int32), np.arange(n_in, dtype=np.int32))
    rows = np.broadcast_to(np.arange(n_out, dtype=np.int32)[:, None], shape)
    columns = np.broadcast_to(np.arange(n_in, dtype=np.int32), shape)
    for is_turned in (False, True):
        arrays = (array.T if is_turned else array for array in (rows, columns))
        moved = [_numbers(transform, config, name, array) for array in arrays]
        found = _uniform(*moved)
        if found is not None:
            return Moves(*found, is_turned)
    return None


def _numbers(transform: Transform, config: Config, name: str, array: Array) -> Array | None:
    """What becomes of numbers; None where they are computed with, or are no matrix after it."""
    tensor = LazyTensor(name, array.shape, TensorType.I32, lambda: iter((array,)))
    result = transform(config, tensor)
    is_moved = result.type is TensorType.I32 and len(result.shape) == 2
    return result.read() if is_moved else None


def _uniform(rows: Array | None, columns: Array | None) -> tuple[Indices, Indices] | None:
    """The number of each row and each column, where rows and columns are still together."""
    if rows is None or columns is None:
        return None
    together = (rows == rows[:, :1]).all() and (columns == columns[:1]).all()
    return (np.array(rows[:, 0]), np.array(columns[0])) if together else None
