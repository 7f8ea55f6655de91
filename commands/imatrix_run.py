"""A run of ``pyllama imatrix`` over texts: what it shows, and when it writes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from pyllama.bench.machine import peak_bytes
from pyllama.commands import output
from pyllama.commands.imatrix_options import (
    CalibrationOptions,
    CollectionOptions,
    ImatrixMachine,
    OutputOptions,
)
from pyllama.commands.imatrix_views import experts
from pyllama.commands.perplexity_page import Page
from pyllama.commands.perplexity_views import PerplexityView
from pyllama.commands.prompt import decode
from pyllama.commands.status_line import pace, spent
from pyllama.errors import PyllamaError
from pyllama.imatrix import Format, Imatrix, merge, write_imatrix
from pyllama.imatrix.collecting import Collector
from pyllama.interrupt import interruptible
from pyllama.perplexity.windows import Windows

if TYPE_CHECKING:
    from pyllama.model import Model
    from pyllama.session import Session

log = logging.getLogger(__name__)

COMMAND_LINE = "-p"
"""What a text is called that is no file: it is not named in the result."""


class Run:
    """Collects as the options say."""

    def __init__(
        self,
        model: Model,
        given: CalibrationOptions,
        wanted: CollectionOptions,
        result: OutputOptions,
        machine: ImatrixMachine,
    ) -> None:
        self._model, self._given, self._wanted = model, given, wanted
        self._result, self._machine = result, machine
        self._size = machine.context

    def collect(self, texts: Sequence[tuple[str, bytes]], earlier: Sequence[Imatrix]) -> None:
        """Collect over all texts, write the sum of that and earlier results."""
        parts = [self._windows(name, data) for name, data in texts]
        session = self._session(max(part.count for part in parts))
        collector = Collector(session, scores=self._wanted.ppl, output=self._wanted.process_output)
        if self._wanted.process_output and not collector.with_output:
            log.warning("--process-output has no effect: the embeddings serve as output matrix")
        names = tuple(name for name, _ in texts if name != COMMAND_LINE)
        target = self._result.output

        def so_far() -> Imatrix:
            collected = collector.imatrix(target, names, self._size)
            return merge(target, [*earlier, collected], self._size)

        count = sum(part.count for part in parts)
        isa = self._model.library.isa.name
        output.note(f"imatrix: computing over {count} chunks, n_ctx = {self._size}, isa = {isa}")
        start = perf_counter()
        with interruptible(session.abort):
            self._work(collector, parts, so_far)
            save(so_far(), self._result.output_format)
        seconds = perf_counter() - start
        output.note(f"imatrix: {spent(count * self._size, seconds, peak_bytes())}")

    def _windows(self, name: str, data: bytes) -> Windows:
        tokenizer, given = self._model.tokenizer, self._given
        ids = tokenizer.encode(decode(data, name), parse_special=given.parse_special)
        left = ids[given.from_chunk * self._size :]
        if given.from_chunk and len(left) < 2 * self._size:
            raise PyllamaError(
                f"{name} has {len(ids)} tokens: less than two chunks of {self._size} behind the "
                f"first {given.from_chunk}; leave fewer of them out (--chunk)"
            )
        bos = tokenizer.bos if tokenizer.add_bos else None
        return Windows.chunks(np.array(left, np.int32), self._size, bos, given.chunks)

    def _session(self, most: int) -> Session:
        """With as many sequences as fit into a step, and ``most`` at most."""
        fitting = min(self._machine.ubatch_size, self._machine.batch_size) // self._size
        sequences = max(1, min(fitting, most))
        return self._machine.open(self._model, context=self._size, sequences=sequences)

    def _work(
        self, collector: Collector, parts: Sequence[Windows], so_far: Callable[[], Imatrix]
    ) -> None:
        page, view = Page(is_text=True, progress=None), PerplexityView(parts[0], as_table=False)
        count, start = sum(part.count for part in parts), perf_counter()
        try:
            for records in (step for part in parts for step in collector.steps(part)):
                done, seconds = collector.chunks, perf_counter() - start
                for record in records if self._wanted.ppl else ():
                    page.write(view.add(record))
                estimate = f"{view.so_far}, " if self._wanted.ppl else ""
                speed = pace(done * self._size, seconds, seconds / done * (count - done))
                page.status(f"imatrix: {done}/{count}, {estimate}{speed}")
                self._save_between(done - len(records), done, so_far)
            if self._wanted.ppl:
                page.write(view.foot())
        finally:
            page.end()

    def _save_between(self, before: int, done: int, so_far: Callable[[], Imatrix]) -> None:
        """Write what there is when the number of chunks has passed a multiple of what is asked."""
        result = self._result
        if _passed(result.output_frequency, before, done):
            write_imatrix(so_far(), result.output_format)
        if _passed(result.save_frequency, before, done):
            kept = result.output.with_name(f"{result.output.name}.at_{done}")
            write_imatrix(replace(so_far(), source=kept), result.output_format)


def save(imatrix: Imatrix, format: Format) -> None:
    """Write the result, and say what it is."""
    write_imatrix(imatrix, format)
    for line in experts(imatrix):
        output.note(f"imatrix: {line}")
    output.note(
        f"imatrix: stored the data of {imatrix.chunks} chunks for {len(imatrix.entries)} tensors "
        f"in {imatrix.source}"
    )


def _passed(every: int, before: int, done: int) -> bool:
    return every > 0 and done // every > before // every
