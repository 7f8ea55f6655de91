"""WinoGrande (Sakaguchi et al. 2019): which of two words fits the gap of a sentence.

The file is CSV without a header: index, sentence with ``_``, first choice, second choice, 1 or 2.
"""

from __future__ import annotations

import csv
from os import PathLike

from pyllama.errors import FileError
from pyllama.perplexity.tasks.candidates import Candidate, Task, common_prefix
from pyllama.perplexity.tasks.selection import drawn_by_floats
from pyllama.tokenizers import Tokenizer

TRAILING = 3
"""Behind the choices both sentences must have more tokens than this, that they alone be judged."""

_FIELDS = 5
_REMEDY = "a task is a line: index,sentence with _,choice 1,choice 2,1 or 2"


def read_winogrande(
    text: str, path: str | PathLike[str], tokenizer: Tokenizer, count: int
) -> list[Task]:
    """``count`` random tasks, or all in order where it is 0 or more than there are.

    Raises FileError for a text of another form.
    """
    rows = _rows(text, path)
    if 0 < count < len(rows):
        rows = drawn_by_floats(rows, count)
    return [_task(row, tokenizer) for row in rows]


def _rows(text: str, path: str | PathLike[str]) -> list[list[str]]:
    reader = csv.reader(text.splitlines(), strict=True)
    rows = []
    try:
        for row in reader:
            is_task = len(row) == _FIELDS and "_" in row[1] and row[4].strip() in ("1", "2")
            if not is_task:
                raise FileError(path, f"line {reader.line_num} is no task", _REMEDY)
            rows.append(row)
    except csv.Error as error:
        raise FileError(path, f"line {reader.line_num}: {error}", _REMEDY) from error
    if not rows:
        raise FileError(path, "has no tasks", _REMEDY)
    return rows


def _task(row: list[str], tokenizer: Tokenizer) -> Task:
    _, sentence, *choices, answer = row
    before, _, behind = sentence.partition("_")
    texts = [tokenizer.encode(before + choice + behind) for choice in choices]
    prefix = common_prefix(texts)
    firsts = [prefix, prefix]
    if all(len(text) - prefix > TRAILING for text in texts):
        firsts = [len(tokenizer.encode(before + choice)) for choice in choices]
    candidates = (_candidate(*pair) for pair in zip(texts, firsts, strict=True))
    return Task(tuple(candidates), frozenset({int(answer) - 1}))


def _candidate(text: list[int], first: int) -> Candidate:
    """Judged without the last token, usually a full stop, where there is more."""
    first = max(1, min(first, len(text) - 1))
    return Candidate(tuple(text), first, len(text) - (len(text) - first > 1))
