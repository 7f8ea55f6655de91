"""``pyllama convert``: make a GGUF file of a checkpoint from Hugging Face."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from pyllama.commands import convert_views as views
from pyllama.commands import output, report
from pyllama.commands.convert_foreign import CONVERT
from pyllama.commands.convert_options import ResultOptions, SourceOptions, WorkOptions
from pyllama.commands.convert_writing import write
from pyllama.commands.groups import grouped
from pyllama.commands.log_options import LogOptions
from pyllama.errors import UsageError

if TYPE_CHECKING:
    from pyllama.convert import Plan

SHOWN_DIFFERENCES = 3
"""Texts that are tokenized otherwise, of which the first few are shown."""


@grouped(CONVERT)
def convert(
    source: SourceOptions, result: ResultOptions, work: WorkOptions, logs: LogOptions
) -> None:
    """Make a GGUF file of a checkpoint, a directory or a repository of the hub."""
    del logs  # started by `grouped`
    if work.print_supported_models:
        output.write(views.supported_table())
        return
    _refuse_contradictions(result, work)
    from pyllama.convert import make_plan, output_files

    wanted = result.read()
    folder, is_of_hub = source.find()
    plan = make_plan(folder, wanted)
    path = result.path(plan, Path() if is_of_hub else folder)
    for warning in plan.warnings:
        output.note(f"warning: {report.printable(warning)}")
    paths = output_files(plan, path)
    if work.dry_run:
        output.write(views.plan_table(plan) + report.facts(views.facts(plan, paths)))
        return
    start = perf_counter()
    plan = plan.loaded() if work.no_lazy else plan
    write(plan, path, threads=work.threads, force=work.force)
    facts = views.facts(plan, paths)
    facts.append(("time", f"{perf_counter() - start:.2f} s"))
    facts += _check(paths[0], plan, folder, work)
    output.write(report.facts(facts))


def _refuse_contradictions(result: ResultOptions, work: WorkOptions) -> None:
    if work.dry_run and work.verify:
        raise UsageError("--dry-run makes no file to --verify; leave one of them out")
    if work.trust_remote_code and not work.verify:
        raise UsageError("--trust-remote-code has no effect without --verify; leave it out")
    if result.vocab_only and work.no_lazy:
        raise UsageError("--vocab-only reads no weights; leave --no-lazy out")


def _check(path: Path, plan: Plan, folder: Path, work: WorkOptions) -> list[tuple[str, str]]:
    """What reading the file again shows; differences of the tokenizer are warnings."""
    from pyllama.convert.verify import tokenizer_differences, verify

    if plan.vocabulary is not None:
        differences = tokenizer_differences(path, plan.vocabulary)
        for difference in differences[:SHOWN_DIFFERENCES]:
            output.note(f"warning: tokenized otherwise: {report.printable(str(difference))}")
        if len(differences) > SHOWN_DIFFERENCES:
            output.note(f"warning: {len(differences)} texts of the test are tokenized otherwise")
    if not work.verify:
        return []
    found = verify(path, plan, folder, trust_remote_code=work.trust_remote_code)
    return views.verified(found)
