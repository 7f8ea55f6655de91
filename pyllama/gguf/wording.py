"""Words that the messages about GGUF files share."""

from __future__ import annotations

AGAIN = "download or convert the file again"

_LONGEST_QUOTE = 80


def quoted(name: str) -> str:
    """A name from a file, safe to print in one line: quoted, escaped, cut to readable length."""
    return repr(name if len(name) <= _LONGEST_QUOTE else name[: _LONGEST_QUOTE - 3] + "...")


def counted(count: int, noun: str) -> str:
    """``1 tensor``, ``2 tensors``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
