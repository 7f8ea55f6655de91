"""``pyllama bench``: how fast models run."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pyllama.commands import output
from pyllama.commands.bench_foreign import BENCH
from pyllama.commands.bench_options import BenchModels, BenchOutput, BenchTests, Format
from pyllama.commands.groups import grouped
from pyllama.commands.log_options import LogOptions

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyllama.bench import Benchmark, BenchmarkPlan, Result
    from pyllama.commands.bench_formats import Formatter


@grouped(BENCH)
def bench(models: BenchModels, tests: BenchTests, shown: BenchOutput, logs: LogOptions) -> None:
    """Measure prompt processing (pp) and generation (tg) in tokens a second.

    Options that take a list measure every combination: 16,32 or 16-64+16 or 16-512*2, and they can
    be repeated. Tokens are random; neither tokenizing nor sampling is timed.
    """
    del logs  # started already
    if shown.list_devices:
        output.write("Available devices:\n  (none)\n")
        return
    if shown.compare is not None:
        from pyllama.commands.bench_compare import comparison

        output.write(comparison(*shown.compare))
        return
    from pyllama.bench import Benchmark

    if shown.plot is not None:
        from pyllama import picture

        picture.check(shown.plot)
    results = _run(Benchmark(tests.plan(models.find())), shown)
    if shown.plot is not None:
        from pyllama.bench import plot

        plot.draw(results, shown.plot)


def _run(benchmark: Benchmark, shown: BenchOutput) -> list[Result]:
    """Write the results as they come."""
    from pyllama.bench import Finished
    from pyllama.commands.bench_progress import Progress
    from pyllama.interrupt import interruptible

    writers = [_Writer(_formatter(shown.format, benchmark.plan), output.write)]
    if shown.format_err is not None:
        writers.append(_Writer(_formatter(shown.format_err, benchmark.plan), _write_err))
    progress = Progress(benchmark, shown.progress)
    results = []
    try:
        with interruptible(benchmark.abort):
            for event in benchmark:
                progress.show(event)
                if isinstance(event, Finished):
                    progress.clear()
                    results.append(event.result)
                    for writer in writers:
                        writer.add(event.result)
    finally:
        progress.clear()
        for writer in writers:
            writer.end()
    return results


class _Writer:
    """Writes a format; what began is brought to an end also where a test fails."""

    def __init__(self, formatter: Formatter, write: Callable[[str], None]) -> None:
        self._formatter, self._write = formatter, write
        self._began = False

    def add(self, result: Result) -> None:
        """Write a result, and before the first what comes first."""
        head = "" if self._began else self._formatter.header()
        self._began = True
        self._write(head + self._formatter.row(result))

    def end(self) -> None:
        """Write what comes last, if there was a first."""
        if self._began:
            self._write(self._formatter.footer())


def _write_err(text: str) -> None:
    if sys.stderr is not None:
        sys.stderr.write(text)
        sys.stderr.flush()


def _formatter(format: Format, plan: BenchmarkPlan) -> Formatter:
    from pyllama.commands import bench_formats
    from pyllama.commands.bench_table import Markdown

    plain: dict[Format, Callable[[], Formatter]] = {
        Format.CSV: bench_formats.Csv,
        Format.JSON: bench_formats.Json,
        Format.JSONL: bench_formats.JsonLines,
        Format.SQL: bench_formats.Sql,
    }
    return plain[format]() if format in plain else Markdown(plan)
