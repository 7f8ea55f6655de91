"""The options of ``pyllama imatrix``: names, defaults and meaning are llama-imatrix's."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from pyllama.commands.machine_options import MachineOptions
from pyllama.commands.perplexity_options import CONTEXT, TextOptions
from pyllama.commands.words import items
from pyllama.errors import FileError, UsageError
from pyllama.imatrix import Format

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CalibrationOptions(TextOptions):
    """The text, and how it is cut."""

    file: Annotated[
        list[Path] | None,
        typer.Option(
            "-f",
            "--file",
            metavar="FILE",
            help="File with the text; one newline at its end is dropped. Repeatable: the texts are "
            "read one after the other.",
            show_default=False,
        ),
    ] = None
    parse_special: Annotated[
        bool,
        typer.Option("--parse-special", help="Texts of control tokens in it are these tokens."),
    ] = False
    chunks: Annotated[
        int,
        typer.Option("--chunks", metavar="N", min=-1, help="Chunks of a text at most; -1 for all."),
    ] = -1
    from_chunk: Annotated[
        int,
        typer.Option(
            "--chunk",
            "--from-chunk",
            metavar="N",
            min=0,
            help="Chunks of a text to leave out at its beginning.",
        ),
    ] = 0

    @property
    def cuts(self) -> list[str]:
        """The given options that say how a text is taken."""
        options = {
            "--parse-special": self.parse_special,
            "--chunks": self.chunks != CalibrationOptions.chunks,
            "--chunk": self.from_chunk != CalibrationOptions.from_chunk,
        }
        return [name for name, is_given in options.items() if is_given]

    @property
    def paths(self) -> list[Path]:
        """All files of texts."""
        return [*(self.file or ()), *([self.binary_file] if self.binary_file else ())]


@dataclass(frozen=True)
class CollectionOptions:
    """What is collected besides the weights of layers, and what is done with earlier results."""

    process_output: Annotated[
        bool, typer.Option("--process-output", help="Collect for output.weight, too.")
    ] = False
    ppl: Annotated[bool, typer.Option("--ppl/--no-ppl", help="Measure perplexity on the way.")] = (
        True
    )
    in_file: Annotated[
        list[str] | None,
        typer.Option(
            "--in-file",
            metavar="FILE",
            help="Importance matrices of the same model to be added, by commas (a name with a "
            "comma in quotes). Repeatable; without a text they are merged, and no model is needed.",
            show_default=False,
        ),
    ] = None
    show_statistics: Annotated[
        bool,
        typer.Option(
            "--show-statistics", help="Show how the importance of the one --in-file is distributed."
        ),
    ] = False

    @property
    def measures(self) -> list[str]:
        """The given options that say what is done with a text."""
        options = {"--process-output": self.process_output, "--no-ppl": not self.ppl}
        return [name for name, is_given in options.items() if is_given]

    @property
    def in_files(self) -> list[Path]:
        """All earlier results; UsageError for a list that cannot be read."""
        return [Path(item) for text in self.in_file or () for item in items("--in-file", text)]

    @property
    def only_file(self) -> Path:
        """The one file to be shown; UsageError where there is none or several."""
        if len(self.in_files) != 1:
            raise UsageError("--show-statistics shows one file; name it with a single --in-file")
        return self.in_files[0]


@dataclass(frozen=True)
class OutputOptions:
    """Where the result goes."""

    output: Annotated[
        Path,
        typer.Option("-o", "--output", "--output-file", metavar="FILE", help="File of the result."),
    ] = Path("imatrix.gguf")
    output_format: Annotated[
        Format,
        typer.Option(
            "--output-format",
            metavar="gguf|dat",
            help="Format of the result; dat is an older one that knows no counts of experts.",
        ),
    ] = Format.GGUF
    output_frequency: Annotated[
        int,
        typer.Option(
            "-ofreq",
            "--output-frequency",
            metavar="N",
            min=0,
            help="Write the result so far every N chunks; 0 for once, at the end.",
        ),
    ] = 10
    save_frequency: Annotated[
        int,
        typer.Option(
            "--save-frequency",
            metavar="N",
            min=0,
            help="Keep the result so far every N chunks, in FILE.at_CHUNKS; 0 for never.",
        ),
    ] = 0

    def check(self) -> None:
        """Raises FileError for a file that cannot be; warns of a name that tells another format."""
        if not self.output.parent.is_dir():
            remedy = "make it, or name another file"
            raise FileError(self.output, "the directory does not exist", remedy)
        if self.output_format is Format.GGUF and self.output.suffix == ".dat":
            log.warning("%s gets the format GGUF; --output-format dat is the other", self.output)


@dataclass(frozen=True)
class ImatrixMachine(MachineOptions):
    """The same as for other commands, but for the context."""

    ctx_size: Annotated[
        int | None,
        typer.Option(
            "-c",
            "--ctx-size",
            envvar="LLAMA_ARG_CTX_SIZE",
            metavar="N",
            min=1,
            help="Tokens of a chunk.",
            show_default=str(CONTEXT),
        ),
    ] = None

    @property
    def context(self) -> int:
        """Tokens of a chunk."""
        return self.ctx_size or CONTEXT
