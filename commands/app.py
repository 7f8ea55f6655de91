"""The entry point of the ``pyllama`` program."""

from __future__ import annotations

from pyllama.commands.failures import explained


def main() -> None:
    """Run the program on ``sys.argv``; always raises SystemExit."""
    with explained():
        from pyllama.commands.program import app  # inside: Ctrl-C may come this early

        app(prog_name="pyllama")
