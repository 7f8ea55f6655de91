"""``pyllama split`` and ``pyllama merge``: a model in several files, and in one again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pyllama.commands import options, output, report
from pyllama.commands.split_options import Force, MaxSize, MaxTensors, MetadataFirst, limits

if TYPE_CHECKING:
    from pyllama.shards import ShardPlan

MOST_TENSORS = 128
"""Of a part where no option says anything, as in llama-gguf-split."""

DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show what would be written, and write nothing.")
]


def split(
    model: Annotated[Path, typer.Argument(metavar="MODEL.gguf", show_default=False)],
    prefix: Annotated[
        Path,
        typer.Argument(
            metavar="PREFIX",
            help="The parts are PREFIX-00001-of-0000N.gguf and so on.",
            show_default=False,
        ),
    ],
    split_max_tensors: MaxTensors = None,
    split_max_size: MaxSize = None,
    no_tensor_first_split: MetadataFirst = False,
    dry_run: DryRun = False,
    force: Force = False,
    verbose: options.Verbose = False,
) -> None:
    """Write a model in several files: of 128 tensors each, unless an option says otherwise."""
    output.start_log(verbose=verbose)
    from pyllama.gguf import GGUFFile
    from pyllama.shards import plan_split

    if split_max_tensors is None and split_max_size is None:
        split_max_tensors = MOST_TENSORS
    wanted = limits(split_max_tensors, split_max_size, no_tensor_first_split)
    with GGUFFile.open(model) as file:
        _run(plan_split(file, prefix, wanted), dry_run=dry_run, force=force)


def merge(
    model: Annotated[
        Path,
        typer.Argument(metavar="PART.gguf", help="The first part.", show_default=False),
    ],
    target: Annotated[Path, typer.Argument(metavar="OUT.gguf", show_default=False)],
    delete_splits: Annotated[
        bool, typer.Option("--delete-splits", help="Remove the parts once the result is there.")
    ] = False,
    dry_run: DryRun = False,
    force: Force = False,
    verbose: options.Verbose = False,
) -> None:
    """Put the parts of a split model together into one file."""
    output.start_log(verbose=verbose)
    from pyllama.gguf import GGUFFile
    from pyllama.shards import plan_merge

    with GGUFFile.open(model) as file:
        plan = plan_merge(file, target)
        _run(plan, dry_run=dry_run, force=force)
        parts = file.paths
    if delete_splits and not dry_run:
        for part in parts:
            part.unlink()


def _run(plan: ShardPlan, *, dry_run: bool, force: bool) -> None:
    """Write the files, unless only the plan is wanted; shows it, one line a file."""
    from pyllama.shards import write_shards

    if not dry_run:
        for _ in write_shards(plan, force=force):
            pass
    rows = [
        (str(path), str(len(tensors)), f"{sum(t.n_bytes for t in tensors):,}")
        for path, tensors in ((path, plan.part(i)) for i, path in enumerate(plan.paths))
    ]
    titles = ("file", "tensors", "bytes of tensors")
    output.write(report.table(titles, rows, right=titles[1:]))
