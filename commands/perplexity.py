"""``pyllama perplexity``: how well a model predicts a text."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

from pyllama.commands import foreign, output
from pyllama.commands.groups import grouped
from pyllama.commands.log_options import LogOptions
from pyllama.commands.model_options import ModelOptions, OverrideOptions
from pyllama.commands.perplexity_options import (
    DivergenceOptions,
    PerplexityMachine,
    ResultOptions,
    TaskOptions,
    TextOptions,
    WindowOptions,
)
from pyllama.commands.perplexity_page import Page
from pyllama.commands.status_line import pace, spent
from pyllama.commands.text_options import Format
from pyllama.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyllama.commands.perplexity_jobs import Job, Jobs
    from pyllama.commands.perplexity_views import View
    from pyllama.perplexity.header import Header
    from pyllama.perplexity.measure import Record


@grouped(foreign.PERPLEXITY)
def perplexity(
    source: ModelOptions,
    given: TextOptions,
    cut: WindowOptions,
    divergence: DivergenceOptions,
    tasks: TaskOptions,
    result: ResultOptions,
    machine: PerplexityMachine,
    overrides: OverrideOptions,
    logs: LogOptions,
) -> None:
    """Measure how well a model predicts a text: its perplexity.

    Or how far its predictions are from those of another model, and how many tasks it solves.
    """
    del logs  # started already
    if result.compare is not None:
        from pyllama.commands.perplexity_compare import comparison

        output.write(comparison(*result.compare))
        return
    if source.cache_list:
        source.list_cached()
        return
    if machine.list_devices:
        output.write("Available devices:\n  (none)\n")
        return
    texts = _check(given, cut, divergence, tasks, result)
    path = source.find()
    from pyllama.commands.perplexity_jobs import Jobs

    model = overrides.load(path, machine.isa)
    _Run(Jobs(model, machine, cut, divergence, tasks), result).measure(texts)


def _check(
    given: TextOptions,
    cut: WindowOptions,
    divergence: DivergenceOptions,
    tasks: TaskOptions,
    result: ResultOptions,
) -> list[tuple[str, bytes]]:
    """The texts. Raises UsageError for options that contradict each other or lack something."""
    divergence.check(given, cut)
    tasks.check(cut)
    if tasks.kind is not None and (divergence.saves or divergence.compares):
        raise UsageError(f"--{tasks.kind} and --kl-* measure different things; leave one of them")
    if divergence.saves and result.resume is not None:
        raise UsageError("--resume cannot go on with a file of --kl-divergence-base; leave it out")
    if result.plot is not None:
        from pyllama import picture

        if divergence.compares or tasks.kind is not None:
            raise UsageError("--plot draws perplexities; leave it out")
        picture.check(result.plot)
    if divergence.kl_divergence:  # the base file has the text
        return [("", b"")]
    texts = given.read()
    if not texts:
        raise UsageError("no text; give -f FILE or -p TEXT")
    if divergence.saves and len(texts) > 1:
        raise UsageError("--kl-divergence-base has room for one text; give a single -f")
    return texts


class _Run:
    """Measures texts one after the other, and writes what comes of it."""

    def __init__(self, jobs: Jobs, wanted: ResultOptions) -> None:
        self._jobs, self._wanted = jobs, wanted
        is_text = wanted.output_format is Format.TEXT
        self._page = Page(is_text=is_text, progress=wanted.progress)

    def measure(self, texts: list[tuple[str, bytes]]) -> None:
        """All of them."""
        documents, views = [], []
        for number, (name, data) in enumerate(texts, start=1):
            with self._jobs.job(name, data) as job:
                if len(texts) > 1:
                    output.note(f"perplexity: {name} ({number} of {len(texts)})")
                output.note(_facts(job.header))
                timings = self._work(job, *self._records(job, number))
            documents.append({"header": job.header.fields, **job.view.document(), **timings})
            views.append(job.view)
        self._finish(documents, views)

    def _records(self, job: Job, number: int) -> tuple[Iterator[Record], int]:
        """The records, and how many of them are known already."""
        state = self._wanted.state(number)
        if state is None:
            return job.measurement.records(0), 0
        from pyllama.perplexity.journal import Journal

        journal = Journal(state, job.header.identity, job.fields)
        known = min(len(journal.saved), job.measurement.count)
        if known:
            output.note(f"perplexity: {known} items are known from {state}")
        return journal.records(job.measurement), known

    def _work(self, job: Job, records: Iterator[Record], known: int) -> dict[str, Any]:
        """Measure one; how long that took."""
        from pyllama.interrupt import interruptible

        start = perf_counter()
        try:
            with interruptible(job.abort):
                self._page.write(job.view.head)
                for index, record in enumerate(records, start=1):
                    text = job.view.add(record)
                    if self._page.shows_status:
                        self._page.status(_status(job, index, known, perf_counter() - start))
                    self._page.write(text)
                self._page.write(job.view.foot())
        finally:
            self._page.end()
        return _timings(job, job.measurement.count - known, perf_counter() - start)

    def _finish(self, documents: list[dict[str, Any]], views: list[View]) -> None:
        """The average over texts, the JSON, the picture."""
        from pyllama.commands.perplexity_views import PerplexityView, average_of

        shown = [view.estimates for view in views if isinstance(view, PerplexityView)]
        document: dict[str, Any] = {"runs": documents}
        if len(shown) > 1:
            text, average = average_of([estimates[-1] for estimates in shown])
            document["macro_average"] = average
            self._page.write(text)
        if self._wanted.output_format is Format.JSON:
            from pyllama.commands.report import to_json

            output.write(to_json(document))
        if self._wanted.plot is not None:
            from pyllama.perplexity import plot

            names = [str(document["header"]["text"]) for document in documents]
            plot.draw(list(zip(names, shown, strict=True)), self._wanted.plot)


def _facts(header: Header) -> str:
    """What makes results comparable, in a line."""
    facts: dict[str, Any] = {
        "n_ctx": header.context,
        "stride": header.stride,
        "tokens": header.tokens,
        "bos": "yes" if header.bos else "no",
        "isa": header.isa,
        "cache": header.cache_types,
        "model": header.model_hash[:12],
        "tokenizer": header.tokenizer_hash[:12],
        "text": header.text_hash[:12],
    }
    named = ", ".join(f"{name} = {value}" for name, value in facts.items())
    return f"perplexity: {header.measure} over {header.items} items, {named}"


def _status(job: Job, index: int, known: int, seconds: float) -> str:
    """How far it is after ``index`` items, of which some were known, and how long it will take."""
    count, done = job.measurement.count, index - known
    text = f"perplexity: {index}/{count}, {job.view.so_far}"
    if done <= 0:
        return text
    return f"{text}, {pace(job.n_tokens * done, seconds, seconds / done * (count - index))}"


def _timings(job: Job, items: int, seconds: float) -> dict[str, Any]:
    """What so many items took, as JSON, and in a note."""
    from pyllama.bench.machine import peak_bytes

    tokens, peak = job.n_tokens * items, peak_bytes()
    output.note(f"perplexity: {spent(tokens, seconds, peak)}")
    return {"seconds": seconds, "tokens_per_second": tokens / seconds, "peak_bytes": peak}
