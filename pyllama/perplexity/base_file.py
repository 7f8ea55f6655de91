"""Files of log-probabilities: what a model gives to every token, in llama.cpp's format.

Little-endian::

    magic      8 bytes              "_logits_"
    n_ctx      i32                  tokens of a chunk
    n_vocab    i32
    n_chunk    i32
    tokens     i32 [n_chunk * n_ctx]
    rows       u16 [n_chunk * (n_ctx - 1 - n_ctx // 2), n_vocab rounded up to even, + 4]

A row begins with two float32, scale and offset (the first four u16); the log-probability of a
token is ``offset + scale * q``. The offset stands for the lowest, at most 16 below the highest.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pyllama.errors import FileError
from pyllama.gguf.atomic import AtomicFile
from pyllama.perplexity.windows import Windows

MAGIC = b"_logits_"
RANGE = 16
"""Log-probabilities lower than the highest by more than this are not told apart."""

_HEAD = struct.Struct("<8siii")
_LEVELS = 65535
_PREFIX = 4
_REMEDY = "give a file that --kl-divergence-base has written"


def row_words(n_vocab: int) -> int:
    """u16 of a row."""
    return 2 * ((n_vocab + 1) // 2) + _PREFIX


def encode_rows(logits: NDArray[np.float32]) -> NDArray[np.uint16]:
    """(n, n_vocab) logits to (n, row_words) rows."""
    highest = logits.max(axis=1, keepdims=True)
    lowest = np.maximum(logits.min(axis=1, keepdims=True), highest - np.float32(RANGE))
    total = np.exp(logits - highest).sum(axis=1, dtype=np.float64, keepdims=True)
    scale = (highest - lowest) / np.float32(_LEVELS)
    with np.errstate(divide="ignore"):
        inverse = np.where(scale > 0, np.float32(1) / scale, np.float32(0))
    rows = np.zeros((len(logits), row_words(logits.shape[1])), np.uint16)
    head = np.hstack([scale, lowest - highest - np.log(total).astype(np.float32)])
    rows[:, :_PREFIX] = head.astype("<f4").view("<u2")
    levels = np.rint((np.maximum(logits, lowest) - lowest) * inverse)
    rows[:, _PREFIX : _PREFIX + logits.shape[1]] = np.minimum(levels, _LEVELS)
    return rows


def decode_rows(rows: NDArray[np.uint16], n_vocab: int) -> NDArray[np.float32]:
    """(n, row_words) rows to (n, n_vocab) log-probabilities."""
    head = np.ascontiguousarray(rows[:, :_PREFIX]).astype("<u2").view("<f4").astype(np.float32)
    levels = rows[:, _PREFIX : _PREFIX + n_vocab].astype(np.float32)
    levels *= head[:, :1]
    levels += head[:, 1:]
    return levels


@dataclass(frozen=True)
class BaseFile:
    """An open file of log-probabilities whose sizes and tokens are checked."""

    path: Path
    n_ctx: int
    n_vocab: int
    n_chunk: int
    tokens: NDArray[np.int32]

    @classmethod
    def open(cls, path: Path) -> BaseFile:
        """Raises FileError for a file that is none of these, or damaged."""
        try:
            with path.open("rb") as stream:
                size = os.fstat(stream.fileno()).st_size
                head = stream.read(_HEAD.size)
                if len(head) < _HEAD.size or not head.startswith(MAGIC):
                    raise FileError(path, "is no file of log-probabilities", _REMEDY)
                _, n_ctx, n_vocab, n_chunk = _HEAD.unpack(head)
                cls._check_sizes(path, size, n_ctx, n_vocab, n_chunk)
                tokens = np.frombuffer(stream.read(4 * n_chunk * n_ctx), "<i4")
        except OSError as error:
            raise FileError.from_os_error(path, error) from error
        if len(tokens) < n_chunk * n_ctx or tokens.min() < 0 or tokens.max() >= n_vocab:
            raise FileError(path, "its tokens are damaged", _REMEDY)
        return cls(path, n_ctx, n_vocab, n_chunk, tokens.astype(np.int32))

    @staticmethod
    def _check_sizes(path: Path, size: int, n_ctx: int, n_vocab: int, n_chunk: int) -> None:
        if n_ctx < 3 or n_vocab < 1 or n_chunk < 1:
            raise FileError(path, f"{n_chunk} chunks of {n_ctx} tokens are no chunks", _REMEDY)
        rows = n_chunk * (n_ctx - 1 - n_ctx // 2)
        expected = _HEAD.size + 4 * n_chunk * n_ctx + rows * row_words(n_vocab) * 2
        if size != expected:
            problem = f"has {size} bytes, {expected} are expected: it is incomplete or damaged"
            raise FileError(path, problem, "write it again")

    def log_probs(self, row: int, count: int) -> NDArray[np.float32]:
        """(count, n_vocab) of the rows from ``row`` on, counted over all chunks."""
        words = row_words(self.n_vocab)
        start = _HEAD.size + 4 * len(self.tokens) + row * words * 2
        try:
            data = np.fromfile(self.path, "<u2", count * words, offset=start)
        except OSError as error:
            raise FileError.from_os_error(self.path, error) from error
        if len(data) < count * words:
            raise FileError(self.path, "ends early", "write it again")
        return decode_rows(data.reshape(count, words), self.n_vocab)


class BaseWriter:
    """Where the rows go, in order."""

    def __init__(self, file: AtomicFile) -> None:
        self._file = file

    def write(self, logits: NDArray[np.float32]) -> None:
        """Append (n, n_vocab) logits."""
        self._file.write(encode_rows(logits).astype("<u2").reshape(-1).data)


@contextmanager
def write_base(path: Path, windows: Windows, n_vocab: int) -> Iterator[BaseWriter]:
    """A file for the rows of all windows; it appears whole or not at all. Raises FileError."""
    with AtomicFile(path) as file:
        file.write(_HEAD.pack(MAGIC, windows.size, n_vocab, windows.count))
        tokens = windows.tokens[: windows.count * windows.size].astype("<i4")
        file.write(tokens.data)
        yield BaseWriter(file)
