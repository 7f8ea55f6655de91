"""The options of ``pyllama perplexity``: names, defaults and meaning are llama-perplexity's."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from pyllama.commands.machine_options import MachineOptions
from pyllama.commands.prompt import argument_bytes, read_file
from pyllama.commands.text_options import Format
from pyllama.errors import UsageError

log = logging.getLogger(__name__)

CONTEXT = 512


@dataclass(frozen=True)
class TextOptions:
    """Which texts, or files of tasks."""

    prompt: Annotated[
        str | None,
        typer.Option("-p", "--prompt", metavar="TEXT", help="The text.", show_default=False),
    ] = None
    file: Annotated[
        list[Path] | None,
        typer.Option(
            "-f",
            "--file",
            metavar="FILE",
            help="File with the text, or with tasks; one newline at its end is dropped. Repeatable:"
            " each text is measured, and the average over texts.",
            show_default=False,
        ),
    ] = None
    binary_file: Annotated[
        Path | None,
        typer.Option(
            "-bf",
            "--binary-file",
            metavar="FILE",
            help="The same, taken as it is.",
            show_default=False,
        ),
    ] = None

    @property
    def is_given(self) -> bool:
        """Whether there is any text."""
        return any(text is not None for text in (self.prompt, self.file, self.binary_file))

    def read(self) -> list[tuple[str, bytes]]:
        """Names and bytes of all texts. Raises FileError for an unreadable one."""
        texts = [] if self.prompt is None else [("-p", argument_bytes(self.prompt))]
        for path in self.file or ():
            data, name = read_file(path)
            texts.append((name, data.removesuffix(b"\n")))
        if self.binary_file is not None:
            data, name = read_file(self.binary_file)
            texts.append((name, data))
        return texts


@dataclass(frozen=True)
class WindowOptions:
    """How the text is cut."""

    chunks: Annotated[
        int, typer.Option("--chunks", metavar="N", min=-1, help="Chunks at most; -1 for all.")
    ] = -1
    ppl_stride: Annotated[
        int,
        typer.Option(
            "--ppl-stride",
            metavar="N",
            min=0,
            help="Let chunks overlap, and score the last N tokens of each; 0 for chunks that do "
            "not overlap, of which the second halves are scored.",
        ),
    ] = 0
    ppl_output_type: Annotated[
        int,
        typer.Option(
            "--ppl-output-type", metavar="0|1", min=0, max=1, help="1: a line for each chunk."
        ),
    ] = 0

    @property
    def given(self) -> list[str]:
        """The options that differ from their defaults."""
        options = {
            "--chunks": self.chunks != WindowOptions.chunks,
            "--ppl-stride": self.ppl_stride != WindowOptions.ppl_stride,
            "--ppl-output-type": self.ppl_output_type != WindowOptions.ppl_output_type,
        }
        return [name for name, is_given in options.items() if is_given]


@dataclass(frozen=True)
class DivergenceOptions:
    """Comparison with what another model, the base, predicts."""

    kl_divergence_base: Annotated[
        Path | None,
        typer.Option(
            "--kl-divergence-base",
            "--save-all-logits",
            metavar="FILE",
            help="Write what the model gives to every token to a file; with --kl-divergence, read "
            "that of the base from it.",
            show_default=False,
        ),
    ] = None
    kl_divergence: Annotated[
        bool,
        typer.Option("--kl-divergence", help="Compare with the base; the text is the base's."),
    ] = False
    kl_reference: Annotated[
        Path | None,
        typer.Option(
            "--kl-reference",
            metavar="FILE",
            help="Compare with this model, which runs beside the other: no base file is needed.",
            show_default=False,
        ),
    ] = None

    def check(self, given: TextOptions, cut: WindowOptions) -> None:
        """Raises UsageError for options that contradict each other; warn of what has no effect."""
        if self.compares and cut.ppl_output_type:
            log.warning("--ppl-output-type has no effect on divergences")
        if self.kl_divergence and (given.is_given or cut.ppl_stride):
            log.warning("the text, and how it is cut, are those of the base file")
        if self.kl_reference is not None and (self.kl_divergence or self.kl_divergence_base):
            raise UsageError("--kl-reference runs the base itself; leave out --kl-divergence*")
        if self.kl_divergence and self.kl_divergence_base is None:
            raise UsageError(
                "--kl-divergence needs --kl-divergence-base FILE; or give --kl-reference MODEL"
            )
        if self.saves and cut.ppl_stride:
            raise UsageError("--kl-divergence-base has no room for --ppl-stride; leave one of them")

    @property
    def compares(self) -> bool:
        """Whether there is a base to compare with."""
        return self.kl_divergence or self.kl_reference is not None

    @property
    def saves(self) -> bool:
        """Whether a base file is written."""
        return self.kl_divergence_base is not None and not self.kl_divergence


def _tasks(name: str, fewest: int, default: str) -> object:
    help = "Random tasks at most."
    return typer.Option(f"--{name}-tasks", metavar="N", min=fewest, help=help, show_default=default)


@dataclass(frozen=True)
class TaskOptions:
    """Tasks with several answers instead of a text."""

    hellaswag: Annotated[
        bool, typer.Option("--hellaswag", help="The text is HellaSwag tasks of six lines each.")
    ] = False
    hellaswag_tasks: Annotated[int, _tasks("hellaswag", 1, "400")] = 400
    winogrande: Annotated[
        bool, typer.Option("--winogrande", help="The text is WinoGrande tasks as CSV.")
    ] = False
    winogrande_tasks: Annotated[int, _tasks("winogrande", 0, "all")] = 0
    multiple_choice: Annotated[
        bool,
        typer.Option(
            "--multiple-choice", help="The text is a binary file of questions (ARC, MMLU, ...)."
        ),
    ] = False
    multiple_choice_tasks: Annotated[int, _tasks("multiple-choice", 0, "all")] = 0

    def check(self, cut: WindowOptions) -> None:
        """Warn of what has no effect; UsageError for what contradicts."""
        counts = {
            "hellaswag": self.hellaswag_tasks != TaskOptions.hellaswag_tasks,
            "winogrande": self.winogrande_tasks != TaskOptions.winogrande_tasks,
            "multiple-choice": self.multiple_choice_tasks != TaskOptions.multiple_choice_tasks,
        }
        for name, is_given in counts.items():
            if is_given and name != self.kind:
                log.warning("--%s-tasks has no effect without --%s", name, name)
        if self.kind is not None:
            for name in cut.given:
                log.warning("%s has no effect on tasks", name)

    @property
    def kind(self) -> str | None:
        """Which of them, if any. Raises UsageError for more than one."""
        given = {
            "hellaswag": self.hellaswag,
            "winogrande": self.winogrande,
            "multiple-choice": self.multiple_choice,
        }
        names = [name for name, is_given in given.items() if is_given]
        if len(names) > 1:
            raise UsageError(f"--{' and --'.join(names)} are different tasks; leave one of them")
        return names[0] if names else None


@dataclass(frozen=True)
class ResultOptions:
    """What is made of the result, and what is kept of the work."""

    output_format: Annotated[
        Format,
        typer.Option(
            "--output-format",
            metavar="text|json",
            help="Text as llama-perplexity writes it, or one JSON object.",
        ),
    ] = Format.TEXT
    resume: Annotated[
        Path | None,
        typer.Option(
            "--resume",
            metavar="FILE",
            help="Keep what is measured in a file, and go on from it; with several texts, in one "
            "file each: FILE.2 for the second.",
            show_default=False,
        ),
    ] = None
    plot: Annotated[
        Path | None,
        typer.Option(
            "--plot",
            metavar="FILE",
            help="Draw the running perplexity into a .png or .svg file (needs matplotlib).",
            show_default=False,
        ),
    ] = None
    progress: Annotated[
        bool | None,
        typer.Option(
            "--progress/--no-progress",
            help="Show on stderr how far it is, and how long it will take.",
            show_default="at a terminal",
        ),
    ] = None
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            "--compare",
            metavar="A.json B.json",
            help="Measure nothing: compare two files that --output-format json has written.",
            show_default=False,
        ),
    ] = None

    def state(self, number: int) -> Path | None:
        """The file that keeps the work of a text, numbered from 1."""
        if self.resume is None or number == 1:
            return self.resume
        return self.resume.with_name(f"{self.resume.name}.{number}")


@dataclass(frozen=True)
class PerplexityMachine(MachineOptions):
    """The same as for other commands, but for the context."""

    ctx_size: Annotated[
        int | None,
        typer.Option(
            "-c",
            "--ctx-size",
            envvar="LLAMA_ARG_CTX_SIZE",
            metavar="N",
            min=1,
            help="Tokens of a chunk, or of a task at most; a base file has its own.",
        ),
    ] = CONTEXT

    @property
    def context(self) -> int:
        """Tokens of a chunk."""
        return self.ctx_size or CONTEXT
