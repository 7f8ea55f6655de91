"""Grids as the kernels that round to them read them.

A vector of levels has two names: its *number*, whose digits of base ``levels`` are the levels, and
its *word*, a u32 with four bits for each. Component 0 has the lowest digit and bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from pyllama.quants import GridName
from pyllama.quants.grid_search import grid_map

CHUNK = 16
"""Neighbours that are judged at once."""

COUNT_BITS = 8
"""Lower bits of an entry: how many chunks."""

Words = NDArray[np.uint32]


@dataclass(frozen=True)
class GridTables:
    """A grid with the neighbours of the vectors that are no points of it.

    Attributes:
        indices: u16 (numbers,), the index of a point.
        entries: u32 (numbers,), 0 for a point; of any other vector where its neighbours are:
            the first chunk, and in the lowest bits the number of chunks.
        neighbours: u32 (chunks, CHUNK), words of the neighbours, the nearest first; the last chunk
            of a vector is filled up with its first neighbour.
    """

    indices: NDArray[np.uint16]
    entries: Words
    neighbours: Words


@cache
def grid_tables(name: GridName, distances: int) -> GridTables:
    """The tables of a grid, whose neighbours are the points at so many least distances."""
    map = grid_map(name, distances)
    points = ((map.values - 1) / 2).astype(np.uint32)
    places = 4 * np.arange(len(points), dtype=np.uint32)
    words = np.bitwise_or.reduce(points << places[:, None], axis=0)
    width = -(-map.neighbours.shape[1] // CHUNK) * CHUNK
    padded = np.repeat(map.neighbours[:, :1], width, axis=1)
    padded[:, : map.neighbours.shape[1]] = map.neighbours
    chunks = -(-map.count // CHUNK)
    used = np.arange(width // CHUNK) < chunks[:, None]
    neighbours = words[padded].reshape(*used.shape, CHUNK)[used]
    starts = np.cumsum(chunks) - chunks
    is_point = map.index >= 0
    entry = (starts << COUNT_BITS | chunks)[map.row]
    return GridTables(
        indices=np.where(is_point, map.index, 0).astype(np.uint16),
        entries=np.where(is_point, 0, entry).astype(np.uint32),
        neighbours=np.ascontiguousarray(neighbours),
    )
