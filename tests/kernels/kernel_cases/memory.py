"""Memory whose edges are watched: behind an array nothing can be touched, before it writes show."""

from __future__ import annotations

import ctypes
import math
import mmap
import os
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

CANARY = 0xA5


class Memory:
    """The arrays of one run. An access behind the end of any of them faults."""

    def __init__(self) -> None:
        self._before: list[NDArray[np.uint8]] = []

    def empty(self, shape: tuple[int, ...] | int, dtype: Any) -> NDArray[Any]:
        """An array of bytes 0xFF: NaN in every float type, -1 in every signed integer type."""
        kind = np.dtype(dtype)
        n_bytes = math.prod(shape if isinstance(shape, tuple) else (shape,)) * kind.itemsize
        pages = 1 + -(-n_bytes // mmap.PAGESIZE)
        region = np.frombuffer(mmap.mmap(-1, (pages + 1) * mmap.PAGESIZE), np.uint8)
        end = pages * mmap.PAGESIZE
        _forbid(region.ctypes.data + end, mmap.PAGESIZE)
        before, data = region[: end - n_bytes], region[end - n_bytes : end]
        before[:], data[:] = CANARY, 0xFF
        self._before.append(before)
        array: NDArray[Any] = data.view(kind).reshape(shape)
        return array

    def copy(self, values: ArrayLike, dtype: Any = None) -> NDArray[Any]:
        """An array with these values."""
        source = np.asarray(values, dtype)
        array = self.empty(source.shape, source.dtype)
        array[...] = source
        return array

    def check(self) -> None:
        """Fail when something was written before the beginning of an array."""
        for before in self._before:
            assert (before == CANARY).all(), "memory before an array was written"


def _forbid(address: int, n_bytes: int) -> None:
    """Let every access to whole pages fault, where the operating system can."""
    if os.name == "posix":
        mprotect = ctypes.CDLL(None, use_errno=True).mprotect
        mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
        no_access = 0
        assert mprotect(address, n_bytes, no_access) == 0, os.strerror(ctypes.get_errno())
