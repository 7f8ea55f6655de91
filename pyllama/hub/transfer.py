"""From a stream of bytes to a whole, checked file that appears at once.

Bytes are appended to ``NAME.incomplete``. A connection that breaks is opened again at the byte
where it broke, and so is, by the next call, a download that was given up: the name belongs to one
version of the content (its ETag), so what is there already is never part of another version.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from pyllama.errors import FileError, HubError, HubUnreachable

ATTEMPTS = 5
"""How often in a row a connection may break without having brought a byte."""
PAUSE = 1.0
"""Seconds to wait after the first break; after the next, twice as many, and so on."""
CHUNK = 1 << 18
"""Bytes between two reports of progress, about."""
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a download is."""

    file: str
    """The file that is arriving."""
    done: int
    """Bytes that are there, of all files of the download; it never goes down."""
    total: int
    """Bytes of all files of the download."""


Report = Callable[[Progress], None]
"""Called often, from the thread that downloads; what it raises ends the download, which can go on
later from there."""


@dataclass(frozen=True, slots=True)
class Body:
    """What a server answers to the request for a file from some byte on."""

    start: int
    """The byte that it starts at: the one asked for or, from a server that has no ranges, 0."""
    total: int | None
    """Bytes of the whole file, where the server says so."""
    chunks: Iterable[bytes]
    """The bytes; iterating raises HubUnreachable when the connection breaks."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file on a server."""

    label: str
    """Its name for people."""
    name: str
    """Its name in the repository."""
    size: int
    """Bytes."""
    etag: str
    """The name of this version of the content, fit to be a file name."""
    sha256: str | None
    """The content's SHA-256 in lower-case hexadecimal digits, where it is known."""
    open: Callable[[int], AbstractContextManager[Body]]
    """Ask for the bytes from a position on; raises HubUnreachable, and HubError when refused."""


@dataclass(frozen=True, slots=True)
class Task:
    """A source, and where its bytes shall be."""

    source: Source
    target: Path
    lock: AbstractContextManager[object]
    """Held while this process writes; another one then waits, and finds the file."""

    @property
    def partial(self) -> Path:
        """What has arrived so far."""
        return self.target.with_name(f"{self.source.etag}.incomplete")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Name the file where writing to it, in the block, fails: FileError."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_SPACE:
            raise FileError.from_os_error(path, error) from error
        remedy = "free some space and run this again: it goes on from there"
        raise FileError(path, "the disk is full", remedy) from error


def transfer(tasks: Sequence[Task], report: Report | None = None) -> None:
    """Bring all files to their targets; those that are there already are left as they are.

    Raises HubError (damaged, refused, no space), HubUnreachable when the connection stays broken,
    FileError when the files cannot be written.
    """
    _check_space(tasks)
    done, total = 0, sum(task.source.size for task in tasks)
    meter = _Meter(total, report)
    for task in tasks:
        with writing(task.target.parent):
            task.target.parent.mkdir(parents=True, exist_ok=True)
        with task.lock:
            if not task.target.exists():
                _fetch(task, partial(meter, task.source.name, done))
        meter(task.source.name, done, task.source.size)
        done += task.source.size


class _Meter:
    """Reports what is new: a server may force a file to start again, but nobody wants to see it."""

    def __init__(self, total: int, report: Report | None) -> None:
        self._total, self._report = total, report
        self._highest = -1

    def __call__(self, file: str, before: int, size: int) -> None:
        if self._report is not None and before + size > self._highest:
            self._highest = before + size
            self._report(Progress(file, self._highest, self._total))


def _check_space(tasks: Sequence[Task]) -> None:
    missing = [task for task in tasks if not task.target.exists()]
    if not missing:
        return
    needed = sum(max(0, task.source.size - _size(task.partial)) for task in missing)
    folder = next(parent for parent in missing[0].target.absolute().parents if parent.exists())
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise HubError(
            missing[0].source.label,
            f"{_readable(needed)} to download, but only {_readable(free)} free in {folder}",
            "free some space, or set HF_HUB_CACHE to a folder on another disk",
        )


def _fetch(task: Task, report: Callable[[int], None]) -> None:
    source = task.source
    with _PartialFile(task.partial, source.size) as file:
        report(file.size)
        _fill(file, source, report)
        digest = file.finish()
    with writing(task.partial):
        if source.sha256 in (None, digest):
            task.partial.replace(task.target)
            return
        task.partial.unlink()
    problem = f"arrived damaged: its SHA-256 is {digest}, not {source.sha256}"
    raise HubError(source.label, problem, "it was removed; run this again")


class _PartialFile:
    """A file that grows at its end up to a size, and its SHA-256."""

    def __init__(self, path: Path, limit: int) -> None:
        self._path = path
        self._sha256 = hashlib.sha256()
        with writing(path):
            self._file = path.open("a+b")
            self.size = os.fstat(self._file.fileno()).st_size
            """Bytes in it."""
            if self.size > limit:
                self.restart()
            for chunk in self._content():
                self._sha256.update(chunk)

    def _content(self) -> Iterator[bytes]:
        self._file.seek(0)
        left = self.size
        while left and (chunk := self._file.read(min(left, CHUNK))):
            left -= len(chunk)
            yield chunk

    def restart(self) -> None:
        """Forget all that is there."""
        with writing(self._path):
            self._file.truncate(0)
        self._sha256 = hashlib.sha256()
        self.size = 0

    def append(self, chunk: bytes) -> None:
        """Write a piece; it is in the file, not in a buffer, when this returns."""
        with writing(self._path):
            self._file.write(chunk)
            self._file.flush()
        self._sha256.update(chunk)
        self.size += len(chunk)

    def finish(self) -> str:
        """Let the disk have all of it; returns the SHA-256."""
        with writing(self._path):
            os.fsync(self._file.fileno())
        return self._sha256.hexdigest()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()


def _fill(file: _PartialFile, source: Source, report: Callable[[int], None]) -> None:
    """Ask for what is missing until nothing is."""
    failures = 0
    while (before := file.size) < source.size:
        problem = "the connection ended"
        try:
            with source.open(before) as body:
                _append(file, body, source, report)
        except HubUnreachable as error:
            problem = error.problem
        if file.size >= source.size:
            return
        failures = 0 if file.size > before else failures + 1
        if failures == ATTEMPTS:
            arrived = f"{problem}, after {_readable(file.size)} of {_readable(source.size)}"
            raise HubUnreachable(source.label, arrived, "run this again: it goes on from there")
        time.sleep(PAUSE * max(1, failures))


def _append(file: _PartialFile, body: Body, source: Source, report: Callable[[int], None]) -> None:
    if body.total not in (None, source.size):
        problem = f"has {body.total} bytes, where its description says {source.size}"
        raise HubError(source.label, problem, "run this again later")
    if body.start not in (0, file.size):
        problem = f"the server sends it from byte {body.start} on, not from {file.size}"
        raise HubError(source.label, problem, "run this again later")
    if body.start != file.size:
        file.restart()
    for chunk in body.chunks:
        if file.size + len(chunk) > source.size:
            file.restart()
            raise HubError(source.label, f"has more than the {source.size} bytes announced")
        file.append(chunk)
        report(file.size)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _readable(size: int) -> str:
    """Bytes as people say them: decimal, three digits."""
    for unit, scale in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= scale:
            return f"{size / scale:.3g} {unit}"
    return f"{size} bytes"
