"""The line that is edited at a terminal: the only module that imports prompt_toolkit.

Enter sends; behind a backslash, with Alt, and in what is pasted, it begins another line. Tab
completes. Ctrl-C discards what is typed; where that is nothing it ends the chat, as Ctrl-D does.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.output.defaults import create_output
from prompt_toolkit.shortcuts import CompleteStyle

from pyllama.commands.chat_lines import PROMPT

Complete = Callable[[str], Iterable[tuple[str, int]]]
"""From the text before the cursor to what may stand there, and how many characters it replaces."""


class Editor:
    """Messages that are typed."""

    def __init__(self, history: Path | None, complete: Complete, *, colours: bool) -> None:
        """``history``: the file of what was typed before, also in earlier chats."""
        past: History = InMemoryHistory() if history is None else FileHistory(str(history))
        self._session: PromptSession[str] = PromptSession(
            [("bold ansigreen", PROMPT)],
            multiline=True,
            prompt_continuation=" " * len(PROMPT),
            history=past,
            completer=_Completer(complete),
            complete_while_typing=False,
            complete_style=CompleteStyle.READLINE_LIKE,
            key_bindings=_keys(),
            enable_open_in_editor=True,
            enable_suspend=True,
            color_depth=None if colours else ColorDepth.DEPTH_1_BIT,
            output=create_output(stdout=sys.stdout if sys.stdout.isatty() else sys.stderr),
        )

    def read(self, default: str = "") -> str | None:
        """The next message; None after Ctrl-D, KeyboardInterrupt after Ctrl-C."""
        try:
            return self._session.prompt(default=default)
        except EOFError:
            return None


class _Completer(Completer):
    def __init__(self, complete: Complete) -> None:
        self._complete = complete

    def get_completions(self, document: Document, event: CompleteEvent) -> Iterator[Completion]:
        del event
        for text, replaced in self._complete(document.text_before_cursor):
            yield Completion(text, start_position=-replaced)


def _keys() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("enter")
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.document.current_line_before_cursor.endswith("\\"):
            buffer.delete_before_cursor()
            buffer.insert_text("\n")
        else:
            buffer.validate_and_handle()

    @keys.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @keys.add("c-c")
    def _(event: KeyPressEvent) -> None:
        if event.current_buffer.text:
            event.current_buffer.reset()
        else:
            event.app.exit(exception=KeyboardInterrupt, style="class:aborting")

    return keys
