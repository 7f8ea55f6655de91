"""A file of tensors that stays on disk: its bytes are mapped, and given back after use."""

from __future__ import annotations

import mmap
import os
import stat
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pyllama.errors import ConversionError, FileError

AGAIN = "download the checkpoint again"


class MappedFile:
    """A file's bytes, read-only; raises FileError where they cannot be read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                raise FileError(path, "is not a regular file", "name another file")
            with path.open("rb") as stream:
                self.size = os.fstat(stream.fileno()).st_size
                if not self.size:
                    raise ConversionError(path, "is empty", AGAIN)
                self._map = mmap.mmap(stream.fileno(), self.size, access=mmap.ACCESS_READ)
        except OSError as error:
            raise FileError.from_os_error(path, error) from error
        self._bytes = np.frombuffer(self._map, np.uint8)

    def bytes(self, start: int, stop: int) -> NDArray[np.uint8]:
        """A view. Raises ConversionError where the file has shrunk."""
        if self._map.size() < stop:  # mapped pages beyond the end would kill the process
            raise ConversionError(self.path, "has shrunk since it was opened", AGAIN)
        return self._bytes[start:stop]

    def release(self) -> None:
        """Let all pages go from this process; views that are still used get theirs back."""
        if hasattr(mmap, "MADV_DONTNEED"):
            with suppress(OSError):
                self._map.madvise(mmap.MADV_DONTNEED)
