"""From one message to the next: at a terminal until the user has enough, else until stdin ends."""

from __future__ import annotations

import sys

from pyllama.commands import output
from pyllama.commands.chat_commands import parse
from pyllama.commands.chat_lines import PROMPT
from pyllama.commands.chat_talk import Talk
from pyllama.commands.report import visible
from pyllama.errors import Interrupted, PyllamaError
from pyllama.interrupt import interrupted_once

_ECHOED = 500
"""Characters of a first message that are shown, as in llama.cpp."""


def converse(talk: Talk, first: str | None) -> None:
    """Talk with a person, who sees what goes wrong and may go on.

    Raises SystemExit, with 130, after Ctrl-C where nothing is being answered.
    """
    with interrupted_once():
        _greet(talk)
        if first is not None:
            output.tell(PROMPT + visible(first)[:_ECHOED])
            _attempt(talk, first)
        while not talk.is_over:
            try:
                line = talk.lines.read()
            except KeyboardInterrupt:
                _take_leave(talk)
                sys.exit(Interrupted.exit_code)
            if line is None:
                break
            _attempt(talk, line)
        _take_leave(talk)


def answer_lines(talk: Talk, first: str | None, *, only_one: bool) -> None:
    """Answer a script: what goes wrong ends it. only_one: one message is all."""
    if first is not None:
        talk.ask(first)
    while not talk.is_over and not (only_one and talk.answers):
        line = talk.lines.read()
        if line is None:
            break
        _respond(talk, line)


def _attempt(talk: Talk, line: str) -> None:
    try:
        _respond(talk, line)
    except KeyboardInterrupt:
        pass  # what was interrupted has said so
    except PyllamaError as error:
        output.error(str(error))


def _respond(talk: Talk, line: str) -> None:
    call = parse(line)
    if call is not None:
        command, argument = call
        command(talk, argument)
    elif line.strip():
        talk.ask(line.removeprefix("/") if line.startswith("//") else line)


def _greet(talk: Talk) -> None:
    context = talk.chat.session.context
    output.aside(f"{talk.model.name}, {context:,} tokens of context; /help shows the commands")
    conversation = talk.conversation
    if not conversation.messages:
        return
    talk.recall()
    if not conversation.is_answered:
        output.aside("[not answered yet: /regen does that, another message takes its place]")


def _take_leave(talk: Talk) -> None:
    if talk.transcript is not None and talk.conversation.messages:
        id = talk.transcript.header.id
        output.aside(f"saved; `pyllama chat --resume {id}` goes on")
