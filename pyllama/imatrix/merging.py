"""Adds importance matrices up, and tells whether they are of the same model."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pyllama.errors import FileError
from pyllama.gguf.wording import quoted
from pyllama.imatrix.imatrix import Entry, Imatrix

DEFAULT_CHUNK_SIZE = 512
"""Tokens of a chunk where nothing says how many."""

_LAYER = re.compile(r"blk\.(\d+)\.")
_SAME = "merge importance matrices of one model"


def merge(target: Path, parts: Sequence[Imatrix], chunk_size: int = 0) -> Imatrix:
    """The sum of several matrices of one model, to be written to ``target``.

    chunk_size: tokens of a chunk, in which the result counts; 0 for that of the first part that
    knows its own.

    Raises FileError, naming both, where parts are of different models.
    """
    sizes = (chunk_size, *(part.chunk_size for part in parts), DEFAULT_CHUNK_SIZE)
    size = next(size for size in sizes if size)
    total: dict[str, Entry] = {}
    for part in parts:
        _check_layers(parts[0], part)
        for name, entry in part.entries.items():
            more = _in_tokens(entry, size) if part.counts_chunks else entry
            total[name] = _sum(name, total[name], more, part) if name in total else more
    most = max(entry.counts.max() for entry in total.values())
    datasets = tuple(name for part in parts for name in part.datasets)
    return Imatrix(target, total, datasets, int(most) // size, size)


def _in_tokens(entry: Entry, chunk_size: int) -> Entry:
    """An entry whose counts are of chunks."""
    return Entry(entry.sums * float(chunk_size), entry.counts * chunk_size)


def _sum(name: str, one: Entry, other: Entry, part: Imatrix) -> Entry:
    matrices = max(len(one.counts), len(other.counts))
    if one.sums.size != other.sums.size or any(
        len(entry.counts) not in (1, matrices) for entry in (one, other)
    ):
        shapes = " and ".join(f"{e.sums.shape[0]} x {e.sums.shape[1]}" for e in (other, one))
        problem = f"{quoted(name)} has {shapes} columns here and in the others"
        raise FileError(part.source, problem, _SAME)
    one, other = (
        entry if len(entry.counts) == matrices else entry.reshaped(matrices)
        for entry in (one, other)
    )
    return one.plus(other)


def _check_layers(first: Imatrix, part: Imatrix) -> None:
    own, others = _layers(part.entries), _layers(first.entries)
    if own != others:
        problem = f"has not the layers of {first.source}: {len(own)}, not {len(others)}"
        raise FileError(part.source, problem, _SAME)


def _layers(names: Iterable[str]) -> set[str]:
    return {match[1] for name in names if (match := _LAYER.match(name))}


def check_fits(imatrix: Imatrix, shapes: Mapping[str, Sequence[int]], model: Path) -> None:
    """Raise FileError that names the first entry that no tensor of the model has the shape for.

    shapes: of the model's tensors by name, in NumPy order.
    """
    for name, entry in imatrix.entries.items():
        shape = shapes.get(name)
        if shape is None:
            problem = f"{model} has no tensor {quoted(name)}"
        else:
            columns = shape[-1] * math.prod(shape[:-2])
            if entry.sums.size == columns:
                continue
            problem = f"{quoted(name)} has {entry.sums.size} columns, in {model} it has {columns}"
        raise FileError(imatrix.source, problem, "name an importance matrix of this model")
