"""``pyllama tokenize``: show the tokens of a text."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pyllama.commands import options, output
from pyllama.commands.loading import model_path
from pyllama.commands.prompt import decode, unescape
from pyllama.errors import FileError, PromptError

if TYPE_CHECKING:
    from pyllama.tokenizers import Tokenizer

log = logging.getLogger(__name__)

Text = Annotated[
    str | None,
    typer.Option("-p", "--prompt", metavar="TEXT", help="The text.", show_default=False),
]
TextFile = Annotated[
    Path | None,
    typer.Option(
        "-f",
        "--file",
        metavar="FILE",
        help="File with the text, the newline at its end included; before -p.",
        show_default=False,
    ),
]
Stdin = Annotated[
    bool, typer.Option("--stdin", help="Read the text from standard input; before -f and -p.")
]
Ids = Annotated[bool, typer.Option("--ids", help="Write only the ids: [1, 2, 3].")]
NoBos = Annotated[
    bool, typer.Option("--no-bos", help="Do not add the token that begins a sequence.")
]
NoParseSpecial = Annotated[
    bool,
    typer.Option("--no-parse-special", help="Take the names of control tokens as plain text."),
]
NoEscape = Annotated[
    bool, typer.Option("--no-escape", help=r"Leave \n \r \t \' \" \\ and \xHH as they are.")
]
ShowCount = Annotated[bool, typer.Option("--show-count", help="Write the number of tokens too.")]
LogDisable = Annotated[bool, typer.Option("--log-disable", help="No notes and no warnings.")]


def tokenize(
    model: options.Model = None,
    prompt: Text = None,
    file: TextFile = None,
    stdin: Stdin = False,
    ids: Ids = False,
    no_bos: NoBos = False,
    no_parse_special: NoParseSpecial = False,
    no_escape: NoEscape = False,
    show_count: ShowCount = False,
    log_disable: LogDisable = False,
    verbose: options.Verbose = False,
) -> None:
    """Show the tokens of a text: id and bytes, one token a line."""
    output.start_log(verbose=verbose)
    if log_disable:
        logging.getLogger("pyllama").setLevel(logging.CRITICAL)
    data, source = _read(prompt, file, stdin=stdin)
    text = decode(data if no_escape else unescape(data), source)
    tokenizer = _load(model, quiet=log_disable)
    # As llama.cpp does: a model that adds no BOS gets nothing added at all.
    tokens = tokenizer.encode(
        text,
        add_special=tokenizer.add_bos and not no_bos,
        parse_special=not no_parse_special,
    )
    if not no_bos and tokenizer.doubles_bos(tokens):
        log.warning("the text begins with a BOS token, and one was added: there are two now")
    output.write_bytes(_listing(tokenizer, tokens, ids_only=ids))
    if show_count:
        output.write(f"Total number of tokens: {len(tokens)}\n")


def _read(prompt: str | None, file: Path | None, *, stdin: bool) -> tuple[bytes, str]:
    """The bytes of the text and a name for where they came from."""
    if stdin:
        return (sys.stdin.buffer.read() if sys.stdin is not None else b""), "standard input"
    if file is not None:
        try:
            return file.read_bytes(), str(file)
        except OSError as error:
            raise FileError.from_os_error(file, error) from error
    if prompt is not None:
        # Bytes of the command line that are no UTF-8 arrive as surrogates.
        return prompt.encode("utf-8", "surrogateescape"), "-p"
    raise PromptError("no text; give -p TEXT, -f FILE or --stdin")


def _load(path: Path | None, *, quiet: bool) -> Tokenizer:
    from pyllama.gguf import GGUFFile
    from pyllama.tokenizers import Tokenizer

    with GGUFFile.open(model_path(path, quiet=quiet)) as file:
        return Tokenizer.from_gguf(file)


def _listing(tokenizer: Tokenizer, tokens: list[int], *, ids_only: bool) -> bytes:
    if ids_only:
        return f"{tokens}\n".encode()
    lines = [b"%6d -> '%b'\n" % (token, tokenizer.piece(token, special=True)) for token in tokens]
    return b"".join(lines)
