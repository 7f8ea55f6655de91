"""A file that appears whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from pyllama.errors import FileError, UsageError

# Between two pieces Python sees a Ctrl-C; one system call for gigabytes would hold it up.
_PIECE = 16 * 2**20

_WRITE_BACK = 32 * 2**20
"""Bytes that may wait in memory before the system is told to bring them to the disk."""

_DESCRIPTORS = "/proc/self/fd"
"""Where open files have names by their numbers."""


class AtomicFile:
    """Writes beside ``path`` and takes its place at the clean end of the ``with`` block.

    An existing file stays as it is until then. Whatever exception ends the block, Ctrl-C included,
    nothing new remains. Where the system has files without a name (Linux, on most file systems),
    the file gets its name at the end, so that a process that is killed leaves nothing either.
    Raises ``FileError`` if the file cannot be created or written.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._temporary = self.path.with_name(f".pyllama-{os.urandom(8).hex()}.partial")
        self.size = 0  # bytes written so far
        self._on_the_way = 0  # of them those that the system was told to bring to the disk
        self._stream: BinaryIO | None = None
        self._is_unnamed = False

    def __enter__(self) -> Self:
        try:
            self._check_target()
            self._stream = _open_unnamed(self.path.parent)
            self._is_unnamed = self._stream is not None
            if self._stream is None:
                self._stream = open(self._temporary, "xb")
        except OSError as error:
            raise FileError.from_os_error(self.path, error) from error
        except BaseException:
            self._discard()
            raise
        return self

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes; ``data`` must be one-dimensional."""
        if self._stream is None:
            raise UsageError(f"{self.path}: write inside the `with` block of the file")
        view = memoryview(data).cast("B")
        try:
            for start in range(0, len(view), _PIECE):
                self.size += self._stream.write(view[start : start + _PIECE])
                if self.size - self._on_the_way >= _WRITE_BACK:
                    _write_back(self._stream, self._on_the_way, self.size)
                    self._on_the_way = self.size
        except OSError as error:
            raise FileError.from_os_error(self.path, error) from error

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._discard()
            return
        try:
            self._commit()
        except OSError as failure:
            self._discard()
            raise FileError.from_os_error(self.path, failure) from failure
        except BaseException:
            self._discard()
            raise

    def _check_target(self) -> None:
        """Replacing a device such as /dev/null, or a directory, by a file would do damage."""
        if self.path.is_dir():
            raise FileError(self.path, "is a directory", "name a file")
        if self.path.exists() and not self.path.is_file():
            raise FileError(self.path, "is not a regular file", "name another file")

    def _commit(self) -> None:
        assert self._stream is not None
        self._stream.flush()
        os.fsync(self._stream.fileno())
        if self._is_unnamed:
            _give_name(self._stream, self.path, self._temporary)
        self._stream.close()
        if not self._is_unnamed:
            os.replace(self._temporary, self.path)
        self._stream = None
        _sync_folder(self.path.parent)

    def _discard(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            with suppress(OSError):  # a full disk fails again when the buffer is flushed
                stream.close()
        with suppress(OSError):
            self._temporary.unlink()


def _write_back(stream: BinaryIO, start: int, end: int) -> None:
    """Let the disk work while the file is made, so that the sync at its end has little to wait for.

    Told that pages are not needed, Linux begins to write them, and keeps those that are not written
    yet: a file that is just made is still in memory for whoever reads it next.
    """
    if hasattr(os, "posix_fadvise"):
        with suppress(OSError):  # mere advice
            os.posix_fadvise(stream.fileno(), start, end - start, os.POSIX_FADV_DONTNEED)


def _open_unnamed(folder: Path) -> BinaryIO | None:
    """A file without a name, or None where there is no such thing."""
    flag = getattr(os, "O_TMPFILE", 0)
    if not flag or not os.path.isdir(_DESCRIPTORS):
        return None
    try:
        return os.fdopen(os.open(folder, flag | os.O_WRONLY, 0o666), "wb")
    except OSError:
        return None


def _give_name(stream: BinaryIO, path: Path, temporary: Path) -> None:
    """Name an unnamed file ``path``, which it takes from the file that has it."""
    source = f"{_DESCRIPTORS}/{stream.fileno()}"
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        # with a folder given Python follows the link that the source is
        try:
            os.link(source, path.name, dst_dir_fd=folder)
        except FileExistsError:
            os.link(source, temporary.name, dst_dir_fd=folder)
            os.replace(temporary, path)
    finally:
        os.close(folder)


def _sync_folder(folder: Path) -> None:
    """Make the new name durable, where the system can (Windows cannot open folders)."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
