"""Evaluated prompts on disk: a later run with the same beginning need not evaluate it again.

The file, little-endian::

    magic         8 bytes   "pyllamaP"
    version       u32       2
    tokens        u32       n
    fingerprint   32 bytes  SHA-256 over model and cache types: whose keys and values these are
    digest        32 bytes  SHA-256 over all that follows
    ids           i32 x n
    state                   what ``Session.state(n)`` yields, piece after piece

It appears whole or not at all, and is believed only when size, fingerprint and digest are right.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from pyllama.errors import FileError
from pyllama.gguf.atomic import AtomicFile
from pyllama.kernels.cache_layout import CELLS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pyllama.session import Session

MAGIC = b"pyllamaP"
VERSION = 2
_HEAD = struct.Struct("<8sII32s32s")
_REMEDY = "delete it, or name another file"


@dataclass(frozen=True, slots=True)
class PromptCache:
    """A file of the format above; it need not exist."""

    path: Path

    def restore(self, session: Session, prompt: Sequence[int]) -> int:
        """Let an empty session hold what the file has of the prompt; returns how many tokens.

        At least the prompt's last token is left to be evaluated. Raises FileError for a file that
        is none of these, is damaged, or belongs to another model or to other cache types.
        """
        try:
            with self.path.open("rb") as stream:
                return self._restore(stream, session, prompt)
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise FileError.from_os_error(self.path, error) from error

    def save(self, session: Session, tokens: Sequence[int]) -> None:
        """Write what the session holds, which are these tokens; FileError where that fails."""
        ids = np.asarray(tokens, "<i4")
        parts = [ids.view(np.uint8), *session.state(len(ids))]
        pieces = [np.ascontiguousarray(part).reshape(-1).data for part in parts]
        digest = hashlib.sha256()
        for piece in pieces:
            digest.update(piece)
        head = _HEAD.pack(MAGIC, VERSION, len(ids), _fingerprint(session), digest.digest())
        with AtomicFile(self.path) as file:
            file.write(head)
            for piece in pieces:
                file.write(piece)

    def _restore(self, stream: BinaryIO, session: Session, prompt: Sequence[int]) -> int:
        size = os.fstat(stream.fileno()).st_size
        head = stream.read(_HEAD.size)
        if not head.startswith(MAGIC) or len(head) < _HEAD.size:
            raise FileError(self.path, "is no prompt cache of pyllama", _REMEDY)
        _, version, count, fingerprint, digest = _HEAD.unpack(head)
        if version != VERSION:
            raise FileError(self.path, f"is a prompt cache of version {version}", _REMEDY)
        if fingerprint != _fingerprint(session):
            problem = "is the prompt cache of another model, or of other cache types (-ctk, -ctv)"
            raise FileError(self.path, problem, _REMEDY)
        if 4 * count > size:
            raise self._damaged()
        content = stream.read()
        if hashlib.sha256(content).digest() != digest:
            raise self._damaged()
        body = np.frombuffer(content, np.uint8)
        ids = body[: 4 * count].view("<i4")
        common = max(0, min(_common(ids, prompt), len(prompt) - 1, session.context))
        session.restore(common, self._pieces(body[4 * count :], session, count, common))
        return common

    def _pieces(
        self, state: NDArray[np.uint8], session: Session, count: int, common: int
    ) -> list[NDArray[np.uint8]]:
        """Of the state of ``count`` tokens that of the first ``common``."""
        saved = -(-count // CELLS)
        wanted = [piece.shape for piece in session.state(common)]
        sizes = [heads * saved * n_bytes for heads, _, n_bytes in wanted]
        if sum(sizes) != len(state):
            raise self._damaged()
        parts = np.split(state, np.cumsum(sizes)[:-1])
        return [
            part.reshape(heads, saved, n_bytes)[:, :groups]
            for part, (heads, groups, n_bytes) in zip(parts, wanted, strict=True)
        ]

    def _damaged(self) -> FileError:
        return FileError(self.path, "the prompt cache is damaged", _REMEDY)


def _common(ids: NDArray[np.int32], prompt: Sequence[int]) -> int:
    """How many tokens both begin with."""
    count = min(len(ids), len(prompt))
    differ = np.flatnonzero(ids[:count] != np.asarray(prompt[:count], np.int32))
    return int(differ[0]) if len(differ) else count


def _fingerprint(session: Session) -> bytes:
    layout = session.layout
    types = f"{layout.key_type} {layout.value_type}".encode()
    return hashlib.sha256(session.model.fingerprint + types).digest()
