"""From exceptions to one line on stderr and an exit code.

0 success; 1 a failure that the line explains; 2 wrong usage; 130 interrupted. A reader that
closes the pipe (``pyllama run | head -1``) has what it wanted: that ends the run quietly, with 0.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from pyllama.commands import output
from pyllama.errors import Interrupted, PyllamaError, UsageError


@contextmanager
def explained(*, verbose: bool = False) -> Iterator[None]:
    """Turn what the block raises into a line on stderr and SystemExit; tracebacks if verbose."""
    try:
        yield
    except BrokenPipeError:
        output.discard()
        sys.exit(0)
    except (Exception, KeyboardInterrupt) as error:
        if verbose:
            traceback.print_exc()
        message, code = _explain(error)
        output.error(message, plain=code == Interrupted.exit_code)
        # Ctrl-C inside an exec() (dataclasses are made with it) lets CPython end by the signal
        # whatever the exit code says; another exec() makes it forget that.
        exec("")
        sys.exit(code)


def _explain(error: BaseException) -> tuple[str, int]:
    match error:
        case KeyboardInterrupt() | Interrupted():
            return "interrupted", Interrupted.exit_code
        case PyllamaError():
            return str(error), error.exit_code
        case MemoryError():
            return "not enough memory; try a smaller context (-c), batch (-b, -ub) or model", 1
        case OSError():
            subject = f"{os.fsdecode(error.filename)}: " if error.filename else ""
            return subject + (error.strerror or str(error)).lower(), 1
        case Exception() if (complaint := _complaint(error)) is not None:
            return complaint, UsageError.exit_code
        case _:
            what = f"{type(error).__name__}: {error}"
            return f"this is a bug in pyllama: {what}; -v shows where, please report it", 1


def _complaint(error: Exception) -> str | None:
    """What Typer says of the arguments, in one line; None for an error that is not Typer's.

    Their class is not public, but all of them can be formatted.
    """
    say = getattr(error, "format_message", None)
    if say is None:
        return None
    text = " ".join(say().split()).removesuffix(".")
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "pyllama"
    return f"{text[:1].lower()}{text[1:]}; see {path} --help"
