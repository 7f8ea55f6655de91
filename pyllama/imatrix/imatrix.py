"""What an importance matrix is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pyllama.quants import Floats

Numbers = NDArray[np.float32] | NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Entry:
    """What one tensor was multiplied with: several matrices where it holds experts.

    sums: (matrices, columns) sums of squares, finite and not negative; counts: (matrices,) float64,
    whole numbers: how many squares were summed up.
    """

    sums: Numbers
    counts: NDArray[np.float64]

    @property
    def means(self) -> Floats:
        """(matrices, columns) float32 mean squares; 1 for all columns of what was never used."""
        counts = self.counts[:, None]
        with np.errstate(over="ignore"):
            means = np.where(counts > 0, self.sums / np.maximum(counts, 1), 1)
            return means.astype(np.float32)

    def reshaped(self, matrices: int) -> Entry:
        """The same with so many matrices, all of them used alike; one of one matrix."""
        return Entry(self.sums.reshape(matrices, -1), np.repeat(self.counts, matrices))

    def plus(self, other: Entry) -> Entry:
        """Sums and counts of both, which are of one shape."""
        sums = np.add(self.sums, other.sums, dtype=np.float64)
        return Entry(sums, self.counts + other.counts)


@dataclass(frozen=True, eq=False)
class Imatrix:
    """An importance matrix.

    Attributes:
        source: the file it was read from, or will be written to.
        entries: by the name of the tensor.
        datasets: which texts it was collected over.
        chunks: how many pieces of them; 0 where the file does not say.
        chunk_size: tokens of a piece; 0 where the file does not say.
        counts_chunks: whether counts are of chunks, and sums so much smaller, as in the old format.
    """

    source: Path
    entries: Mapping[str, Entry]
    datasets: tuple[str, ...] = ()
    chunks: int = 0
    chunk_size: int = 0
    counts_chunks: bool = False
