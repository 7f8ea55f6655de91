"""``pyllama inspect``: what a GGUF file holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pyllama.commands import options, output, report
from pyllama.commands.loading import model_path

if TYPE_CHECKING:
    from pyllama.gguf import GGUFFile, TensorInfo
    from pyllama.gguf.summary import Summary

File = Annotated[
    Path | None,
    typer.Argument(
        metavar="FILE",
        help="Any GGUF file, or the first one of a split model.",
        show_default="the built-in model",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Write one JSON object.")]
Full = Annotated[bool, typer.Option("--full", help="Show long texts and arrays whole.")]
Tensors = Annotated[
    bool, typer.Option("--tensors/--no-tensors", help="List the tensors, not only count them.")
]


def inspect(
    file: File = None,
    json: Json = False,
    full: Full = False,
    tensors: Tensors = True,
    verbose: options.Verbose = False,
) -> None:
    """Show the metadata and the tensors of a GGUF file, and sum up what it is.

    Shapes are in the order of the file, innermost dimension first, as llama.cpp prints them;
    offsets are bytes from the start of the file that holds the tensor.
    """
    output.start_log(verbose=verbose)
    from pyllama.gguf import GGUFFile

    with GGUFFile.open(model_path(file)) as opened:
        text = _json(opened, full, tensors) if json else _tables(opened, full, tensors)
    output.write(text)


def _tables(file: GGUFFile, full: bool, tensors: bool) -> str:
    from pyllama.commands.metadata import type_text, value_text
    from pyllama.gguf.summary import summarize

    rows = [(k, type_text(f), value_text(f, full=full)) for k, f in file.fields.items()]
    parts = [report.table(("key", "type", "value"), rows)]
    if tensors and file.tensors:
        is_split = len(file.paths) > 1
        titles = ("tensor", "shape", "type", "bytes", "offset", *(["part"] if is_split else []))
        listed = [_tensor_row(info, is_split) for info in file.tensors.values()]
        parts.append(report.table(titles, listed, right=("bytes", "offset", "part")))
    summary = summarize(file)
    if summary.types:
        parts.append(_types_table(summary))
    parts.append(report.facts(_facts(file, summary)))
    return "\n".join(parts)


def _tensor_row(info: TensorInfo, is_split: bool) -> tuple[str, ...]:
    shape = " x ".join(map(str, info.dims)) or "1"
    row = (info.name, shape, info.type.name, str(info.n_bytes), str(info.offset))
    return (*row, str(info.part + 1)) if is_split else row


def _types_table(summary: Summary) -> str:
    titles = ("type", "tensors", "parameters", "bytes")
    rows = [
        (type.name, str(share.tensors), f"{share.elements:,}", f"{share.n_bytes:,}")
        for type, share in summary.types.items()
    ]
    return report.table(titles, rows, right=titles[1:])


def _facts(file: GGUFFile, summary: Summary) -> list[tuple[str, str]]:
    total = summary.total
    facts = [("file", str(path)) for path in file.paths]
    facts += [
        ("format", f"GGUF {file.version}, {len(file.fields)} keys, {total.tensors} tensors"),
        ("architecture", summary.architecture or "not named"),
        ("file type", _file_type_text(summary)),
    ]
    if summary.bits_per_weight is not None:
        facts += [
            ("parameters", f"{total.elements:,}"),
            ("size", f"{report.size_text(total.n_bytes)} ({total.n_bytes:,} bytes)"),
            ("bits per weight", f"{summary.bits_per_weight:.2f}"),
        ]
    return facts


def _file_type_text(summary: Summary) -> str:
    from pyllama.gguf.file_types import FileType

    match summary.file_type:
        case None:
            return "not named"
        case FileType() as known:
            return f"{known.label} ({known.value})"
        case number:
            return f"unknown ({number})"


def _json(file: GGUFFile, full: bool, tensors: bool) -> str:
    from pyllama.commands.metadata import value_json
    from pyllama.gguf.summary import summarize

    document = {
        "files": [str(path) for path in file.paths],
        "version": file.version,
        "alignment": file.alignment,
        **_summary_json(summarize(file)),
        "metadata": {k: value_json(f, full=full) for k, f in file.fields.items()},
    }
    if tensors:
        document["tensors"] = {name: _tensor_json(info) for name, info in file.tensors.items()}
    return report.to_json(document)


def _summary_json(summary: Summary) -> dict[str, Any]:
    from pyllama.gguf.file_types import FileType

    type, total = summary.file_type, summary.total
    return {
        "architecture": summary.architecture,
        "name": summary.name,
        "file_type": type.name if isinstance(type, FileType) else type,
        "parameters": total.elements,
        "bytes": total.n_bytes,
        "bits_per_weight": summary.bits_per_weight,
        "types": {
            type.name: {"tensors": s.tensors, "parameters": s.elements, "bytes": s.n_bytes}
            for type, s in summary.types.items()
        },
    }


def _tensor_json(info: TensorInfo) -> dict[str, Any]:
    return {
        "shape": list(info.dims),
        "type": info.type.name,
        "bytes": info.n_bytes,
        "offset": info.offset,
        "part": info.part + 1,
    }
