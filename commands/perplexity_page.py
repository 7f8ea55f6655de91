"""The text of a result on stdout, and a status line on stderr, which may be one terminal."""

from __future__ import annotations

import sys

from pyllama.commands import output
from pyllama.commands.status_line import StatusLine


class Page:
    """Writes the text as it comes, but where the status line would overwrite a part of a line, only
    whole lines.
    """

    def __init__(self, *, is_text: bool, progress: bool | None) -> None:
        """is_text: otherwise no text is written at all; progress: see StatusLine."""
        self._is_text, self._line = is_text, StatusLine(progress)
        is_terminal = sys.stdout is not None and sys.stdout.isatty()
        self._waits = self._line.is_shown and is_terminal
        self._held = ""
        self._is_within_line = False

    @property
    def shows_status(self) -> bool:
        """Whether there is a status line."""
        return self._line.is_shown

    def write(self, text: str) -> None:
        """The next piece of the result."""
        if self._is_text:
            self._held += text
            if not self._waits or text.endswith("\n"):
                self._release()

    def status(self, text: str) -> None:
        """What is being done."""
        self._line.write(text)

    def end(self) -> None:
        """After the last piece, or after what ended the work early: the line is a whole one."""
        self._release()
        if self._is_within_line:
            output.write("\n")
            self._is_within_line = False

    def _release(self) -> None:
        self._line.clear()
        held, self._held = self._held, ""
        if held:
            self._is_within_line = not held.endswith("\n")  # first: Ctrl-C may end the writing
            output.write(held)
