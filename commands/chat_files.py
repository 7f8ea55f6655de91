"""``/read`` and ``/glob``: files that become part of the next message."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from glob import iglob
from itertools import islice
from pathlib import Path

from pyllama.commands.prompt import decode
from pyllama.errors import CapacityError, FileError, PromptError, UsageError
from pyllama.tokenizers import Tokenizer

MOST_FILES = 100
_BYTES_PER_TOKEN = 32
"""No text has more on average: a larger file need not be read to know that it does not fit."""


def read_text(path: Path, context: int) -> str:
    """A file as a message shows it.

    Raises FileError where it cannot be read, PromptError where it is no UTF-8, CapacityError where
    its bytes alone say that it does not fit into the context.
    """
    most = context * _BYTES_PER_TOKEN
    try:
        with path.open("rb") as stream:
            data = stream.read(most + 1)
    except OSError as error:
        raise FileError.from_os_error(path, error) from error
    if len(data) > most:
        raise CapacityError(
            f"{path}: more than {most:,} bytes do not fit into a context of {context} tokens; "
            "give a part of it, or a larger context (-c)"
        )
    if b"\0" in data:
        raise PromptError(f"{path}: is not text; give a text file")
    return f"--- File: {path} ---\n{decode(data, str(path))}"


def tokens_that_fit(texts: Sequence[str], tokenizer: Tokenizer, room: int) -> int:
    """How many tokens the texts have; CapacityError where that is more than there is room for."""
    count = sum(len(tokenizer.encode(text, add_special=False)) for text in texts)
    if count > room:
        raise CapacityError(
            f"that is {count:,} tokens, and the context has room for {max(room, 0):,}; nothing was "
            "added. Give less, take turns back (/undo, /clear) or ask for a larger context (-c)"
        )
    return count


def matching(pattern: str) -> list[Path]:
    """The files that a pattern names, sorted; ``**`` is any folder, names with a dot are hidden.

    Raises UsageError where there is none, and where there are too many.
    """
    found = iglob(os.path.expanduser(pattern), recursive=True)
    files = list(islice(filter(os.path.isfile, found), MOST_FILES + 1))
    if not files:
        raise UsageError(f"no file matches {pattern!r}")
    if len(files) > MOST_FILES:
        raise UsageError(f"more than {MOST_FILES} files match {pattern!r}; be more specific")
    return [Path(file) for file in sorted(set(files))]


def file_candidates(typed: str) -> Iterator[tuple[str, int]]:
    """What a path that is being typed may become, and how many characters that replaces."""
    folder, name = os.path.split(typed)
    try:
        entries = sorted(os.scandir(os.path.expanduser(folder) or "."), key=lambda e: e.name)
    except OSError:
        return
    for entry in entries:
        if entry.name.startswith(name) and (name or not entry.name.startswith(".")):
            yield entry.name + ("/" if entry.is_dir() else ""), len(name)
