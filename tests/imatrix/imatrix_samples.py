"""Small importance matrices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from pyllama.imatrix import Entry, Imatrix

DENSE, MIXED = "blk.0.ffn_down.weight", "blk.1.ffn_up_exps.weight"


def entry(sums: ArrayLike, counts: ArrayLike) -> Entry:
    """From nested lists."""
    return Entry(np.asarray(sums, np.float64), np.asarray(counts, np.float64))


def sample(source: Path, factor: float = 1) -> Imatrix:
    """A dense tensor, and one of three experts, the last without data."""
    entries = {
        MIXED: entry([[4, 8], [6, 3], [0, 0]], [4, 12, 0]),
        DENSE: entry([[8, 16, 24]], [8]),
    }
    scaled = {name: Entry(e.sums * factor, e.counts * factor) for name, e in entries.items()}
    return Imatrix(source, scaled, ("a.txt",), int(3 * factor), 4)
