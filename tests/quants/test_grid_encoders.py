"""Rounding to grids: neighbours of what is no point, and groups of zeros."""

from __future__ import annotations

import numpy as np
import pytest

from pyllama.gguf.types import TensorType
from pyllama.quants import GridName, dequantize, grid, quantize
from pyllama.quants.grid_search import grid_map

GRIDS: list[tuple[GridName, int]] = [("iq2_xxs", 2), ("iq2_s", 1), ("iq3_s", 3), ("iq1_s", 3)]


@pytest.mark.parametrize(("name", "distances"), GRIDS)
def test_neighbours_are_the_points_at_the_least_distances(name: GridName, distances: int) -> None:
    map = grid_map(name, distances)
    points = np.searchsorted(np.unique(grid(name)), grid(name))
    powers = map.levels ** np.arange(points.shape[1])
    assert (map.index[points @ powers] == np.arange(len(points))).all()
    missing = np.flatnonzero(map.index < 0)
    for number in np.random.default_rng(1).choice(missing, 20):
        squares = ((points - number // powers % map.levels) ** 2).sum(axis=1)
        expected = np.lexsort((np.arange(len(points)), squares))
        near = np.isin(squares[expected], np.unique(squares)[:distances])
        row = map.row[number]
        assert map.count[row] == near.sum()
        assert map.neighbours[row, : near.sum()].tolist() == expected[near].tolist()
        assert (map.neighbours[row, near.sum() :] == expected[0]).all()


@pytest.mark.parametrize("type", [TensorType.IQ3_S, TensorType.IQ3_XXS, TensorType.IQ2_S])
def test_a_group_of_zeros_does_not_spoil_the_others(type: TensorType) -> None:
    values = np.random.default_rng(4).standard_normal((4, 256)).astype(np.float32)
    values[:, 64:96] = 0
    decoded = dequantize(quantize(values, type), type, values.shape)
    others = np.delete(np.arange(256), np.s_[64:96])
    error = np.square(decoded - values)[:, others].mean()
    assert error < (0.06 if type.name.startswith("IQ3") else 0.2)


@pytest.mark.parametrize("name", ["IQ2_XXS", "IQ2_XS", "IQ3_XXS"])
def test_signs_that_do_not_pair_cost_the_cheapest_value(name: str) -> None:
    type = TensorType[name]
    values = np.full((1, 256), 1.0, np.float32)
    values[0, ::8] = -1
    values[0, 5::8] = 0.01
    decoded = dequantize(quantize(values, type), type, values.shape)
    wrong = np.flatnonzero((np.sign(decoded) != np.sign(values))[0])
    assert wrong.tolist() == list(range(5, 256, 8))
