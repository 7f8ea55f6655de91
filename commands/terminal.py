"""The terminal that a person sits at, where there is one."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from pyllama.commands.live_text import Size

_USUAL = Size(80, 24)


def terminal_size() -> Size:
    """That of the terminal behind stdout, as it is now."""
    with suppress(OSError, ValueError, AttributeError):
        size = os.get_terminal_size(sys.stdout.fileno())
        if size.columns and size.lines:
            return Size(size.columns, size.lines)
    return _USUAL


def is_typed() -> bool:
    """Whether somebody types at stdin."""
    return sys.stdin is not None and sys.stdin.isatty()


def can_redraw() -> bool:
    """Whether stdout is a terminal in which text can be written over.

    Consoles of Windows do that only where their program asked for it; Windows Terminal always does.
    """
    if sys.stdout is None or not sys.stdout.isatty() or os.environ.get("TERM") == "dumb":
        return False
    return sys.platform != "win32" or "WT_SESSION" in os.environ


@contextmanager
def unechoed() -> Iterator[None]:
    """In the block, what is typed does not show up in the midst of what is written. It is not
    lost: whoever reads next gets it.
    """
    try:
        import termios
    except ImportError:  # Windows
        yield
        return
    if not is_typed():
        yield
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    quiet = [*before[:3], before[3] & ~termios.ECHO, *before[4:]]
    termios.tcsetattr(descriptor, termios.TCSANOW, quiet)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSANOW, before)
