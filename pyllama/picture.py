"""Pictures: which files they may go to, and how they get there."""

from __future__ import annotations

import io
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from pyllama.errors import PyllamaError, UsageError
from pyllama.gguf.atomic import AtomicFile

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg")


def check(path: Path) -> None:
    """Before hours are spent: UsageError for a name of another kind, PyllamaError where matplotlib,
    which draws, is not installed.
    """
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"--plot {path}: the name must end with {' or '.join(FORMATS)}")
    if find_spec("matplotlib") is None:
        raise PyllamaError("--plot needs matplotlib; install it with: pip install 'pyllama[plot]'")


def save(figure: Figure, path: Path) -> None:
    """Write the picture; FileError where that fails."""
    picture = io.BytesIO()
    figure.savefig(picture, format=path.suffix.lower()[1:], dpi=150)
    with AtomicFile(path) as file:
        file.write(picture.getvalue())
