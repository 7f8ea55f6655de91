"""The quick run: a part of all combinations, in which every value occurs."""

from __future__ import annotations

from collections import Counter
from itertools import product
from typing import Any

import pytest
from quick import in_turn, some

ROWS, COLUMNS, LAST = "abc", (1, 2), (7, 8, 9, 10)


def quick(params: list[Any]) -> list[Any]:
    return [p.values for p in params if pytest.mark.slow not in p.marks]


def test_the_last_dimension_takes_turns() -> None:
    params = in_turn(ROWS, COLUMNS, LAST)
    assert [p.values for p in params] == list(product(ROWS, COLUMNS, LAST))
    chosen = quick(params)
    assert [values[:2] for values in chosen] == list(product(ROWS, COLUMNS))
    assert set(Counter(values[2] for values in chosen)) == set(LAST)


def test_marks_and_ids_of_values_stay() -> None:
    last = [pytest.param(1, marks=pytest.mark.network, id="one")]
    (param,) = in_turn("a", last)
    assert (param.id, [mark.name for mark in param.marks]) == ("a-one", ["network"])
    assert quick(in_turn(some("ab", "a"), last)) == [("a", 1)]
