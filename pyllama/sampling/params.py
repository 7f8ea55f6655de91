"""The options of the sampling chain, their defaults, and what a model file says about them."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Self

from pyllama.errors import ModelError, UsageError
from pyllama.sampling.rng import RANDOM_SEED

_FROM_FILE = {
    "temp": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "penalty_repeat": "repeat_penalty",
    "penalty_last_n": "repeat_last_n",
}
"""Key behind ``general.sampling.`` -> field; presence and frequency penalties have no key."""

_OPTION = {"temperature": "temp"}
"""The option of a field where it has another name."""

_RANGES: Mapping[str, tuple[float, float]] = {
    "top_p": (0, 1),
    "min_p": (0, 1),
    "repeat_penalty": (1e-6, math.inf),
    "repeat_last_n": (0, 2**31 - 1),
}
"""Inclusive bounds of the fields that have any; every number must also be finite."""


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """The options of the sampling chain, with llama.cpp's defaults.

    Raises UsageError where a value is out of its range.
    """

    seed: int = RANDOM_SEED
    """Seed of the generator; -1 for a random one."""
    temperature: float = 0.8
    """Divides the logits; 0 or less is greedy."""
    top_k: int = 40
    """Keep the k largest logits; 0 or less keeps all."""
    top_p: float = 0.95
    """Keep the likeliest tokens up to this probability; 1 keeps all."""
    min_p: float = 0.05
    """Keep tokens at least this likely, as a share of the likeliest; 0 keeps all."""
    repeat_penalty: float = 1.0
    """Divides positive and multiplies negative logits of recent tokens; 1 is off."""
    repeat_last_n: int = 64
    """How many recent tokens the three penalties look at; 0 is off."""
    presence_penalty: float = 0.0
    """Subtracted once from the logit of each recent token."""
    frequency_penalty: float = 0.0
    """Subtracted for every occurrence of a recent token."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            low, high = _RANGES.get(field.name, (-math.inf, math.inf))
            if not (math.isfinite(value) and low <= value <= high):
                name = field.name.replace("_", "-")
                raise UsageError(f"{name} {value} is out of range{_bounds(low, high)}")

    @property
    def penalizes(self) -> bool:
        """Whether any of the three penalties does something."""
        neutral = (self.repeat_penalty, self.presence_penalty, self.frequency_penalty) == (1, 0, 0)
        return self.repeat_last_n > 0 and not neutral

    @classmethod
    def for_model(
        cls,
        path: str | os.PathLike[str],
        metadata: Mapping[str, object],
        given: Mapping[str, float | None],
    ) -> Self:
        """What the user gave, else the file's ``general.sampling.*``, else the defaults.

        given: field -> value, None for an option that was not given. Raises UsageError for a
        given value out of range, ModelError for one in the file.
        """
        options: dict[str, Any] = {name: x for name, x in given.items() if x is not None}
        params = cls(**options)
        for suffix, name in _FROM_FILE.items():
            key = f"general.sampling.{suffix}"
            if key in metadata and given.get(name) is None:
                params = params._with_file_value(path, key, name, metadata[key])
        return params

    def _with_file_value(
        self, path: str | os.PathLike[str], key: str, name: str, value: object
    ) -> Self:
        remedy = f"give --{_OPTION.get(name, name).replace('_', '-')} to override it"
        whole = isinstance(getattr(self, name), int)
        if not isinstance(value, int if whole else int | float) or isinstance(value, bool):
            kind = "a whole number" if whole else "a number"
            raise ModelError(path, f"{key} is {str(value)[:40]!r} instead of {kind}", remedy)
        try:
            return replace(self, **{name: value})
        except UsageError as error:
            raise ModelError(path, f"{key}: {error}", remedy) from error


def _bounds(low: float, high: float) -> str:
    if math.isinf(low):
        return "; give a finite number"
    return f"; give {low:g} or more" if math.isinf(high) else f"; give {low:g} to {high:g}"
