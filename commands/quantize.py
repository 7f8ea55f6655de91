"""``pyllama quantize``: write a model with its weights rounded to fewer bits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from pyllama.commands import options, output, report
from pyllama.commands import quantize_views as views
from pyllama.errors import UsageError

if TYPE_CHECKING:
    from pyllama.gguf.file_types import FileType
    from pyllama.quantize import Plan, QuantizeOptions

TYPES = (
    "F32 F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q2_K_S Q3_K_S Q3_K_M Q3_K_L Q4_K_S Q4_K_M Q5_K_S "
    "Q5_K_M Q6_K IQ1_S IQ1_M IQ2_XXS IQ2_XS IQ2_S IQ2_M IQ3_XXS IQ3_XS IQ3_S IQ3_M IQ4_NL IQ4_XS "
    "TQ1_0 TQ2_0 MXFP4_MOE"
)
COPY = "COPY"

Arguments = Annotated[
    list[str],
    typer.Argument(
        metavar="IN.gguf [OUT.gguf] TYPE [THREADS]",
        help=f"TYPE is one of {TYPES}, or COPY. Without OUT.gguf the result is "
        "ggml-model-TYPE.gguf beside the model.",
        show_default=False,
    ),
]
AllowRequantize = Annotated[
    bool, typer.Option("--allow-requantize", help="Take tensors that are quantized already.")
]
LeaveOutputTensor = Annotated[
    bool, typer.Option("--leave-output-tensor", help="Leave output.weight as it is.")
]
Pure = Annotated[
    bool, typer.Option("--pure", help="Make all tensors of one type, without the recipe's rules.")
]
Imatrix = Annotated[
    Path | None,
    typer.Option(
        "--imatrix",
        metavar="FILE",
        help="Heed the importance matrix in this file.",
        show_default=False,
    ),
]
IncludeWeights = Annotated[
    list[str] | None,
    typer.Option(
        "--include-weights",
        metavar="TEXT",
        help="Use the importance only of tensors with TEXT in their names.",
        show_default=False,
    ),
]
ExcludeWeights = Annotated[
    list[str] | None,
    typer.Option(
        "--exclude-weights",
        metavar="TEXT",
        help="Do not use the importance of tensors with TEXT in their names.",
        show_default=False,
    ),
]
OutputTensorType = Annotated[
    str | None,
    typer.Option(
        "--output-tensor-type",
        metavar="TYPE",
        help="Tensor type of output.weight, such as q6_K.",
        show_default=False,
    ),
]
TokenEmbeddingType = Annotated[
    str | None,
    typer.Option(
        "--token-embedding-type",
        metavar="TYPE",
        help="Tensor type of the token embeddings.",
        show_default=False,
    ),
]
TensorTypes = Annotated[
    list[str] | None,
    typer.Option(
        "--tensor-type",
        metavar="PATTERN=TYPE",
        help="Tensor type of tensors whose names match the regular expression; the first one wins.",
        show_default=False,
    ),
]
TensorTypeFile = Annotated[
    Path | None,
    typer.Option(
        "--tensor-type-file",
        metavar="FILE",
        help="The same rules from a file, separated by spaces or line ends.",
        show_default=False,
    ),
]
PruneLayers = Annotated[
    str | None,
    typer.Option(
        "--prune-layers", metavar="N,N,...", help="Leave these layers out.", show_default=False
    ),
]
KeepSplit = Annotated[
    bool, typer.Option("--keep-split", help="Write as many parts as the model has.")
]
OverrideKv = Annotated[
    list[str] | None,
    typer.Option(
        "--override-kv",
        metavar="KEY=TYPE:VALUE",
        help="Set metadata of the result; TYPE is int, float, bool or str.",
        show_default=False,
    ),
]
Fallback = Annotated[
    bool,
    typer.Option(
        "--fallback/--no-fallback",
        help="Use another type where the blocks of the due one do not divide the rows.",
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show what would be made, and write nothing.")
]


@dataclass(frozen=True)
class _Order:
    """What the arguments say; ``output`` is None where they name none."""

    source: Path
    output: Path | None
    type: str
    recipe: FileType | None
    threads: int | None


def quantize(
    arguments: Arguments,
    allow_requantize: AllowRequantize = False,
    leave_output_tensor: LeaveOutputTensor = False,
    pure: Pure = False,
    imatrix: Imatrix = None,
    include_weights: IncludeWeights = None,
    exclude_weights: ExcludeWeights = None,
    output_tensor_type: OutputTensorType = None,
    token_embedding_type: TokenEmbeddingType = None,
    tensor_type: TensorTypes = None,
    tensor_type_file: TensorTypeFile = None,
    prune_layers: PruneLayers = None,
    keep_split: KeepSplit = False,
    override_kv: OverrideKv = None,
    fallback: Fallback = True,
    dry_run: DryRun = False,
    verbose: options.Verbose = False,
) -> None:
    """Write a model with its weights rounded to fewer bits, by one of llama.cpp's recipes."""
    output.start_log(verbose=verbose)
    from pyllama.commands import quantize_options as read
    from pyllama.gguf import GGUFFile
    from pyllama.quantize import QuantizeOptions, make_plan, obstacles

    order = _order(arguments)
    wanted = QuantizeOptions(
        pure=pure,
        keep_output=leave_output_tensor,
        output_type=read.tensor_type(output_tensor_type),
        embedding_type=read.tensor_type(token_embedding_type),
        overrides=read.overrides(tensor_type or (), tensor_type_file),
        importance=read.importance(imatrix, include_weights or (), exclude_weights or ()),
        allow_requantize=allow_requantize,
        allow_fallback=fallback,
        metadata=read.metadata(override_kv or ()),
        prune_layers=read.layers(prune_layers),
        keep_split=keep_split,
    )
    _refuse_without_effect(order, wanted)
    with GGUFFile.open(order.source) as file:
        plan = make_plan(file, order.recipe, wanted)
        if dry_run:
            output.write(views.plan_table(plan))
            views.warn(plan)
            for obstacle in obstacles(plan):
                output.note(f"warning: without --dry-run this would fail: {obstacle}")
        else:
            _write(plan, order)


def _order(arguments: list[str]) -> _Order:
    from pyllama.quantize import parse_recipe

    def known(text: str) -> bool:
        return text.upper() == COPY or parse_recipe(text) is not None

    source, *rest = arguments
    target = None if not rest or known(rest[0]) else Path(rest.pop(0))
    if not rest:
        raise UsageError(f"no TYPE is given; add one of {TYPES}, COPY")
    type, *more = rest
    if not known(type):
        raise UsageError(f"{type!r:.40} is no TYPE; known: {TYPES}, COPY")
    if len(more) > 1 or (more and not (more[0].isdecimal() and 0 < int(more[0]) <= 512)):
        raise UsageError(f"{' '.join(more)!r:.40} is no number of threads from 1 to 512")
    recipe = parse_recipe(type)
    name = COPY if recipe is None else recipe.name
    return _Order(Path(source), target, name, recipe, int(more[0]) if more else None)


def _refuse_without_effect(order: _Order, wanted: QuantizeOptions) -> None:
    """COPY changes no tensor, so that what says how to change them is a mistake."""
    given = {
        "--pure": wanted.pure,
        "--leave-output-tensor": wanted.keep_output,
        "--imatrix": wanted.importance,
        "--output-tensor-type": wanted.output_type,
        "--token-embedding-type": wanted.embedding_type,
    }
    for name, value in given.items():
        if order.recipe is None and value:
            raise UsageError(f"{name} has no effect on COPY; leave it out")


def _write(plan: Plan, order: _Order) -> None:
    from pyllama.cpus import default_threads
    from pyllama.quantize import output_paths, write_plan

    default = order.source.with_name(f"ggml-model-{order.type}.gguf")
    target = order.output or default
    threads = order.threads or default_threads()[0]
    paths = output_paths(plan, target)
    written = write_plan(plan, target, threads)
    output.note(f"quantizing {order.source} to {paths[0]} as {order.type} using {threads} threads")
    views.warn(plan)
    start = perf_counter()
    for done in written:
        output.note(views.progress(done, perf_counter() - start))
    facts = [("file", str(path)) for path in paths]
    facts += [*views.sizes(plan), ("time", f"{perf_counter() - start:.2f} s")]
    output.write(report.facts(facts))
