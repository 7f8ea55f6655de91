"""Candidates: texts that differ in what shall be judged, and how likely a model finds that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyllama.errors import CapacityError, PyllamaError
from pyllama.perplexity.measure import Record
from pyllama.scoring import Scorer
from pyllama.session import Session
from pyllama.step import Batch


@dataclass(frozen=True)
class Candidate:
    """A text as tokens; those from ``first`` to before ``last`` are judged."""

    tokens: tuple[int, ...]
    first: int
    last: int


@dataclass(frozen=True)
class Task:
    """Candidates in order, and which of them are right."""

    candidates: tuple[Candidate, ...]
    right: frozenset[int]

    @property
    def n_tokens(self) -> int:
        """Of all candidates."""
        return sum(len(candidate.tokens) for candidate in self.candidates)


def common_prefix(texts: Sequence[Sequence[int]]) -> int:
    """Tokens that all texts begin with, and that are no text's last."""
    shortest = min(map(len, texts))
    for i in range(shortest - 1):
        if len({text[i] for text in texts}) > 1:
            return i
    return max(0, shortest - 1)


def judged_after_prefix(texts: Sequence[Sequence[int]]) -> tuple[Candidate, ...]:
    """Candidates that are judged by all that they do not have in common."""
    first = max(1, common_prefix(texts))
    return tuple(Candidate(tuple(text), first, len(text)) for text in texts)


class CandidateScores:
    """A record for each task: ``log_probs``, the mean of each candidate's judged tokens."""

    def __init__(self, session: Session, tasks: Sequence[Task]) -> None:
        """The session is overwritten; as many candidates as it has sequences go into a step.

        Raises CapacityError for a task that does not fit, PyllamaError for one of too little text.
        """
        self._session, self._scorer, self._tasks = session, Scorer(session), tasks
        for number, task in enumerate(tasks, start=1):
            self._check(number, task)

    @property
    def count(self) -> int:
        """Number of tasks."""
        return len(self._tasks)

    def records(self, start: int) -> Iterator[Record]:
        """Raises PyllamaError for a logit that is no finite number, and what Scorer raises."""
        for tasks in self._groups(start):
            candidates = [candidate for task in tasks for candidate in task.candidates]
            means = iter(self._means(candidates))
            for task in tasks:
                log_probs = np.array([next(means) for _ in task.candidates])
                if not np.isfinite(log_probs).all():
                    raise PyllamaError(f"task {start + 1}: a logit is not a finite number")
                start += 1
                yield {"log_probs": log_probs}

    def _groups(self, start: int) -> Iterator[list[Task]]:
        """Tasks that fit into a step together."""
        group: list[Task] = []
        for task in self._tasks[start:]:
            together = [*group, task]
            is_full = sum(t.n_tokens for t in together) > self._session.ubatch or sum(
                len(t.candidates) for t in together
            ) > len(self._session.lengths)
            if group and is_full:
                yield group
                together = [task]
            group = together
        if group:
            yield group

    def _means(self, candidates: Sequence[Candidate]) -> list[float]:
        inputs = [np.array(c.tokens[: c.last - 1]) for c in candidates]
        lengths = [len(tokens) for tokens in inputs]
        starts = np.cumsum([0, *lengths[:-1]])
        judged = [np.arange(c.first, c.last) for c in candidates]
        batch = Batch(
            np.concatenate(inputs),
            np.concatenate([np.arange(n) for n in lengths]),
            np.repeat(np.arange(len(candidates)), lengths),
            np.concatenate([at + j - 1 for at, j in zip(starts, judged, strict=True)]),
        )
        targets: list[NDArray[np.int64]] = [
            np.array(c.tokens)[j] for c, j in zip(candidates, judged, strict=True)
        ]
        log_probs = self._scorer.score(batch, np.concatenate(targets)).log_probs
        parts = np.split(log_probs, np.cumsum([len(j) for j in judged])[:-1])
        return [float(part.mean()) for part in parts]

    def _check(self, number: int, task: Task) -> None:
        longest = max(len(candidate.tokens) for candidate in task.candidates)
        if longest > self._session.context:
            raise CapacityError(
                f"task {number} takes {longest} tokens, but the context has "
                f"{self._session.context}; give a larger one (-c)"
            )
        if len(task.candidates) > len(self._session.lengths):
            raise CapacityError(f"task {number} has {len(task.candidates)} candidates: too many")
        if not all(0 < c.first < c.last <= len(c.tokens) for c in task.candidates):
            raise PyllamaError(f"task {number} has a candidate without anything to judge")
