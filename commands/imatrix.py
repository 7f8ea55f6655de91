"""``pyllama imatrix``: how much the columns of a model's weights matter."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pyllama.commands import foreign, output
from pyllama.commands.groups import grouped
from pyllama.commands.imatrix_options import (
    CalibrationOptions,
    CollectionOptions,
    ImatrixMachine,
    OutputOptions,
)
from pyllama.commands.log_options import LogOptions
from pyllama.commands.model_options import ModelOptions, OverrideOptions
from pyllama.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

log = logging.getLogger(__name__)


@grouped(foreign.PERPLEXITY)
def imatrix(
    source: ModelOptions,
    given: CalibrationOptions,
    wanted: CollectionOptions,
    result: OutputOptions,
    machine: ImatrixMachine,
    overrides: OverrideOptions,
    logs: LogOptions,
) -> None:
    """Collect over a text how much each column of a model's weights matters, for quantize.

    Or merge what was collected before, or show how it is distributed.
    """
    del logs  # started already
    if source.cache_list:
        source.list_cached()
    elif machine.list_devices:
        machine.write_devices()
    elif wanted.show_statistics:
        _warn([*given.cuts, *wanted.measures], "with --show-statistics")
        from pyllama.commands.imatrix_views import tables
        from pyllama.imatrix import read_imatrix

        output.write(tables(read_imatrix(wanted.only_file)))
    elif texts := given.read():
        _collect(texts, source, given, wanted, result, machine, overrides)
    else:
        _warn([*given.cuts, *wanted.measures], "without a text")
        _merge(source, wanted, result, machine)


def _warn(names: Sequence[str], circumstance: str) -> None:
    for name in names:
        log.warning("%s has no effect %s", name, circumstance)


def _merge(
    source: ModelOptions, wanted: CollectionOptions, result: OutputOptions, machine: ImatrixMachine
) -> None:
    """Add earlier results up; where a model is named, they must fit it."""
    files = wanted.in_files
    if not files:
        raise UsageError("no text; give -f FILE or -p TEXT, or --in-file FILE to merge")
    from pyllama.commands.imatrix_run import save
    from pyllama.gguf import GGUFFile
    from pyllama.gguf.parts import check_sources
    from pyllama.imatrix import check_fits, merge, read_imatrix

    result.check()
    check_sources([result.output], files)
    parts = [read_imatrix(path) for path in files]
    if not source.is_builtin:
        with GGUFFile.open(source.find()) as file:
            shapes = {name: info.shape for name, info in file.tensors.items()}
            for part in parts:
                check_fits(part, shapes, file.path)
    save(merge(result.output, parts, machine.ctx_size or 0), result.output_format)


def _collect(
    texts: Sequence[tuple[str, bytes]],
    source: ModelOptions,
    given: CalibrationOptions,
    wanted: CollectionOptions,
    result: OutputOptions,
    machine: ImatrixMachine,
    overrides: OverrideOptions,
) -> None:
    """Collect over texts, and add earlier results."""
    from pyllama.commands.imatrix_run import Run
    from pyllama.gguf.parts import check_sources
    from pyllama.imatrix import check_fits, read_imatrix

    path, earlier = source.find(), wanted.in_files
    result.check()
    check_sources([result.output], [path, *given.paths, *earlier])
    parts = [read_imatrix(file) for file in earlier]
    model = overrides.load(path, machine.isa)
    shapes = {weight.name: weight.shape for weight in model.graph.weights()}
    for part in parts:
        check_fits(part, shapes, path)
    Run(model, given, wanted, result, machine).collect(texts, parts)
