"""Checked look-ups of a model's own metadata keys."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any

import numpy as np

from pyllama.errors import ModelError

MAX_SIZE = 1 << 24
"""No width, head count or vocabulary of a model comes near this."""


class Keys:
    """The keys ``{architecture}.*``; what is wrong with one is a ModelError that names it."""

    def __init__(self, path: str | PathLike[str], metadata: Mapping[str, Any], prefix: str) -> None:
        self._path, self._metadata, self._prefix = path, metadata, prefix

    def _value(self, key: str) -> Any:
        return self._metadata.get(f"{self._prefix}.{key}")

    def fail(self, key: str, problem: str) -> ModelError:
        """The error for a key."""
        return ModelError(
            self._path, f"{self._prefix}.{key} {problem}", "the file is damaged: get it again"
        )

    def require(self, *names: str) -> None:
        """Raises the error for keys that are missing."""
        for key in names:
            if self._value(key) is None:
                raise self.fail(key, "is missing")

    def integer(
        self,
        key: str,
        default: int | None = None,
        low: int = 1,
        high: int = MAX_SIZE,
        besides: int | None = None,
    ) -> int:
        """An integer within bounds; an array is accepted when all its elements are equal.

        ``besides``: what elements may be, too, for layers that have nothing to count.
        """
        value = self._value(key)
        if value is None:
            if default is None:
                raise self.fail(key, "is missing")
            return default
        if isinstance(value, np.ndarray) and besides is not None:
            value = value[value != besides]
        if isinstance(value, np.ndarray) and value.size and (value == value[0]).all():
            value = value[0].item()
        if isinstance(value, np.ndarray):
            raise self.fail(key, "differs from layer to layer, which this architecture does not do")
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.fail(key, f"is no integer: {value!r}")
        if not low <= value <= high:
            raise self.fail(key, f"is {value}, not between {low} and {high}")
        return value

    def number(self, key: str, default: float | None = None, positive: bool = True) -> float:
        """A finite number."""
        value = self._value(key)
        if value is None:
            if default is None:
                raise self.fail(key, "is missing")
            return default
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.fail(key, f"is no number: {value!r}")
        if not np.isfinite(value) or (positive and value <= 0):
            raise self.fail(key, f"is {value}")
        return float(value)

    def factor(self, key: str, default: float) -> float:
        """A positive number; 0 stands for a key that is not there."""
        if not self.number(key, 0.0, positive=False):
            return default
        return self.number(key)

    def text(self, key: str, default: str) -> str:
        """A string."""
        value = self._value(key)
        if value is None:
            return default
        if not isinstance(value, str):
            raise self.fail(key, f"is no text: {value!r}")
        return value

    def flag(self, key: str, default: bool) -> bool:
        """A truth value."""
        value = self._value(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.fail(key, f"is neither true nor false: {value!r}")
        return value

    def pattern(self, key: str, count: int, period: int) -> tuple[bool, ...]:
        """A flag for each of ``count`` layers; or a period, whose last layer has none.

        ``period`` is what holds where the key is absent; 0 flags all layers.
        """
        value = self._value(key)
        if isinstance(value, np.ndarray):
            if len(value) < count:
                raise self.fail(key, f"has {len(value)} elements for {count} layers")
            return tuple(bool(flag) for flag in value[:count])
        period = self.integer(key, period, low=0)
        return tuple(period == 0 or layer % period < period - 1 for layer in range(count))
