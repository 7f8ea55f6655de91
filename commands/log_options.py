"""The options of the log: what is said on stderr besides the result on stdout."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from pyllama.commands import options, output

DEFAULT_VERBOSITY = 2


@dataclass(frozen=True)
class LogOptions:
    """How much is said, and where."""

    verbose: options.Verbose = False
    verbosity: Annotated[
        int,
        typer.Option(
            "-lv",
            "--verbosity",
            "--log-verbosity",
            metavar="N",
            min=0,
            envvar=["LLAMA_ARG_LOG_VERBOSITY", "LLAMA_LOG_VERBOSITY"],
            help="Show errors (0, 1), also warnings and timings (2), information (3), all (4).",
        ),
    ] = DEFAULT_VERBOSITY
    log_disable: Annotated[
        bool, typer.Option("--log-disable", help="No notes, warnings and timings.")
    ] = False
    log_file: Annotated[
        Path | None,
        typer.Option(
            "--log-file",
            metavar="FILE",
            envvar=["LLAMA_ARG_LOG_FILE", "LLAMA_LOG_FILE"],
            help="Append the log, and the error if there is one, to a file too.",
            show_default=False,
        ),
    ] = None
    log_colors: Annotated[
        str,
        typer.Option(
            "--log-colors",
            metavar="on|off|auto",
            envvar=["LLAMA_ARG_LOG_COLORS", "LLAMA_LOG_COLORS"],
            help="Colour on stderr; auto: at a terminal, unless NO_COLOR is set.",
        ),
    ] = "auto"
    log_prefix: Annotated[
        bool,
        typer.Option(
            "--log-prefix/--no-log-prefix",
            envvar=["LLAMA_ARG_LOG_PREFIX", "LLAMA_LOG_PREFIX"],
            help="Begin each message with its level: E, W, I or D.",
        ),
    ] = False
    log_timestamps: Annotated[
        bool,
        typer.Option(
            "--log-timestamps/--no-log-timestamps",
            envvar=["LLAMA_ARG_LOG_TIMESTAMPS", "LLAMA_LOG_TIMESTAMPS"],
            help="Begin each message with the time since the start.",
        ),
    ] = False
    version: options.Version = False

    def start(self) -> None:
        """Let the log go where the options want it; FileError where the file cannot be opened."""
        output.set_colours(self.log_colors)
        output.start_log(
            verbose=self.verbose,
            verbosity=-1 if self.log_disable else self.verbosity,
            file=self.log_file,
            prefix=self.log_prefix,
            timestamps=self.log_timestamps,
        )
