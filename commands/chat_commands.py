"""The commands of the chat: a table, and what each row does."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from pyllama.commands import output
from pyllama.commands.chat_files import file_candidates, matching, read_text, tokens_that_fit
from pyllama.commands.chat_settings import setting_names
from pyllama.commands.chat_stats import stats
from pyllama.commands.chat_talk import Talk
from pyllama.commands.report import facts, table, visible
from pyllama.conversation import Conversation, Header
from pyllama.conversation.transcripts import read, write
from pyllama.errors import PromptError, UsageError


class Argument(Enum):
    """What Tab completes behind a command."""

    TEXT = auto()
    FILE = auto()
    SETTING = auto()


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    argument: as the help shows it; in brackets if it may be left out, empty if there is none.
    """

    names: tuple[str, ...]
    argument: str
    help: str
    run: Callable[[Talk, str], None]
    completes: Argument = Argument.TEXT

    def __call__(self, talk: Talk, argument: str) -> None:
        """Run it; UsageError for an argument too many or too few."""
        if argument and not self.argument:
            raise UsageError(f"{self.names[0]} stands alone")
        if not argument and self.argument and not self.argument.startswith("["):
            raise UsageError(f"{self.names[0]} needs {self.argument}")
        self.run(talk, argument)


_CALL = re.compile(r"(/(?:[a-z]+|\?))(?:\s+(.*))?", re.DOTALL)


def parse(line: str) -> tuple[Command, str] | None:
    """The command that a line calls, and its argument; None for a message.

    A message may begin with a path, ``/usr/lib``; a word behind a slash is a command, behind two
    slashes a message that begins with one. UsageError for a command that there is not.
    """
    match = _CALL.fullmatch(line.strip())
    if match is None:
        return None
    name, argument = match[1], (match[2] or "").strip()
    for command in COMMANDS:
        if name in command.names:
            return command, argument
    raise UsageError(f"there is no command {name}; /help shows all, and //... is a message")


def complete(text: str) -> Iterator[tuple[str, int]]:
    """What may stand at the end of a line, and how many characters of it that replaces."""
    name, space, argument = text.partition(" ")
    if not space and name.startswith("/"):
        known = (name for command in COMMANDS for name in command.names)
        yield from ((other, len(name)) for other in known if other.startswith(name))
        return
    command = next((command for command in COMMANDS if name in command.names), None)
    if command is not None and command.completes is Argument.FILE:
        yield from file_candidates(argument)
    elif command is not None and command.completes is Argument.SETTING:
        yield from ((s, len(argument)) for s in setting_names() if s.startswith(argument))


def _help(_talk: Talk, _argument: str) -> None:
    rows = [(f"{c.names[0]} {c.argument}", c.help) for c in COMMANDS]
    output.tell(facts(rows) + _KEYS)


_KEYS = """
A message may have several lines: end each with \\, or paste them.
Ctrl-C stops an answer, and what came of it is kept. At an empty line it
ends the chat, as Ctrl-D does. Tab completes commands and files."""


def _exit(talk: Talk, _argument: str) -> None:
    talk.is_over = True


def _clear(talk: Talk, _argument: str) -> None:
    system = talk.conversation.system
    talk.begin_anew(Conversation(), None)
    if system is not None:
        talk.conversation.instruct(system)


def _regen(talk: Talk, _argument: str) -> None:
    if not talk.conversation.take_back_answer():
        raise UsageError("there is no question to answer again")
    talk.answer()


def _edit(talk: Talk, argument: str) -> None:
    asked = talk.conversation.last_question
    if asked < 0:
        raise UsageError("there is no message to edit")
    text: str | None = argument
    if not argument:
        with suppress(KeyboardInterrupt):
            text = talk.lines.read(default=talk.conversation.messages[asked].content)
    if text:
        talk.conversation.take_back_turn()
        talk.ask(text)


def _undo(talk: Talk, _argument: str) -> None:
    if not talk.conversation.take_back_turn():
        raise UsageError("there is no turn to take back")
    talk.write_text()
    output.tell(f"turns left: {talk.conversation.turns}")


def _read(talk: Talk, argument: str) -> None:
    _attach(talk, [_path(argument)], skips=False)


def _glob(talk: Talk, argument: str) -> None:
    _attach(talk, matching(argument), skips=True)


def _attach(talk: Talk, paths: list[Path], *, skips: bool) -> None:
    """Begin the next message with files: with all of them, or none. skips: those without text."""
    context = talk.chat.session.context
    texts = []
    for path in paths:
        try:
            texts.append(read_text(path, context))
        except PromptError as error:
            if not skips:
                raise
            output.tell(f"left out: {error}")
    held = 0 if talk.chat.shifts else len(talk.chat.held)
    count = tokens_that_fit([*talk.attached, *texts], talk.model.tokenizer, context - held)
    talk.attached += texts
    files = "1 file" if len(talk.attached) == 1 else f"{len(talk.attached)} files"
    output.tell(f"the next message begins with {files}, {count:,} tokens")


def _path(argument: str) -> Path:
    if "\0" in argument:
        raise UsageError("no path has a NUL character in it")
    return Path(os.path.expanduser(argument))


def _system(talk: Talk, argument: str) -> None:
    if argument:
        talk.conversation.instruct(None if argument == '""' else argument)
    shown = talk.conversation.system
    output.tell("there is no system message" if shown is None else f"system: {visible(shown)}")


def _save(talk: Talk, argument: str) -> None:
    path = _path(argument)
    header = talk.transcript.header if talk.transcript else Header.new(talk.model.name)
    write(path, header, talk.conversation)
    output.tell(f"saved {talk.conversation.turns} turns to {path}")


def _load(talk: Talk, argument: str) -> None:
    _, loaded = read(_path(argument))
    talk.begin_anew(Conversation(), None)
    for record in loaded.records():
        talk.conversation.apply(record)
        talk.conversation.journal(record)
    output.tell(f"loaded {loaded.turns} turns")


def _set(talk: Talk, argument: str) -> None:
    name, _, value = argument.partition(" ")
    if not name:
        output.tell(table(("setting", "value"), talk.settings.rows()))
        return
    if value:
        talk.settings.change(name, value.strip())
    output.tell(facts([talk.settings.row(name)]).rstrip("\n"))


def _stats(talk: Talk, _argument: str) -> None:
    output.tell(facts(stats(talk)).rstrip("\n"))


def _tokens(talk: Talk, argument: str) -> None:
    from pyllama.commands.results import listing

    tokenizer = talk.model.tokenizer
    ids = tokenizer.encode(argument, add_special=False) if argument else talk.chat.held
    output.tell(listing(tokenizer, ids))


def _reasoning(talk: Talk, _argument: str) -> None:
    thoughts = [said.reasoning for said in talk.conversation.messages if said.reasoning]
    output.tell(visible(thoughts[-1]) if thoughts else "there are no thoughts")


COMMANDS: tuple[Command, ...] = (
    Command(("/help", "/?"), "", "show the commands", _help),
    Command(("/exit", "/quit", "/bye"), "", "end the chat", _exit),
    Command(("/clear",), "", "begin a new conversation; the system message stays", _clear),
    Command(("/regen",), "", "answer the last message again", _regen),
    Command(("/edit",), "[TEXT]", "change the last message, and answer that", _edit),
    Command(("/undo",), "", "take the last message and its answer back", _undo),
    Command(("/read",), "FILE", "begin the next message with a file", _read, Argument.FILE),
    Command(("/glob",), "PATTERN", "the same with all files that match", _glob, Argument.FILE),
    Command(("/system",), "[TEXT]", 'show or set the system message; "" for none', _system),
    Command(("/save",), "FILE", "write the conversation to a file", _save, Argument.FILE),
    Command(("/load",), "FILE", "go on with a conversation from a file", _load, Argument.FILE),
    Command(("/set",), "[NAME [VALUE]]", "show or change options", _set, Argument.SETTING),
    Command(("/stats",), "", "show tokens, speed, and what was reused", _stats),
    Command(("/tokens",), "[TEXT]", "show the tokens of a text, or all that are held", _tokens),
    Command(("/reasoning",), "", "show what the model thought last", _reasoning),
)
