"""A lazy array of strings: one block of bytes from the file and the bounds of each string in it.

    region   | u64 length | bytes | u64 length | bytes | ...
             ^ bounds[0] = 0      ^ bounds[1]          ^ bounds[n] = len(region)

A vocabulary has some hundred thousand strings. Most users of a file need none of them, so they are
decoded on access, one or all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import overload

import numpy as np
from numpy.typing import NDArray

LENGTH_BYTES = 8


class StringArray(Sequence[str]):
    """The strings of a metadata array, immutable.

    A string that is not UTF-8 keeps its odd bytes as lone surrogates: Python's
    ``text.encode("utf-8", "surrogateescape")`` gives back the bytes of the file.
    """

    __slots__ = ("_bounds", "_region")

    def __init__(self, region: bytes, bounds: NDArray[np.int64]) -> None:
        """``region`` as drawn above; ``bounds``: (n + 1,) start of each length, and the end."""
        self._region = region
        self._bounds = bounds

    @property
    def encoded(self) -> bytes:
        """The strings as they stand in the file, each after its length."""
        return self._region

    def raw(self, index: int) -> bytes:
        """The undecoded bytes of one string; ``IndexError`` outside the array."""
        index = range(len(self))[index]
        start, end = int(self._bounds[index]), int(self._bounds[index + 1])
        return self._region[start + LENGTH_BYTES : end]

    def __len__(self) -> int:
        return len(self._bounds) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        return self.raw(index).decode("utf-8", "surrogateescape")

    def __iter__(self) -> Iterator[str]:
        return iter(self._decode_all())

    def __eq__(self, other: object) -> bool:
        if isinstance(other, StringArray):
            return self._region == other._region
        if isinstance(other, list | tuple):
            return len(self) == len(other) and self._decode_all() == list(other)
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<StringArray of {len(self)}>"

    def _decode_all(self) -> list[str]:
        region, spans = self._region, self._bounds.tolist()
        try:  # the error handler costs a third more time, and hardly any file needs it
            return [region[a + LENGTH_BYTES : b].decode() for a, b in pairwise(spans)]
        except UnicodeDecodeError:
            return self[:]


NO_STRINGS = StringArray(b"", np.zeros(1, np.int64))
"""What an empty list cannot say: that its elements would be strings."""
