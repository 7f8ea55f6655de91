"""The tree of subcommands. Only the one that is asked for is imported."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any

import typer

from pyllama.commands import options
from pyllama.commands.failures import explained
from pyllama.commands.parsing import Command
from pyllama.errors import UsageError

COMMANDS: Mapping[str, str] = {
    "run": "run",
    "chat": "chat",
    "tokenize": "tokenize",
    "inspect": "inspect",
    "graph": "graph",
    "convert": "convert",
    "convert-lora": "convert_lora",
    "quantize": "quantize",
    "split": "split",
    "merge": "split",
    "bench": "bench",
    "perplexity": "perplexity",
    "imatrix": "imatrix",
}
"""In which module of `pyllama.commands` the function is that has the command's name, with ``_``."""

app = typer.Typer(
    invoke_without_command=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={
        "help_option_names": ["-h", "--help", "--usage"],
        # llama.cpp takes --top_k for --top-k.
        "token_normalize_func": lambda name: name.replace("_", "-"),
    },
)


@app.callback()
def pyllama(
    context: typer.Context,
    version: options.Version = False,
) -> None:
    """Run, measure and convert large language models in GGUF files."""
    del version  # handled by its callback, before any subcommand
    if context.invoked_subcommand is None:
        from pyllama.commands import output

        output.write(f"{context.get_help()}\n")
        raise typer.Exit(UsageError.exit_code)


def _guarded(command: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(command)
    def guarded(**given: object) -> None:
        with explained(verbose=bool(given.get("verbose"))):
            command(**given)

    return guarded


class _Commands(Mapping[str, Any]):
    """The parsers of the subcommands by name, made when they are first asked for."""

    def __getitem__(self, name: str) -> Any:
        return _parser(name)

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


@functools.cache
def _parser(name: str) -> Any:
    module = import_module(f"pyllama.commands.{COMMANDS[name]}")
    command = getattr(module, name.replace("-", "_"))
    alone = typer.Typer(add_completion=False, rich_markup_mode=None)
    alone.command(name, cls=Command)(_guarded(command))
    return typer.main.get_command(alone)


@functools.cache
def program() -> Callable[..., Any]:
    """The parser of the whole tree, made once: that takes Typer longer than to use it."""
    tree: Any = typer.main.get_command(app)
    tree.commands = _Commands()
    return tree  # type: ignore[no-any-return]
