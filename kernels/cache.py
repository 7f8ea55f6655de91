"""Object code on disk, so that a warm start compiles nothing.

An entry is the SHA-256 of the object code followed by the object code. It is used only when the
digest matches, in a directory that belongs to this user and that nobody else may write.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import tempfile
from pathlib import Path

_DIGEST_BYTES = hashlib.sha256().digest_size


def default_directory() -> Path:
    """``PYLLAMA_CACHE``, else the cache directory that the platform's users expect."""
    if chosen := os.environ.get("PYLLAMA_CACHE"):
        return Path(chosen) / "kernels"
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "pyllama" / "kernels"


class ObjectCache:
    """Object code by key. A cache that cannot be used holds nothing and says why in ``problem``."""

    def __init__(self, directory: Path | None = None) -> None:
        self.directory = directory or default_directory()
        self.problem = self._prepare()

    def _prepare(self) -> str:
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            status = self.directory.stat()
        except OSError as error:
            return f"{self.directory}: {error.strerror}"
        if hasattr(os, "getuid"):
            if status.st_uid != os.getuid():
                return f"{self.directory}: belongs to another user"
            if stat.S_IMODE(status.st_mode) & 0o022:
                return f"{self.directory}: others may write to it"
        return ""

    def get(self, key: str) -> bytes | None:
        """The object code, or ``None`` when it is missing or damaged."""
        if self.problem:
            return None
        try:
            entry = (self.directory / key).read_bytes()
        except OSError:
            return None
        digest, code = entry[:_DIGEST_BYTES], entry[_DIGEST_BYTES:]
        return code if hashlib.sha256(code).digest() == digest else None

    def put(self, key: str, code: bytes) -> None:
        """Store object code; the entry appears whole or not at all."""
        if self.problem:
            return
        try:
            with tempfile.NamedTemporaryFile(dir=self.directory, delete=False) as file:
                file.write(hashlib.sha256(code).digest() + code)
            os.replace(file.name, self.directory / key)
        except OSError as error:
            self.problem = f"{self.directory}: {error.strerror}"
