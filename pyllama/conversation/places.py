"""Where pyllama keeps what a user would miss: transcripts, and the history of the input line."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pyllama.errors import FileError

_REMEDY = "set PYLLAMA_STATE to a directory of yours, or give --no-save"


def state_directory() -> Path:
    """``PYLLAMA_STATE``, else the directory that the platform's users expect."""
    if chosen := os.environ.get("PYLLAMA_STATE"):
        return Path(chosen)
    home = Path.home()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "pyllama"
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "pyllama"
    return Path(os.environ.get("XDG_STATE_HOME") or home / ".local" / "state") / "pyllama"


def private_directory(path: Path) -> Path:
    """The directory; one that is missing is made, so that nobody else may look into it.

    Raises FileError where it cannot be made, or belongs to somebody else.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = path.stat().st_uid
    except OSError as error:
        raise FileError(path, (error.strerror or str(error)).lower(), _REMEDY) from error
    if hasattr(os, "getuid") and owner != os.getuid():
        raise FileError(path, "belongs to another user", _REMEDY)
    return path


def private_file(path: Path) -> Path:
    """The file, made where it is missing, which nobody else may read; FileError as above."""
    private_directory(path.parent)
    try:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600))
    except OSError as error:
        raise FileError(path, (error.strerror or str(error)).lower(), _REMEDY) from error
    return path
