"""Typed and checked access to the ``tokenizer.ggml.*`` keys of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pyllama.errors import ModelError
from pyllama.gguf.wording import quoted

PREFIX = "tokenizer.ggml."
AGAIN = "the file is damaged or badly converted: download or convert it again"

T = TypeVar("T", bool, str)


@dataclass(frozen=True, slots=True)
class Keys:
    """The metadata of one file; every reader returns ``None`` where the key is absent.

    Raises ``ModelError`` where a value is not of the asked kind.
    """

    metadata: Mapping[str, Any]
    source: str

    def error(self, problem: str, remedy: str = AGAIN) -> ModelError:
        """An error about this file."""
        return ModelError(self.source, problem, remedy)

    def flag(self, name: str) -> bool | None:
        """A truth value."""
        return self._scalar(name, bool, "true or false")

    def text(self, name: str) -> str | None:
        """A string."""
        return self._scalar(name, str, "a string")

    def token_id(self, name: str, n_vocab: int) -> int | None:
        """The id of a token, in the range of the vocabulary."""
        value = self.metadata.get(PREFIX + name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.error(f"{PREFIX}{name} is {_shown(value)}, not a token id")
        if not 0 <= value < n_vocab:
            raise self.error(
                f"{PREFIX}{name} is {value}, outside the vocabulary of {n_vocab} tokens"
            )
        return value

    def strings(self, name: str) -> list[str] | None:
        """An array of strings."""
        value = self.metadata.get(PREFIX + name)
        if value is None:
            return None
        if isinstance(value, str | bytes) or not isinstance(value, Sequence):
            raise self.error(f"{PREFIX}{name} is {_shown(value)}, not an array of strings")
        strings = list(value)
        if not set(map(type, strings)) <= {str}:
            raise self.error(f"{PREFIX}{name} is {_shown(value)}, not an array of strings")
        return strings

    def numbers(self, name: str) -> NDArray[Any] | None:
        """An array of numbers, (n,), of the type that the file gives it."""
        value = self.metadata.get(PREFIX + name)
        if value is None:
            return None
        array = np.asarray(value) if isinstance(value, np.ndarray | list | tuple) else None
        if array is None or array.ndim != 1 or array.dtype.kind not in "iuf":
            raise self.error(f"{PREFIX}{name} is {_shown(value)}, not an array of numbers")
        return array

    def _scalar(self, name: str, kind: type[T], meaning: str) -> T | None:
        value = self.metadata.get(PREFIX + name)
        if value is not None and not isinstance(value, kind):
            raise self.error(f"{PREFIX}{name} is {_shown(value)}, not {meaning}")
        return value


def _shown(value: object) -> str:
    """A value in an error message: itself if it is a scalar, else what kind of thing it is."""
    if isinstance(value, str):
        return quoted(value)
    return str(value) if isinstance(value, bool | int | float) else "an array"
