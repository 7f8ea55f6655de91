"""The options that several commands share: names, defaults and meaning are llama.cpp's.

An option whose default is None means "not given": the default then comes from the model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        from pyllama.commands import output

        output.write(f"pyllama {version('pyllama')}\n")
        raise typer.Exit


Version = Annotated[
    bool,
    typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
]
Model = Annotated[
    Path | None,
    typer.Option(
        "-m",
        "--model",
        envvar="LLAMA_ARG_MODEL",
        metavar="FILE",
        help="GGUF model, or the first file of a split one.",
        show_default="the built-in model",
    ),
]
Prompt = Annotated[
    str | None,
    typer.Option("-p", "--prompt", metavar="TEXT", help="Text to continue.", show_default=False),
]
PromptFile = Annotated[
    Path | None,
    typer.Option(
        "-f",
        "--file",
        metavar="FILE",
        help="File with the prompt; one newline at its end is dropped.",
        show_default=False,
    ),
]
Escape = Annotated[
    bool,
    typer.Option(
        "--escape/--no-escape",
        "-e",
        help=r"Replace \n \r \t \' \" \\ and \xHH in the prompt.",
    ),
]
Context = Annotated[
    int | None,
    typer.Option(
        "-c",
        "--ctx-size",
        envvar="LLAMA_ARG_CTX_SIZE",
        metavar="N",
        min=0,
        help="Tokens of context; 0 for all that the model was trained on.",
        show_default="the model's, at most 4096",
    ),
]
Threads = Annotated[
    int,
    typer.Option(
        "-t",
        "--threads",
        envvar="LLAMA_ARG_THREADS",
        metavar="N",
        min=-1,
        max=512,
        help="Threads; 0 or less for the physical cores this process may use.",
    ),
]
Batch = Annotated[
    int,
    typer.Option(
        "-b",
        "--batch-size",
        envvar="LLAMA_ARG_BATCH",
        metavar="N",
        min=1,
        help="Prompt tokens given to the model at once.",
    ),
]
Ubatch = Annotated[
    int,
    typer.Option(
        "-ub",
        "--ubatch-size",
        envvar="LLAMA_ARG_UBATCH",
        metavar="N",
        min=1,
        help="Prompt tokens computed at once, at most the batch.",
    ),
]
Isa = Annotated[
    str | None,
    typer.Option(
        "--isa",
        metavar="NAME",
        help="Instruction set to compile for.",
        show_default="the best this processor has",
    ),
]
HubToken = Annotated[
    str | None,
    typer.Option(
        "-hft",
        "--hf-token",
        metavar="TOKEN",
        envvar="HF_TOKEN",
        help="Access token for the hub; by default the one that its own tools have saved.",
        show_default=False,
    ),
]
Offline = Annotated[
    bool,
    typer.Option(
        "--offline", envvar="LLAMA_ARG_OFFLINE", help="Use what is downloaded; ask no network."
    ),
]
Verbose = Annotated[
    bool,
    typer.Option(
        "-v", "--verbose", "--log-verbose", help="Show the log, and tracebacks of failures."
    ),
]
Perf = Annotated[
    bool,
    typer.Option(
        "--perf/--no-perf", envvar="LLAMA_ARG_PERF", help="Show on stderr where the time went."
    ),
]
