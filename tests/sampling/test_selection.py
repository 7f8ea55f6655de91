"""Sums in an order that is not sorted: the same places as in one that is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from pyllama.sampling import Candidates, Dist, MinP, Mt19937, Temperature, TopP, Typical
from pyllama.sampling.selection import RunningSum, falling_order, stretch

SIZES = (1, 2, 3, 40, 511, 513, 3000)


def fallen_and_risen(size: int, seed: int, scale: float) -> NDArray[np.float32]:
    """Distances of ranked numbers from one among them; where they are rounded, some are equal."""
    random = np.random.default_rng(seed)
    values = np.sort(random.normal(size=size) * scale)[::-1].astype(np.float32)
    if seed % 2:
        values = np.round(values * 4) / 4
    return np.abs(values - values[seed * size // 10])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("share", [1e-6, 0.3, 0.9, 1.0])
def test_a_stretch_is_the_beginning_of_the_sorted_order(size: int, seed: int, share: float) -> None:
    distances = fallen_and_risen(size, seed, 1.0)
    weights = np.random.default_rng(seed).random(size, np.float32)
    sums = RunningSum.of(weights)
    start, stop = stretch(distances, sums, share * sums.total)
    nearest = np.sort(distances)[: stop - start]
    np.testing.assert_array_equal(np.sort(distances[start:stop]), nearest)
    assert weights[start:stop].sum(dtype=np.float64) >= share * weights.sum(dtype=np.float64) - 1e-6
    # without the farthest one it is not enough
    order = start + falling_order(-distances[start:stop])
    if not seed % 2:
        assert weights[order[:-1]].sum(dtype=np.float64) < share * sums.total


def test_sums_before_a_position() -> None:
    weights = np.random.default_rng(0).random(2000, np.float32)
    sums = RunningSum.of(weights)
    for position in (0, 1, 511, 512, 513, 1024, 2000):
        assert sums.before(position) == pytest.approx(weights[:position].sum(dtype=np.float64))


@pytest.mark.parametrize("scale", [0.01, 0.3])
def test_a_draw_is_the_same_without_sorting(scale: float) -> None:
    logits = (np.random.default_rng(1).normal(size=9000) * scale).astype(np.float32)
    kept = Temperature(0.7)(MinP(0.01)(Typical(0.9)(Candidates.of(logits))))
    assert kept.distances is not None
    sorted_out = kept.in_order()
    assert sorted_out.distances is None
    for seed in range(50):
        assert Dist()(kept, Mt19937(seed)) == Dist()(sorted_out, Mt19937(seed))


def test_a_filter_that_ranks_forgets_the_other_order() -> None:
    logits = (np.random.default_rng(1).normal(size=9000) * 0.1).astype(np.float32)
    typical = Typical(0.9)(Candidates.of(logits))
    kept = TopP(0.8)(typical)
    expected = TopP(0.8)(replace(typical.in_order(), ranked=False))
    assert kept.distances is None
    assert kept.ids.tolist() == expected.ids.tolist()
