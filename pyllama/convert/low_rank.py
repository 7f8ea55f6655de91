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
from pyllama.errors import ConversionError
from pyllama.gguf import TensorType
from pyllama.gguf.wording import quoted

Indices = NDArray[np.int32]

MAX_ELEMENTS = 1 << 28
"""Of a matrix that is moved: those of the largest models, 16384 x 16384, are no larger."""


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
    first, second = (np.arange(n, dtype=np.int32) for n in shape)
    if transform is as_it_is:
        return Moves(first, second)
    if shape[0] * shape[1] > MAX_ELEMENTS:
        problem = f"adapts {quoted(name)} as {shape[0]} x {shape[1]}, larger than a model's"
        raise ConversionError(config.path.parent, problem, "check that this is its base model")
    rows, columns = np.broadcast_to(first[:, None], shape), np.broadcast_to(second, shape)
    for is_turned in (False, True):  # again, if what comes out has columns where it needs rows
        stored = [array.T if is_turned else array for array in (rows, columns)]
        moved = [_numbers(transform, config, name, array) for array in stored]
        if moved[0] is None or moved[1] is None:
            return None
        if _are_equal(moved[0].T) and _are_equal(moved[1]):
            return Moves(np.array(moved[0][:, 0]), np.array(moved[1][0]), is_turned)
        if not (_are_equal(moved[0]) and _are_equal(moved[1].T)):
            return None
    return None


def _numbers(transform: Transform, config: Config, name: str, array: Array) -> Array | None:
    """What becomes of numbers; None where they are computed with, or are no matrix after it."""
    tensor = LazyTensor(name, array.shape, TensorType.I32, lambda: iter((array,)))
    result = transform(config, tensor)
    shape = (1, *result.shape) if array.shape[0] == 1 and len(result.shape) == 1 else result.shape
    is_moved = result.type is TensorType.I32 and len(shape) == 2
    return result.read().reshape(shape) if is_moved else None


def _are_equal(rows: Array) -> bool:
    """Whether all rows are the same."""
    return bool((rows == rows[:1]).all())
