"""JSON files of a checkpoint, read with a limit on what they may cost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pyllama.errors import ConversionError, FileError

MAX_BYTES = 1 << 26
"""Of a JSON file: the index of the largest models has some 20 MB."""


def read_bytes(path: Path, limit: int = MAX_BYTES) -> bytes:
    """A whole file. Raises FileError where it cannot be read, ConversionError where it is huge."""
    try:
        with path.open("rb") as stream:
            data = stream.read(limit + 1)
    except OSError as error:
        raise FileError.from_os_error(path, error) from error
    if len(data) > limit:
        problem = f"is longer than {limit >> 20} MiB, which no such file is"
        raise ConversionError(path, problem, "get the checkpoint again")
    return data


def parse_object(path: Path, data: bytes) -> dict[str, Any]:
    """The JSON object in ``data``. Raises ConversionError, which names ``path``."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ConversionError(path, f"is no JSON: {error}", "get it again") from error
    if not isinstance(document, dict):
        raise ConversionError(path, "holds no JSON object", "get it again")
    return document


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file. Raises FileError, ConversionError."""
    return parse_object(path, read_bytes(path))


def read_optional(path: Path) -> dict[str, Any]:
    """The same; an empty one where there is no such file."""
    return read_object(path) if path.is_file() else {}
