"""The model inside the package: a very small Llama that writes Python, see ``MODEL_CARD.md``."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from pyllama.errors import FileError

__all__ = ["NAME", "path"]

NAME = "stdlib-4.6M-F16.gguf"


def path() -> Path:
    """Where the built-in model lies.

    Raises ``FileError`` where the package does not lie in a folder as plain files, or was built
    without the model: a model is mapped into memory, which needs a file.
    """
    found = files(__package__) / NAME
    if not isinstance(found, Path) or not found.is_file():
        raise FileError(str(found), "the built-in model is missing", "install pyllama again")
    return found
