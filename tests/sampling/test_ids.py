"""Ids worked out late are those that a sort of everything gives."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from pyllama.sampling import Candidates, Sampler, SamplingParams
from pyllama.sampling.ids import Ids, Picked, Range, Ranked


def tied_values(size: int, kinds: int) -> NDArray[np.float32]:
    """Values of which many are equal, among them zeros of both signs."""
    values = np.random.default_rng(size).integers(-kinds, kinds + 1, size).astype(np.float32)
    values[::7] *= -1
    return values


def ranked(base: Ids, values: NDArray[np.float32]) -> Ranked:
    return Ranked(base, values, -np.sort(-values))


@pytest.mark.parametrize("size", [1, 2, 7, 500, 513])
@pytest.mark.parametrize("kinds", [0, 3, 10**6])
def test_ranked_ids_are_those_of_a_stable_sort(size: int, kinds: int) -> None:
    values = tied_values(size, kinds)
    order = np.argsort(-values, kind="stable")
    ids = ranked(Range(10), values)
    every = np.arange(size)
    assert ids.take(every).tolist() == (order + 10).tolist()
    assert ids.take(every[::-1]).tolist() == (order[::-1] + 10).tolist()
    for position in {0, size // 2, size - 1}:
        assert ids.take(np.array([position])).tolist() == [order[position] + 10]
        rest = ids.after(position)
        assert rest.take(every[: size - position]).tolist() == (order[position:] + 10).tolist()


@pytest.mark.parametrize("size", [1, 2, 7, 500])
@pytest.mark.parametrize("kinds", [0, 3, 10**6])
def test_what_is_taken_is_found(size: int, kinds: int) -> None:
    random = np.random.default_rng(size)
    picked = Picked(Range(5), random.permutation(3 * size)[:size])
    rows = (Range(5), picked, ranked(picked, tied_values(size, kinds)))
    for ids in (*rows, *(Picked(row, random.permutation(size)) for row in rows)):
        start, stop = size // 4, size
        some = ids.after(start)
        taken = some.take(np.arange(stop - start))
        wanted = random.permutation(np.arange(4 * size + 10))
        expected = {int(id): position for position, id in enumerate(taken)}
        found = some.find(wanted, stop - start)
        assert found.tolist() == [expected.get(int(id), -1) for id in wanted]


def test_ids_are_kept_when_the_logits_are_overwritten() -> None:
    """A session writes the next logits where the last ones were."""
    logits = np.random.default_rng(0).normal(size=50).astype(np.float32)
    expected = np.argsort(-logits, kind="stable")[:9].tolist()
    options = {"top_k": 9, "top_p": 1.0, "min_p": 0.0}
    kept = Sampler.from_params(SamplingParams(**options)).candidates(logits)  # type: ignore[arg-type]
    logits[:] = 0
    assert kept.ids.tolist() == expected


def test_penalties_after_a_ranking_find_their_tokens() -> None:
    logits = np.array([1.0, 3.0, 2.0, 3.0], np.float32)
    ranking = Candidates.of(logits).rank()
    assert ranking.ids.tolist() == [1, 3, 2, 0]
    positions, values = ranking.find({3: 0.5, 7: 1.0, 0: 2.0})
    assert dict(zip(positions.tolist(), values.tolist(), strict=True)) == {1: 0.5, 3: 2.0}
