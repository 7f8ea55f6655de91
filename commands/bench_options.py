"""The options of ``pyllama bench``: names, defaults and lists are llama-bench's."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from pyllama.commands import options, output
from pyllama.commands.bench_lists import numbers, pairs, words
from pyllama.commands.loading import model_path
from pyllama.commands.placement_options import Numa, is_strict, numa_mode
from pyllama.errors import UsageError

if TYPE_CHECKING:
    from pyllama.bench import BenchmarkPlan

Texts = list[str] | None

T = TypeVar("T")


class Format(StrEnum):
    """How results are written."""

    MD = "md"
    CSV = "csv"
    JSON = "json"
    JSONL = "jsonl"
    SQL = "sql"


def _list(*names: str, metavar: str = "LIST", default: str, help: str) -> object:
    return typer.Option(*names, metavar=metavar, help=help, show_default=default)


@dataclass(frozen=True)
class BenchModels:
    """Which models; each is measured in turn."""

    model: Annotated[
        list[str] | None, _list("-m", "--model", default="the built-in model", help="GGUF models.")
    ] = None
    hf_repo: Annotated[
        list[str] | None,
        _list(
            *("-hf", "-hfr", "--hf-repo"),
            metavar="USER/MODEL[:QUANT]",
            default="none",
            help="Models of Hugging Face repositories; by default Q4_K_M, else Q8_0.",
        ),
    ] = None
    hf_file: Annotated[
        list[str] | None,
        _list("-hff", "--hf-file", default="none", help="The file of each repository to take."),
    ] = None
    hf_token: options.HubToken = None
    offline: options.Offline = False

    def find(self) -> tuple[Path, ...]:
        """The models' files, downloaded where that is needed; UsageError, and what the hub raises.

        Without any it is the built-in one, which is said on stderr.
        """
        repos, files = words(self.hf_repo) or (), words(self.hf_file) or ()
        if len(files) > len(repos):
            raise UsageError("-hff names a file of a repository, but -hf gives none; add -hf")
        paths = [Path(text) for text in words(self.model) or ()]
        if not paths and not repos:
            return (model_path(None),)
        padded = (*files, *[None] * (len(repos) - len(files)))
        return (*paths, *(self._resolve(*pair) for pair in zip(repos, padded, strict=True)))

    def _resolve(self, repo: str, file: str | None) -> Path:
        from pyllama import hub

        with output.download_progress() as progress:
            return hub.resolve(
                repo, file=file, token=self.hf_token, offline=self.offline, progress=progress
            )


@dataclass(frozen=True)
class BenchTests:
    """What is measured: every combination. Lists are ``16,32``, ``16-64+16`` or ``16-512*2``."""

    n_prompt: Annotated[
        list[str] | None,
        _list("-p", "--n-prompt", default="512", help="Tokens of a prompt; 0 for no such test."),
    ] = None
    n_gen: Annotated[
        list[str] | None,
        _list("-n", "--n-gen", default="128", help="Tokens to generate; 0 for no such test."),
    ] = None
    n_pg: Annotated[
        list[str] | None,
        _list(
            "-pg",
            metavar="PP,TG",
            default="none",
            help="A prompt and a generation, measured together. Repeatable.",
        ),
    ] = None
    n_depth: Annotated[
        list[str] | None,
        _list("-d", "--n-depth", default="0", help="Tokens before the test, not timed."),
    ] = None
    n_batch: Annotated[
        list[str] | None,
        _list("-b", "--batch-size", default="2048", help="Prompt tokens given to the model."),
    ] = None
    n_ubatch: Annotated[
        list[str] | None,
        _list("-ub", "--ubatch-size", default="512", help="Prompt tokens computed at once."),
    ] = None
    type_k: Annotated[
        list[str] | None,
        _list(
            "-ctk",
            "--cache-type-k",
            default="f16",
            help="Cached keys: f16, bf16, q8_0, q5_1, q5_0, q4_1, q4_0, iq4_nl.",
        ),
    ] = None
    type_v: Annotated[
        list[str] | None,
        _list("-ctv", "--cache-type-v", default="f16", help="Cached values: the same."),
    ] = None
    n_threads: Annotated[
        list[str] | None, _list("-t", "--threads", default="physical cores", help="Threads.")
    ] = None
    cpu_mask: Annotated[
        list[str] | None,
        _list("-C", "--cpu-mask", default="any", help="CPUs to use, in hexadecimal."),
    ] = None
    cpu_strict: Annotated[
        list[str] | None,
        _list("--cpu-strict", default="0", help="1: bind each thread to one of the CPUs."),
    ] = None
    numa: Numa = None
    isa: Annotated[
        list[str] | None,
        _list("--isa", default="the best", help="Instruction sets to compile for."),
    ] = None
    repetitions: Annotated[
        int, typer.Option("-r", "--repetitions", metavar="N", min=1, help="Samples of each test.")
    ] = 5
    delay: Annotated[
        int, typer.Option("--delay", metavar="N", min=0, help="Seconds of rest before each test.")
    ] = 0
    no_warmup: Annotated[
        bool, typer.Option("--no-warmup", help="Time the first run of each test already.")
    ] = False
    ceilings: Annotated[
        bool,
        typer.Option(
            "--ceilings",
            help="Measure what memory and processor can do, and show how much is reached.",
        ),
    ] = False

    def plan(self, models: tuple[Path, ...]) -> BenchmarkPlan:
        """The plan; UsageError for values that cannot be read."""
        from pyllama.bench import BenchmarkPlan

        return BenchmarkPlan(
            models,
            n_prompt=_or(numbers("-p", self.n_prompt), BenchmarkPlan.n_prompt),
            n_gen=_or(numbers("-n", self.n_gen), BenchmarkPlan.n_gen),
            n_pg=pairs("-pg", self.n_pg),
            n_depth=_or(numbers("-d", self.n_depth), BenchmarkPlan.n_depth),
            n_batch=_or(numbers("-b", self.n_batch), BenchmarkPlan.n_batch),
            n_ubatch=_or(numbers("-ub", self.n_ubatch), BenchmarkPlan.n_ubatch),
            type_k=_or(words(self.type_k), BenchmarkPlan.type_k),
            type_v=_or(words(self.type_v), BenchmarkPlan.type_v),
            n_threads=_or(numbers("-t", self.n_threads), BenchmarkPlan.n_threads),
            cpu_mask=_or(words(self.cpu_mask), BenchmarkPlan.cpu_mask),
            cpu_strict=tuple(is_strict(text) for text in words(self.cpu_strict) or ("0",)),
            numa=numa_mode(self.numa),
            isa=_or(words(self.isa), BenchmarkPlan.isa),
            repetitions=self.repetitions,
            delay=self.delay,
            warmup=not self.no_warmup,
            ceilings=self.ceilings,
        )


def _or(given: tuple[T, ...] | None, default: tuple[T, ...]) -> tuple[T, ...]:
    return default if given is None else given


@dataclass(frozen=True)
class BenchOutput:
    """What is shown, and where."""

    format: Annotated[
        Format, typer.Option("-o", "--output", help="Format of the results on stdout.")
    ] = Format.MD
    format_err: Annotated[
        Format | None,
        typer.Option(
            "-oe", "--output-err", help="Write them to stderr too.", show_default="not at all"
        ),
    ] = None
    progress: Annotated[
        bool | None,
        typer.Option(
            "--progress/--no-progress",
            help="Show on stderr what is being done, and how long it will take.",
            show_default="at a terminal",
        ),
    ] = None
    plot: Annotated[
        Path | None,
        typer.Option(
            "--plot",
            metavar="FILE",
            help="Draw the results into a .png or .svg file (needs matplotlib).",
            show_default=False,
        ),
    ] = None
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            "--compare",
            metavar="A.json B.json",
            help="Measure nothing: compare two files that -o json has written.",
            show_default=False,
        ),
    ] = None
    list_devices: Annotated[
        bool, typer.Option("--list-devices", help="List accelerators (there are none) and exit.")
    ] = False
