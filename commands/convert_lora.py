"""``pyllama convert-lora``: make a GGUF file of an adapter that PEFT saved."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pyllama.commands import convert_views as views
from pyllama.commands import options, output, report
from pyllama.commands.convert_foreign import CONVERT_LORA
from pyllama.commands.convert_options import file_of
from pyllama.commands.convert_writing import write
from pyllama.commands.groups import grouped
from pyllama.commands.log_options import LogOptions
from pyllama.commands.split_options import Force
from pyllama.commands.words import choose
from pyllama.errors import ConversionError, UsageError

if TYPE_CHECKING:
    from pyllama.convert.peft import PeftAdapter
    from pyllama.gguf.file_types import FileType

OUTTYPES = ("f32", "f16", "bf16", "q8_0", "auto")


@dataclass(frozen=True)
class AdapterOptions:
    """What is converted."""

    adapter: Annotated[
        Path,
        typer.Argument(
            metavar="ADAPTER",
            help="Directory with adapter_config.json and adapter_model.safetensors.",
            show_default=False,
        ),
    ]


@dataclass(frozen=True)
class BaseOptions:
    """The model that it was trained on, of which config.json is needed."""

    base: Annotated[
        Path | None,
        typer.Option(
            "--base",
            metavar="DIR",
            help="Directory of the base model, of which config.json is enough.",
            show_default="the one that the adapter names",
        ),
    ] = None
    base_model_id: Annotated[
        str | None,
        typer.Option(
            "--base-model-id",
            metavar="USER/MODEL",
            help="The base model on the hub, of which config.json is downloaded.",
            show_default=False,
        ),
    ] = None
    hf_token: options.HubToken = None
    offline: options.Offline = False

    def find(self, adapter: PeftAdapter) -> Path:
        """The folder with its config.json.

        Raises UsageError where two models are named, ConversionError where none is, or one that is
        not there, and what the hub raises.
        """
        if self.base is not None and self.base_model_id is not None:
            raise UsageError("--base and --base-model-id both name the base model; leave one out")
        if self.base is not None:
            return self.base
        name = self.base_model_id or adapter.base
        if name is None:
            problem = "does not name the base model"
            raise ConversionError(adapter.config.path, problem, "name it with --base")
        if self.base_model_id is None and Path(name).is_dir():
            return Path(name)
        if name.count("/") != 1 or name.startswith((".", "/", "~")):
            problem = f"names the base model {name!r:.80}, which is not here"
            raise ConversionError(adapter.config.path, problem, "name it with --base")
        from pyllama import hub

        with output.download_progress() as progress:
            return hub.configuration(
                name, token=self.hf_token, offline=self.offline, progress=progress
            )


@dataclass(frozen=True)
class OutputOptions:
    """What it becomes."""

    outfile: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--outfile",
            metavar="FILE",
            help="Result, or a directory for it; {outtype} and {OUTTYPE} stand for the type. By "
            "default it is named after the adapter, in its directory.",
            show_default=False,
        ),
    ] = None
    outtype: Annotated[
        str,
        typer.Option(
            "--outtype",
            metavar="|".join(OUTTYPES),
            help="Type of the weights; auto for that of the adapter (bf16, else f16).",
        ),
    ] = "f32"
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be written, and write nothing.")
    ] = False
    force: Force = False

    @property
    def file_type(self) -> FileType | None:
        """None for that of the adapter; UsageError for a type that is not offered."""
        from pyllama.convert import OUTPUT_TYPES

        return OUTPUT_TYPES.get(choose(self.outtype, "--outtype", OUTTYPES))


@grouped(CONVERT_LORA)
def convert_lora(
    source: AdapterOptions, base: BaseOptions, result: OutputOptions, logs: LogOptions
) -> None:
    """Make a GGUF file of a LoRA adapter that PEFT saved, for --lora."""
    del logs  # started by `grouped`
    from pyllama.convert.lora import make_lora_plan
    from pyllama.convert.peft import read_adapter

    file_type = result.file_type
    adapter = read_adapter(source.adapter)
    plan = make_lora_plan(adapter, base.find(adapter), file_type)
    for warning in plan.warnings:
        output.note(f"warning: {report.printable(warning)}")
    path = file_of(plan, source.adapter if result.outfile is None else result.outfile)
    facts = report.facts(views.facts(plan, [path]))
    if result.dry_run:
        output.write(views.plan_table(plan) + facts)
        return
    write(plan, path, threads=-1, force=result.force)
    output.write(facts)
