"""What the commands write: the result to stdout, everything else to stderr.

Colour appears only where stderr is a terminal and NO_COLOR is not set; stdout has none at all. This
is the only module that imports rich, and only when it is about to colour something.
"""

from __future__ import annotations

import logging
import os
import sys

from pyllama.errors import FileError


def write(text: str) -> None:
    """Write a piece of the result to stdout as UTF-8, whatever the locale says; see below."""
    write_bytes(text.encode("utf-8", "replace"))


def write_bytes(data: bytes) -> None:
    """Write a piece of the result to stdout, at once.

    Raises BrokenPipeError where its reader is gone, FileError where else it cannot be written.
    """
    if sys.stdout is None:
        raise FileError("standard output", "is closed", "redirect it to a file or /dev/null")
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        problem = (error.strerror or str(error)).lower()
        raise FileError("standard output", problem, "write it elsewhere") from error


def note(text: str) -> None:
    """Write a line, or several, to stderr."""
    if sys.stderr is not None:
        print(text, file=sys.stderr, flush=True)


def error(text: str, *, plain: bool = False) -> None:
    """Write ``error: text`` to stderr: one line, with nothing that could steer a terminal.

    ``plain``: without colour, for which rich would have to be imported first (some 70 ms).
    """
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    if plain or not _colours():
        note(f"error: {line}")
        return
    from rich.console import Console
    from rich.text import Text

    Console(stderr=True).print(Text.assemble(("error: ", "bold red"), line), soft_wrap=True)


def discard() -> None:
    """Let both streams lead nowhere: their reader is gone, and no more is to be said about it."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def start_log(*, verbose: bool) -> None:
    """Show the library's log on stderr: warnings only, or everything."""
    handler = logging.StreamHandler()
    handler.setFormatter(_LogFormat())
    log = logging.getLogger("pyllama")
    log.handlers = [handler]
    log.propagate = False
    log.setLevel(logging.DEBUG if verbose else logging.WARNING)


class _LogFormat(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        prefix = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
        return prefix + super().format(record)


def _colours() -> bool:
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return sys.stderr is not None and sys.stderr.isatty() and not plain
