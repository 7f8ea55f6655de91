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
from pyllama.errors import Interrupted, PyllamaError


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
        case _:
            what = f"{type(error).__name__}: {error}"
            return f"this is a bug in pyllama: {what}; -v shows where, please report it", 1
