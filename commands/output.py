"""What the commands write: the result to stdout, everything else to stderr.

Colour appears only where stderr is a terminal and NO_COLOR is not set; stdout has none at all but
for what `pyllama.commands.chat_view` shows at a terminal. rich is imported only to colour.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from pyllama.commands.report import printable
from pyllama.commands.words import ON_OFF_AUTO, choose
from pyllama.errors import FileError

if TYPE_CHECKING:
    from pyllama.hub import Progress


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


NOTE = 35
"""The level of notes and timings: above warnings, because they are part of the result of a run."""


def note(text: str) -> None:
    """Write a line, or several, to stderr and to the log file, unless the log is turned off."""
    logging.getLogger("pyllama.notes").log(NOTE, "%s", text)


def tell(text: str) -> None:
    """Write to stderr what somebody has just asked for."""
    if sys.stderr is not None:
        print(text, file=sys.stderr, flush=True)


def aside(text: str) -> None:
    """Write a note that is less important than what it stands beside: dimmed, at a terminal."""
    if _says_notes():
        tell(f"\x1b[2m{text}\x1b[0m" if _colours() else text)


def error(text: str, *, plain: bool = False) -> None:
    """Write ``error: text`` to stderr: one line, with nothing that could steer a terminal.

    ``plain``: without colour, for which rich would have to be imported first (some 70 ms).
    """
    line = printable(text)
    _record_in_file(f"error: {line}")
    if sys.stderr is None:
        return
    if plain or not _colours():
        print(f"error: {line}", file=sys.stderr, flush=True)
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True, force_terminal=True)
    console.print(Text.assemble(("error: ", "bold red"), line), soft_wrap=True)


def _record_in_file(line: str) -> None:
    record = logging.LogRecord("pyllama", logging.CRITICAL, "", 0, line, None, None)
    for handler in logging.getLogger("pyllama").handlers:
        if isinstance(handler, logging.FileHandler):
            handler.handle(record)


@contextmanager
def download_progress() -> Iterator[Callable[[Progress], None]]:
    """Shows how far a download is: at a terminal a bar, elsewhere one line when it begins."""
    with byte_progress(_announce_once()) as show:
        yield lambda progress: show(progress.file, progress.done, progress.total)


Show = Callable[[str, int, int], None]
"""Takes the name of what is going on, and how many bytes of how many are done."""


@contextmanager
def byte_progress(otherwise: Show) -> Iterator[Show]:
    """Shows bytes, speed and time left: at a terminal in a bar, elsewhere as ``otherwise`` does."""
    if sys.stderr is None or not sys.stderr.isatty() or not _says_notes():
        yield otherwise
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )
    from rich.progress import Progress as Bar

    text = TextColumn("{task.description}", markup=False)
    columns = (text, BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    console = Console(stderr=True, no_color=not _colours())
    with Bar(*columns, console=console, transient=True, refresh_per_second=5) as bar:
        task = bar.add_task("", total=None, visible=False)

        def show(name: str, done: int, total: int) -> None:
            description = printable(name.rpartition("/")[2])
            bar.update(task, description=description, completed=done, total=total, visible=True)

        yield show


def _announce_once() -> Show:
    said: list[str] = []

    def show(file: str, done: int, total: int) -> None:
        del done  # one line is enough
        if not said:
            said.append(file)
            note(f"downloading {printable(file)}, {total / 2**20:.1f} MiB in all")

    return show


def _says_notes() -> bool:
    return logging.getLogger("pyllama").isEnabledFor(NOTE)


def discard() -> None:
    """Let both streams lead nowhere: their reader is gone, and no more is to be said about it."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


_LEVELS = (logging.ERROR, logging.ERROR, logging.WARNING, logging.INFO, logging.DEBUG)
"""What is logged at each verbosity."""


def start_log(
    *,
    verbose: bool = False,
    verbosity: int = 2,
    file: Path | None = None,
    prefix: bool = False,
    timestamps: bool = False,
) -> None:
    """Show the library's log on stderr, and append it to a file.

    verbosity: as `pyllama.commands.log_options` says; negative for nothing but errors in the file.
    Raises FileError where the file cannot be opened.
    """
    log = logging.getLogger("pyllama")
    for old in log.handlers:
        old.close()
    handlers: list[logging.Handler] = [logging.StreamHandler()]
    if file is not None:
        try:
            handlers.append(logging.FileHandler(file, encoding="utf-8", errors="replace"))
        except OSError as failure:
            raise FileError.from_os_error(file, failure) from failure
    for handler in handlers:
        handler.setFormatter(_LogFormat(prefix=prefix, timestamps=timestamps))
    log.handlers = handlers
    log.propagate = False
    level = _LEVELS[min(verbosity, len(_LEVELS) - 1)] if verbosity >= 0 else logging.CRITICAL
    log.setLevel(logging.DEBUG if verbose and verbosity >= 0 else level)


class _LogFormat(logging.Formatter):
    def __init__(self, *, prefix: bool, timestamps: bool) -> None:
        super().__init__()
        self._prefix, self._timestamps = prefix, timestamps

    def format(self, record: logging.LogRecord) -> str:
        level = "I" if record.levelno == NOTE else record.levelname[0]
        is_warning = record.levelno in (logging.WARNING, logging.ERROR)
        return "".join(
            (
                f"{_elapsed(record.relativeCreated)} " if self._timestamps else "",
                f"{level} " if self._prefix else "",
                f"{record.levelname.lower()}: " if is_warning else "",
                super().format(record),
            )
        )


def _elapsed(milliseconds: float) -> str:
    """Minutes, seconds, milliseconds and microseconds, as llama.cpp writes them."""
    microseconds = int(milliseconds * 1000)
    seconds, rest = divmod(microseconds, 1_000_000)
    minutes, seconds = divmod(seconds, 60)
    return f"{minutes}.{seconds:02}.{rest // 1000:03}.{rest % 1000:03}"


_colour_setting = "auto"


def set_colours(setting: str) -> None:
    """``on``, ``off``, or ``auto``: at a terminal, unless the environment asks for none.

    Raises UsageError for anything else.
    """
    global _colour_setting
    _colour_setting = choose(setting, "--log-colors", ON_OFF_AUTO)


def is_coloured(stream: TextIO | None, setting: str) -> bool:
    """Whether the stream gets colours."""
    if setting != "auto":
        return setting == "on"
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return stream is not None and stream.isatty() and not plain


def _colours() -> bool:
    return is_coloured(sys.stderr, _colour_setting)
