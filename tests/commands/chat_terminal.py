"""A chat at a pseudo-terminal, and the screen that a person would see."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pexpect
import pyte
from cli_runner import COMMAND, FOLDER, environment

PROMPT = "> "
_POLL = 0.02


class Terminal:
    """``pyllama chat`` in a terminal of its own, which answers as real ones do."""

    def __init__(
        self, *arguments: str | Path, state: Path, columns: int = 100, rows: int = 30, **env: str
    ) -> None:
        self.screen = pyte.HistoryScreen(columns, rows, history=5000, ratio=0.5)
        self._stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.child = pexpect.spawn(
            COMMAND[0],
            [*COMMAND[1:], "chat", *map(str, arguments)],
            cwd=str(FOLDER),
            env=environment(**{"TERM": "xterm-256color", "PYLLAMA_STATE": str(state), **env}),
            dimensions=(rows, columns),
        )
        self.screen.write_process_input = lambda data: self.child.send(data)  # type: ignore[method-assign]

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.child.close(force=True)

    @property
    def lines(self) -> list[str]:
        """All that was ever shown, and is not written over."""
        past = [
            "".join(line[n].data for n in range(self.screen.columns))
            for line in self.screen.history.top
        ]
        return [line.rstrip() for line in (*past, *self.screen.display)]

    @property
    def text(self) -> str:
        """The same as one text."""
        return "\n".join(self.lines).rstrip()

    def resize(self, columns: int, rows: int) -> None:
        """Drag the window, and wait until the prompt is drawn anew."""
        before = self._prompts
        self.screen.resize(rows, columns)
        self.child.setwinsize(rows, columns)
        self.wait(lambda: self._prompts > before and self.is_ready)

    def type(self, text: str) -> None:
        """Press keys."""
        self.child.send(text)

    def press(self, keys: str) -> None:
        """Press keys, and wait for the next prompt."""
        before = self._prompts
        self.type(keys)
        self.wait(lambda: self._prompts > before and self.is_ready)

    def say(self, text: str) -> str:
        """Type a line, wait for the next prompt, and return what came in between."""
        before = len(self.text)
        self.press(text + "\r")
        return self.text[before:]

    @property
    def _prompts(self) -> int:
        """How many prompts there were: each asks the terminal to tell what is pasted."""
        return self.raw.count(b"\x1b[?2004h")

    @property
    def current(self) -> str:
        """The line of the cursor."""
        return self.screen.display[self.screen.cursor.y].rstrip()

    @property
    def is_ready(self) -> bool:
        """Whether an empty prompt waits at the cursor."""
        return self.current == PROMPT.rstrip()

    def ready(self) -> Terminal:
        """Wait for an empty prompt."""
        self.wait(lambda: self.is_ready)
        return self

    def expect(self, text: str) -> None:
        """Wait until the text is somewhere on the screen."""
        self.wait(lambda: text in self.text)

    def wait(self, condition: Callable[[], bool], seconds: float = 20) -> None:
        """Show what comes until it is so. A pause of the whole machine does not count."""
        while not condition():
            if seconds <= 0:
                raise AssertionError(f"it does not happen; on the screen is:\n{self.text}")
            start = time.monotonic()
            self._receive(_POLL)
            seconds -= min(time.monotonic() - start, 2 * _POLL)

    def ended(self) -> int:
        """Wait for the end; the exit code."""
        try:
            while True:
                self._receive(10)
        except EOFError:
            pass
        self.child.wait()
        assert self.child.exitstatus is not None, self.text
        return int(self.child.exitstatus)

    def _receive(self, seconds: float) -> None:
        try:
            data = self.child.read_nonblocking(65536, timeout=seconds)
        except pexpect.TIMEOUT:
            return
        except pexpect.EOF:
            raise EOFError(self.text) from None
        self.raw += data
        self._stream.feed(data)
