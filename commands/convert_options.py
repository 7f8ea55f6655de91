"""The options of ``pyllama convert``: names and meanings are those of convert_hf_to_gguf."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pyllama.commands import options, output
from pyllama.commands.split_options import Force, MaxSize, MaxTensors, MetadataFirst, limits
from pyllama.errors import UsageError

if TYPE_CHECKING:
    from pyllama.convert import ConvertOptions, Plan
    from pyllama.gguf.file_types import FileType


@dataclass(frozen=True)
class SourceOptions:
    """What is converted."""

    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL",
            help="Directory of a checkpoint, or USER/MODEL on the hub.",
            show_default=False,
        ),
    ] = None
    hf_token: options.HubToken = None
    offline: options.Offline = False

    def find(self) -> tuple[Path, bool]:
        """The checkpoint's folder, and whether it is the hub's; downloaded where that is needed."""
        if self.model is None:
            raise UsageError("no MODEL is given; name a checkpoint's directory, or USER/MODEL")
        path = Path(self.model)
        if path.exists() or self.model.startswith((".", "/", "~")) or self.model.count("/") != 1:
            return path, False
        from pyllama import hub

        with output.download_progress() as progress:
            folder = hub.snapshot(
                self.model, token=self.hf_token, offline=self.offline, progress=progress
            )
        return folder, True


@dataclass(frozen=True)
class ResultOptions:
    """What it becomes."""

    outfile: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--outfile",
            metavar="FILE",
            help="Result, or a directory for it; {outtype} and {OUTTYPE} stand for the type. By "
            "default it is named after the model, beside the checkpoint.",
            show_default=False,
        ),
    ] = None
    outtype: Annotated[
        str,
        typer.Option(
            "--outtype",
            metavar="TYPE",
            help="Type of the weights: f32, f16, bf16, q8_0, tq1_0, tq2_0, or auto for that of the "
            "checkpoint (bf16, else f16).",
        ),
    ] = "auto"
    vocab_only: Annotated[
        bool, typer.Option("--vocab-only", help="Write metadata and vocabulary alone.")
    ] = False
    model_name: Annotated[
        str | None,
        typer.Option("--model-name", metavar="NAME", help="Name of the model.", show_default=False),
    ] = None
    metadata: Annotated[
        Path | None,
        typer.Option(
            "--metadata",
            metavar="FILE",
            help="JSON file of general.* keys to set: author, license, tags, ...",
            show_default=False,
        ),
    ] = None
    pre: Annotated[
        str | None,
        typer.Option(
            "--pre",
            metavar="NAME",
            help="Name of the pre-tokenizer, if it is not to be recognized.",
            show_default=False,
        ),
    ] = None
    split_max_tensors: MaxTensors = None
    split_max_size: MaxSize = None
    no_tensor_first_split: MetadataFirst = False

    def read(self) -> ConvertOptions:
        """What the options say; UsageError, FileError, ConversionError where that is no sense."""
        from pyllama.convert import ConvertOptions
        from pyllama.convert.card import read_metadata

        parts = limits(self.split_max_tensors, self.split_max_size, self.no_tensor_first_split)
        if self.vocab_only and parts.splits:
            raise UsageError("--vocab-only writes no tensors to split; leave one of them out")
        return ConvertOptions(
            file_type=self._file_type(),
            pre=self.pre,
            name=self.model_name,
            metadata={} if self.metadata is None else read_metadata(self.metadata),
            limits=parts,
            weights=not self.vocab_only,
        )

    def _file_type(self) -> FileType | None:
        from pyllama.convert import OUTPUT_TYPES

        name = self.outtype.lower()
        if name != "auto" and name not in OUTPUT_TYPES:
            known = ", ".join(("auto", *OUTPUT_TYPES))
            raise UsageError(
                f"--outtype {self.outtype!r:.40} is not one of {known}; `pyllama quantize` makes "
                "other types of a converted file"
            )
        return OUTPUT_TYPES.get(name)

    def path(self, plan: Plan, folder: Path) -> Path:
        """The file to write; ``folder`` is where it goes if nothing is said."""
        return file_of(plan, folder if self.outfile is None else self.outfile)


def file_of(plan: Plan, target: Path) -> Path:
    """The file to write: ``target`` with the type put in, or if it is a directory, one in it."""
    if target.is_dir():
        return target / plan.file_name
    type = plan.file_type.name
    names = {"{outtype}": type.lower(), "{ftype}": type.lower(), "{OUTTYPE}": type}
    name = target.name
    for pattern, text in {**names, "{FTYPE}": type}.items():
        name = name.replace(pattern, text)
    return target.with_name(name)


@dataclass(frozen=True)
class WorkOptions:
    """How it is done."""

    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be written, and write nothing.")
    ] = False
    force: Force = False
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="Read the result again and compute with it; compare its logits with those of "
            "transformers, if that is installed.",
        ),
    ] = False
    trust_remote_code: Annotated[
        bool,
        typer.Option(
            "--trust-remote-code",
            help="With --verify: let transformers run Python code of the checkpoint. The "
            "conversion itself never does.",
        ),
    ] = False
    no_lazy: Annotated[
        bool,
        typer.Option(
            "--no-lazy", help="Read all weights into memory before the first one is written."
        ),
    ] = False
    threads: options.Threads = -1
    print_supported_models: Annotated[
        bool,
        typer.Option(
            "--print-supported-models", help="List the architectures that can be converted."
        ),
    ] = False
