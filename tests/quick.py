"""Which combinations of parameters the quick run tests; ``-m slow`` runs all the others."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import product
from typing import Any

import pytest

Label = Callable[[Any], str]


def name_of(value: object) -> str:
    """The id of a value: its name, if it has one."""
    return str(getattr(value, "name", value))


def in_turn(*dimensions: Iterable[Any], label: Label = name_of) -> list[Any]:
    """Parameters of all combinations, each with a value of every dimension.

    Quick is a Latin square: every combination of all dimensions but the last, with the values of
    the last one in turn. Values may be parameters with ids and marks of their own.
    """
    sequences = [list(dimension) for dimension in dimensions]
    return [
        _parameter(
            [values[place] for values, place in zip(sequences, places, strict=True)],
            sum(places) % len(sequences[-1]) == 0,
            label,
        )
        for places in product(*(range(len(values)) for values in sequences))
    ]


def some(values: Iterable[Any], quick: Collection[Any], label: Label = name_of) -> list[Any]:
    """Parameters of all values, of which some are quick."""
    return [_parameter([value], value in quick, label) for value in values]


def _parameter(parts: Sequence[Any], is_quick: bool, label: Label) -> object:
    sets = [p if hasattr(p, "marks") else pytest.param(p, id=label(p)) for p in parts]
    marks = [mark for part in sets for mark in part.marks]
    return pytest.param(
        *(value for part in sets for value in part.values),
        marks=marks if is_quick else [*marks, pytest.mark.slow],
        id="-".join(str(part.id) for part in sets),
    )
