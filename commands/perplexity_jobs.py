"""What ``pyllama perplexity`` shall measure, made of its options."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pyllama.commands.perplexity_divergence import DivergenceView
from pyllama.commands.perplexity_options import (
    DivergenceOptions,
    PerplexityMachine,
    TaskOptions,
    WindowOptions,
)
from pyllama.commands.perplexity_tasks import HellaswagView, MultipleChoiceView, WinograndeView
from pyllama.commands.perplexity_views import PerplexityView, View
from pyllama.commands.prompt import decode
from pyllama.errors import PyllamaError
from pyllama.perplexity.base_file import BaseFile, write_base
from pyllama.perplexity.divergence import (
    FIELDS,
    Base,
    Divergences,
    ReferenceBase,
    SavedBase,
    SavingPerplexity,
    check_base,
)
from pyllama.perplexity.header import Header, Source, describe, tokenizer_hash
from pyllama.perplexity.measure import Measurement, Perplexity
from pyllama.perplexity.tasks import (
    CandidateScores,
    Task,
    read_hellaswag,
    read_multiple_choice,
    read_winogrande,
)
from pyllama.perplexity.windows import Tokens, Windows

if TYPE_CHECKING:
    from pyllama.model import Model
    from pyllama.session import Session

SEQUENCES = 32
"""Candidates of tasks that are evaluated side by side, at most, unless a task has more."""


@dataclass(frozen=True)
class Job:
    """A measurement: its circumstances, the arrays of a record, and how it is shown.

    ``n_tokens``: evaluated for an item, on average.
    """

    header: Header
    measurement: Measurement
    fields: tuple[str, ...]
    view: View
    n_tokens: float
    abort: Callable[[], None]


@dataclass(frozen=True)
class Jobs:
    """Makes jobs for a model."""

    model: Model
    machine: PerplexityMachine
    cut: WindowOptions
    divergence: DivergenceOptions
    tasks: TaskOptions

    @contextmanager
    def job(self, name: str, data: bytes) -> Iterator[Job]:
        """The job for a text; files that it writes are finished when the block ends well.

        Raises what reading the text and opening sessions raises.
        """
        kind = self.tasks.kind
        if kind is not None:
            yield self._tasks(kind, name, data)
        elif self.divergence.kl_divergence:
            yield self._saved_divergence()
        else:
            tokens = self._tokens(name, data)
            source, windows = Source.of(name, data), self._windows(tokens)
            if self.divergence.kl_divergence_base is not None:
                with self._saving(source, windows, len(tokens)) as job:
                    yield job
            elif self.divergence.kl_reference is not None:
                yield self._reference_divergence(source, windows, len(tokens))
            else:
                session = self._session(windows)
                measurement = Perplexity(session, windows)
                yield self._perplexity(source, windows, len(tokens), session, measurement)

    def _tokens(self, name: str, data: bytes) -> Tokens:
        return np.array(self.model.tokenizer.encode(decode(data, name)), np.int32)

    def _windows(self, tokens: Tokens) -> Windows:
        size = self.machine.context
        if self.cut.ppl_stride:
            return Windows.strided(tokens, size, self.cut.ppl_stride, self.cut.chunks)
        return Windows.chunks(tokens, size, self._bos, self.cut.chunks)

    @property
    def _bos(self) -> int | None:
        tokenizer = self.model.tokenizer
        return tokenizer.bos if tokenizer.add_bos else None

    def _session(self, windows: Windows) -> Session:
        fitting = min(self.machine.ubatch_size, self.machine.batch_size) // (windows.size - 1)
        sequences = max(1, min(fitting, windows.count))
        return self.machine.open(self.model, context=windows.size, sequences=sequences)

    def _perplexity(
        self,
        source: Source,
        windows: Windows,
        n_tokens: int,
        session: Session,
        measurement: Measurement,
    ) -> Job:
        header = describe(
            "perplexity", session, source, tokens=n_tokens, items=windows.count, windows=windows
        )
        view = PerplexityView(windows, as_table=bool(self.cut.ppl_output_type))
        return Job(header, measurement, ("nll",), view, windows.size, session.abort)

    @contextmanager
    def _saving(self, source: Source, windows: Windows, n_tokens: int) -> Iterator[Job]:
        assert self.divergence.kl_divergence_base is not None
        session = self._session(windows)
        with write_base(self.divergence.kl_divergence_base, windows, self.model.n_vocab) as writer:
            measurement = SavingPerplexity(session, windows, writer)
            yield self._perplexity(source, windows, n_tokens, session, measurement)

    def _saved_divergence(self) -> Job:
        assert self.divergence.kl_divergence_base is not None
        file = BaseFile.open(self.divergence.kl_divergence_base)
        check_base(file, self.model.n_vocab)
        windows = Windows.saved(file.tokens, file.n_ctx, self._bos, self.cut.chunks)
        source = Source.of(file.path.name, file.tokens.tobytes())
        session = self._session(windows)
        base = SavedBase(file, windows)
        return self._divergence(session, source, windows, len(file.tokens), base, source)

    def _reference_divergence(self, source: Source, windows: Windows, n_tokens: int) -> Job:
        from pyllama.model import Model

        assert self.divergence.kl_reference is not None
        reference = Model.load(self.divergence.kl_reference, isa=self.machine.isa)
        if tokenizer_hash(reference.metadata) != tokenizer_hash(self.model.metadata):
            raise PyllamaError(
                f"{reference.path} and {self.model.path} have different tokenizers; compare models "
                "of one family"
            )
        session, other = self._session(windows), self.machine.open(reference, context=windows.size)

        def abort() -> None:
            session.abort()
            other.abort()

        base = ReferenceBase(other, windows)
        about = Source(reference.path.name, reference.fingerprint.hex())
        return self._divergence(session, source, windows, n_tokens, base, about, abort)

    def _divergence(
        self,
        session: Session,
        source: Source,
        windows: Windows,
        n_tokens: int,
        base: Base,
        about: Source,
        abort: Callable[[], None] | None = None,
    ) -> Job:
        header = describe(
            "kl-divergence",
            session,
            source,
            tokens=n_tokens,
            items=windows.count,
            windows=windows,
            base=about,
        )
        measurement = Divergences(session, windows, base)
        view = DivergenceView()
        return Job(header, measurement, FIELDS, view, windows.size, abort or session.abort)

    def _tasks(self, kind: str, name: str, data: bytes) -> Job:
        tasks, view = self._read_tasks(kind, name, data)
        most = max(len(task.candidates) for task in tasks)
        longest = max(len(c.tokens) for task in tasks for c in task.candidates)
        context = min(longest, self.machine.context)
        session = self.machine.open(self.model, context=context, sequences=max(most, SEQUENCES))
        n_tokens = sum(task.n_tokens for task in tasks)
        header = describe(kind, session, Source.of(name, data), tokens=n_tokens, items=len(tasks))
        measurement = CandidateScores(session, tasks)
        each = n_tokens / len(tasks)
        return Job(header, measurement, ("log_probs",), view, each, session.abort)

    def _read_tasks(self, kind: str, name: str, data: bytes) -> tuple[list[Task], View]:
        tokenizer, wanted = self.model.tokenizer, self.tasks
        if kind == "multiple-choice":
            tasks = read_multiple_choice(data, name, tokenizer, wanted.multiple_choice_tasks)
            return tasks, MultipleChoiceView(tasks)
        text = decode(data, name)
        if kind == "winogrande":
            tasks = read_winogrande(text, name, tokenizer, wanted.winogrande_tasks)
            return tasks, WinograndeView(tasks)
        tasks = read_hellaswag(text, name, tokenizer, wanted.hellaswag_tasks)
        return tasks, HellaswagView(tasks)
