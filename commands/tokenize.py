"""``pyllama tokenize``: show the tokens of a text."""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pyllama.commands import output
from pyllama.commands.groups import grouped
from pyllama.commands.log_options import LogOptions
from pyllama.commands.model_options import ModelOptions
from pyllama.commands.prompt import argument_bytes, decode, read_file, unescape
from pyllama.errors import PromptError

if TYPE_CHECKING:
    from pyllama.tokenizers import Tokenizer

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TextOptions:
    """Where the text comes from."""

    prompt: Annotated[
        str | None,
        typer.Option("-p", "--prompt", metavar="TEXT", help="The text.", show_default=False),
    ] = None
    file: Annotated[
        Path | None,
        typer.Option(
            "-f",
            "--file",
            metavar="FILE",
            help="File with the text, the newline at its end included; before -p.",
            show_default=False,
        ),
    ] = None
    stdin: Annotated[
        bool, typer.Option("--stdin", help="Read the text from standard input; before -f and -p.")
    ] = False
    no_escape: Annotated[
        bool, typer.Option("--no-escape", help=r"Leave \n \r \t \' \" \\ and \xHH as they are.")
    ] = False


@dataclass(frozen=True)
class TokenOptions:
    """How tokens are made of it, and shown."""

    ids: Annotated[bool, typer.Option("--ids", help="Write only the ids: [1, 2, 3].")] = False
    no_bos: Annotated[
        bool, typer.Option("--no-bos", help="Do not add the token that begins a sequence.")
    ] = False
    no_parse_special: Annotated[
        bool,
        typer.Option("--no-parse-special", help="Take the names of control tokens as plain text."),
    ] = False
    show_count: Annotated[
        bool, typer.Option("--show-count", help="Write the number of tokens too.")
    ] = False


@grouped()
def tokenize(
    source: ModelOptions, given: TextOptions, wanted: TokenOptions, logs: LogOptions
) -> None:
    """Show the tokens of a text: id and bytes, one token a line."""
    del logs  # started already
    if source.cache_list:
        source.list_cached()
        return
    data, name = _read(given.prompt, given.file, stdin=given.stdin)
    text = decode(data if given.no_escape else unescape(data), name)
    tokenizer = _load(source.find())
    # As llama.cpp does: a model that adds no BOS gets nothing added at all.
    tokens = tokenizer.encode(
        text,
        add_special=tokenizer.add_bos and not wanted.no_bos,
        parse_special=not wanted.no_parse_special,
    )
    if not wanted.no_bos and tokenizer.doubles_bos(tokens):
        log.warning("the text begins with a BOS token, and one was added: there are two now")
    output.write_bytes(_listing(tokenizer, tokens, ids_only=wanted.ids))
    if wanted.show_count:
        output.write(f"Total number of tokens: {len(tokens)}\n")


def _read(prompt: str | None, file: Path | None, *, stdin: bool) -> tuple[bytes, str]:
    """The bytes of the text and a name for where they came from."""
    if stdin:
        return (sys.stdin.buffer.read() if sys.stdin is not None else b""), "standard input"
    if file is not None:
        return read_file(file)
    if prompt is not None:
        return argument_bytes(prompt), "-p"
    raise PromptError("no text; give -p TEXT, -f FILE or --stdin")


def _load(path: Path) -> Tokenizer:
    from pyllama.gguf import GGUFFile
    from pyllama.tokenizers import Tokenizer

    with GGUFFile.open(path) as file:
        return Tokenizer.from_gguf(file)


def _listing(tokenizer: Tokenizer, tokens: list[int], *, ids_only: bool) -> bytes:
    if ids_only:
        return f"{tokens}\n".encode()
    lines = [b"%6d -> '%b'\n" % (token, tokenizer.piece(token, special=True)) for token in tokens]
    return b"".join(lines)
