"""Questions with one right answer, in the binary format of llama.cpp's validation data sets.

Little-endian; a string is a u32 length and so many bytes::

    count      u32
    places     u32 [count]     where each task begins
    tasks      question, a string; then twice, for one and for several right answers:
               u32 n (at most 100), n strings, i32 [n] labels (1: right)
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from os import PathLike

from pyllama.errors import FileError
from pyllama.perplexity.tasks.candidates import Task, judged_after_prefix
from pyllama.perplexity.tasks.selection import drawn_by_floats
from pyllama.tokenizers import Tokenizer

MOST_ANSWERS = 100
_REMEDY = "give a file of multiple-choice tasks as llama.cpp reads them"


def read_multiple_choice(
    data: bytes, path: str | PathLike[str], tokenizer: Tokenizer, count: int
) -> list[Task]:
    """``count`` random tasks, or all in order where it is 0 or more than there are.

    Raises FileError for data of another form.
    """
    reader = _Reader(data, path)
    n_tasks = reader.number()
    if not 0 < n_tasks <= len(data) // 4:
        raise FileError(path, f"{n_tasks} tasks do not fit into {len(data)} bytes", _REMEDY)
    places: Sequence[int] = [reader.number() for _ in range(n_tasks)]
    if 0 < count < n_tasks:
        tasks = []
        for place in drawn_by_floats(places, count):
            reader.at = place
            tasks.append(_task(reader, tokenizer))
        return tasks
    return [_task(reader, tokenizer) for _ in range(n_tasks)]


def _task(reader: _Reader, tokenizer: Tokenizer) -> Task:
    question = reader.text()
    answers, labels = reader.answers()
    reader.answers()  # those with several right ones are not judged
    if not question or not answers or not all(answers):
        raise FileError(reader.path, "a task has no question or an empty answer", _REMEDY)
    texts = [tokenizer.encode(f"{question} {answer}") for answer in answers]
    right = frozenset(i for i, label in enumerate(labels) if label == 1)
    return Task(judged_after_prefix(texts), right)


class _Reader:
    """Reads the parts of a file one after the other."""

    def __init__(self, data: bytes, path: str | PathLike[str]) -> None:
        self._data, self.path, self.at = data, path, 0

    def number(self) -> int:
        """A u32."""
        return int.from_bytes(self._bytes(4), "little")

    def text(self) -> str:
        """A string; bytes that are no UTF-8 become U+FFFD."""
        return self._bytes(self.number()).decode("utf-8", "replace")

    def answers(self) -> tuple[list[str], tuple[int, ...]]:
        """Answers and labels."""
        n = self.number()
        if n > MOST_ANSWERS:
            raise FileError(self.path, f"a task has {n} answers: too many", _REMEDY)
        texts = [self.text() for _ in range(n)]
        return texts, struct.unpack(f"<{n}i", self._bytes(4 * n))

    def _bytes(self, n: int) -> bytes:
        part = self._data[self.at : self.at + n]
        if len(part) < n:
            raise FileError(self.path, "ends in the middle of a task", _REMEDY)
        self.at += n
        return part
