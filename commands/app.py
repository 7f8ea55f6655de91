"""The entry point of the ``pyllama`` program."""

from __future__ import annotations

import sys

from pyllama.commands.failures import explained
from pyllama.interrupt import interruptible


def main() -> None:
    """Run the program on ``sys.argv``; always raises SystemExit."""
    with explained(), interruptible():
        from pyllama.commands.environment import spelled
        from pyllama.commands.program import program  # inside: Ctrl-C may come this early

        # The arguments given as they are: otherwise Windows would expand the prompt's * and ~.
        with spelled():
            # Not standalone: its complaints are explained here, like all others.
            sys.exit(program()(sys.argv[1:], prog_name="pyllama", standalone_mode=False) or 0)
