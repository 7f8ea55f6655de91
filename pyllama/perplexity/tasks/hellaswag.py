"""HellaSwag (Zellers et al. 2019): which of four endings continues a text.

The file has six lines a task: the text, the number of the right ending from 0, the four endings.
"""

from __future__ import annotations

import math
from os import PathLike

from pyllama.errors import FileError
from pyllama.perplexity.tasks.candidates import Task, judged_after_prefix
from pyllama.perplexity.tasks.selection import drawn_by_integers
from pyllama.tokenizers import Tokenizer

LINES, ENDINGS = 6, 4
_REMEDY = "a task is six lines: context, number of the right ending from 0 to 3, four endings"
_Z = 1.95996398454
"""Standard deviations that hold 95 % of a normal distribution."""


def read_hellaswag(
    text: str, path: str | PathLike[str], tokenizer: Tokenizer, count: int
) -> list[Task]:
    """``count`` random tasks. Raises FileError for a text of another form."""
    lines = text.removesuffix("\n").split("\n")
    if len(lines) % LINES:
        raise FileError(path, f"has {len(lines)} lines, no multiple of {LINES}", _REMEDY)
    starts = drawn_by_integers(range(0, len(lines), LINES), count)
    return [_task(lines, start, path, tokenizer) for start in starts]


def _task(lines: list[str], start: int, path: str | PathLike[str], tokenizer: Tokenizer) -> Task:
    context, label, *endings = lines[start : start + LINES]
    if label.strip() not in map(str, range(ENDINGS)):
        raise FileError(path, f"line {start + 2} is {label!r:.40}", _REMEDY)
    texts = [tokenizer.encode(f"{context} {ending}") for ending in endings]
    return Task(judged_after_prefix(texts), frozenset({int(label)}))


def wilson_interval(right: int, count: int) -> tuple[float, float]:
    """The 95 % confidence interval of a share (Wilson 1927)."""
    share, z = right / count, _Z * _Z / count
    half = z * math.sqrt(count * (4 * share * (1 - share) + z)) / (2 * _Z)
    return (share + z / 2 - half) / (1 + z), (share + z / 2 + half) / (1 + z)
