"""The tree of subcommands. A subcommand imports what it needs when it runs, so this is quick."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Annotated

import typer

from pyllama.commands.bench import bench
from pyllama.commands.failures import explained
from pyllama.commands.graph import graph
from pyllama.commands.inspect import inspect
from pyllama.commands.quantize import quantize
from pyllama.commands.run import run
from pyllama.commands.tokenize import tokenize

COMMANDS: tuple[Callable[..., None], ...] = (run, tokenize, inspect, graph, quantize, bench)

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={
        "help_option_names": ["-h", "--help", "--usage"],
        # llama.cpp takes --top_k for --top-k.
        "token_normalize_func": lambda name: name.replace("_", "-"),
    },
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        from pyllama.commands import output

        output.write(f"pyllama {version('pyllama')}\n")
        raise typer.Exit


@app.callback()
def pyllama(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Run, measure and convert large language models in GGUF files."""
    del version  # handled by its callback, before any subcommand


def _guarded(command: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(command)
    def guarded(**options: object) -> None:
        with explained(verbose=bool(options.get("verbose"))):
            command(**options)

    return guarded


for _command in COMMANDS:
    app.command()(_guarded(_command))


@functools.cache
def program() -> Callable[..., None]:
    """The parser of the whole tree, made once: that takes Typer longer than to use it."""
    return typer.main.get_command(app)
