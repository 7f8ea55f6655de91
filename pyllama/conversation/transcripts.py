"""Conversations on disk: one file of JSON lines each, written as the conversation happens.

The first line is a header, ``{"pyllama": "conversation", "version": 1, ...}``, the others are
records (`pyllama.conversation.records`). A line is on the disk before the conversation goes on, so
that whatever ends the program takes at most the turn in flight; a last line that was cut short by
that is left out when the file is read, and gone when it is written again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pyllama.conversation.conversation import Conversation
from pyllama.conversation.places import private_directory, private_file, state_directory
from pyllama.conversation.records import USER, Record, Said, from_document, to_document
from pyllama.errors import FileError, UsageError
from pyllama.gguf.atomic import AtomicFile

_KIND, _VERSION = "conversation", 1
_SUFFIX = ".jsonl"
_REMEDY = "name a file that /save or a chat has written"


@dataclass(frozen=True, slots=True)
class Header:
    """What is known about a conversation as a whole.

    Attributes:
        id: its name, which begins with the time.
        created: when it began, ISO 8601, UTC.
        model: what answered: the model's own name, or that of its file.
    """

    id: str
    created: str
    model: str

    @classmethod
    def new(cls, model: str) -> Header:
        """That of a conversation that begins now."""
        now = datetime.now(UTC)
        name = f"{now:%Y%m%d-%H%M%S}-{os.urandom(2).hex()}"
        return cls(name, now.isoformat(timespec="seconds"), model)

    def line(self) -> bytes:
        """The first line of the file."""
        return _line({"pyllama": _KIND, "version": _VERSION} | asdict(self))


@dataclass(frozen=True, slots=True)
class Summary:
    """A conversation of the list."""

    header: Header
    turns: int
    opening: str
    """Its first question."""


class Transcript:
    """The file of one conversation, which appears with the first message.

    ``append`` raises FileError where the file cannot be written.
    """

    def __init__(self, path: Path, header: Header) -> None:
        self.path, self.header = path, header
        self._waiting: list[Record] = []

    def append(self, record: Record) -> None:
        """Write a record, and have it on the disk on return; what comes before the first message,
        together with that.
        """
        self._waiting.append(record)
        if not isinstance(record, Said) and not self.path.exists():
            return
        private_file(self.path)
        lines = [_line(to_document(record)) for record in self._waiting]
        try:
            with self.path.open("r+b") as stream:
                end = stream.read().rfind(b"\n") + 1  # what a kill has left of a line goes
                stream.seek(end)
                stream.truncate()
                stream.write(b"".join(lines if end else [self.header.line(), *lines]))
                stream.flush()
                os.fsync(stream.fileno())
            self._waiting.clear()
        except OSError as error:
            raise FileError.from_os_error(self.path, error) from error


class Transcripts:
    """All conversations of a user, in a directory of their own."""

    def __init__(self, directory: Path | None = None) -> None:
        """``directory``: instead of the one below the user's state directory."""
        self.directory = directory or state_directory() / "conversations"

    def begin(self, model: str) -> Transcript:
        """A new conversation with the model of this name."""
        private_directory(self.directory.parent)
        header = Header.new(model)
        return Transcript(self.directory / f"{header.id}{_SUFFIX}", header)

    def open(self, id: str = "") -> tuple[Transcript, Conversation]:
        """The conversation whose id begins so; the latest one where nothing is given.

        Raises UsageError where there is none, or more than one; FileError for a damaged file.
        """
        found = [path for path in self._paths() if path.stem.startswith(id)]
        if not found:
            what = f"no saved conversation begins with {id!r}" if id else "nothing is saved yet"
            raise UsageError(f"{what} in {self.directory}; `pyllama chat --list` shows all")
        if id and len(found) > 1:
            raise UsageError(f"{len(found)} conversations begin with {id!r}; give more of the id")
        header, conversation = read(found[0])
        return Transcript(found[0], header), conversation

    def summaries(self) -> Iterator[Summary]:
        """Those that can be read, the latest first."""
        for path in self._paths():
            try:
                header, conversation = read(path)
            except FileError:
                continue
            asked = (said.content for said in conversation.messages if said.role == USER)
            yield Summary(header, conversation.turns, next(asked, ""))

    def _paths(self) -> Sequence[Path]:
        """The files, the latest written first."""
        found = [(path.stat().st_mtime_ns, path) for path in self.directory.glob(f"*{_SUFFIX}")]
        return [path for _, path in sorted(found, reverse=True)]


def read(path: Path) -> tuple[Header, Conversation]:
    """A conversation from its file; FileError, with the line, where it is none."""
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise FileError.from_os_error(path, error) from error
    lines.pop()  # empty, or what a kill has left of a line
    conversation = Conversation()
    header: Header | None = None
    for number, line in enumerate(lines, 1):
        try:
            document = json.loads(line)
            if not isinstance(document, dict):
                raise ValueError("it is no object")
            if header is None:
                header = _header(document)
            else:
                conversation.apply(from_document(document))
        except (ValueError, RecursionError) as error:
            raise FileError(path, f"line {number} is no record: {error}", _REMEDY) from error
    if header is None:
        raise FileError(path, "holds no conversation", _REMEDY)
    return header, conversation


def write(path: Path, header: Header, conversation: Conversation) -> None:
    """A conversation to a file, which appears whole or not at all; FileError where that fails."""
    with AtomicFile(path) as file:
        file.write(header.line())
        for record in conversation.records():
            file.write(_line(to_document(record)))


def _header(document: dict[str, Any]) -> Header:
    if document.get("pyllama") != _KIND:
        raise ValueError("the file does not begin as a conversation of pyllama")
    if document.get("version") != _VERSION:
        raise ValueError(f"version {document.get('version')!r} is unknown to this pyllama")
    given = {name: document.get(name) for name in ("id", "created", "model")}
    if not all(isinstance(value, str) for value in given.values()):
        raise ValueError("id, created and model must be texts")
    return Header(**{name: str(value) for name, value in given.items()})


def _line(document: dict[str, Any]) -> bytes:
    text = json.dumps(document, ensure_ascii=False)
    return text.encode("utf-8", "replace") + b"\n"
