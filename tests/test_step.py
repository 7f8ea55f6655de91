"""How the tokens of a step are cut into runs of neighbours."""

from __future__ import annotations

import numpy as np

from pyllama.step import Batch


def runs(positions: list[int], sequences: list[int], most: int) -> list[tuple[int, int]]:
    n = len(positions)
    return Batch(np.zeros(n, int), np.array(positions), np.array(sequences), np.arange(0)).tiles(
        most
    )


def test_neighbours_make_runs_of_at_most_so_many() -> None:
    assert runs([4, 5, 6, 7, 8, 9, 10], [0] * 7, 3) == [(0, 3), (3, 3), (6, 1)]


def test_a_run_ends_with_its_sequence_and_where_positions_jump() -> None:
    assert runs([0, 1, 2, 3, 9], [0, 0, 1, 1, 1], 8) == [(0, 2), (2, 2), (4, 1)]
    assert runs([5, 5, 6, 6], [0, 1, 1, 0], 8) == [(0, 1), (1, 2), (3, 1)]
