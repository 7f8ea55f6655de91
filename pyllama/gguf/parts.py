"""Writes a model to one file or to several, which all appear or none of them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyllama.errors import FileError
from pyllama.gguf.fields import Field
from pyllama.gguf.split import SPLIT_COUNT, SPLIT_NO, SPLIT_TENSORS_COUNT, split_path
from pyllama.gguf.tensors import padded, tensor_bytes
from pyllama.gguf.types import DEFAULT_ALIGNMENT, TensorType, ValueType
from pyllama.gguf.writer import Bytes, GGUFWriter

_HEADROOM = 1 << 20
"""Bytes for metadata and table, beside what is known of them."""


@dataclass(frozen=True)
class PartTensor:
    """A tensor to be written: name, shape in NumPy's order, type, and in which part, from 0."""

    name: str
    shape: tuple[int, ...]
    type: TensorType
    part: int = 0

    @property
    def n_bytes(self) -> int:
        """Size of its data, without padding."""
        return tensor_bytes(self.shape, self.type)


@dataclass(frozen=True)
class Limits:
    """How large a part may be: in bytes of tensors, and in tensors; None for no limit."""

    n_bytes: int | None = None
    tensors: int | None = None
    metadata_alone: bool = False
    """The first part has no tensors."""

    @property
    def splits(self) -> bool:
        """Whether there are limits at all."""
        return self != Limits()


Write = Callable[[str, Bytes | Iterable[Bytes]], None]
"""Writes the data of a tensor; in the order of the declaration within each part."""


def assign_parts(sizes: Iterable[int], limits: Limits, alignment: int) -> list[int]:
    """The part of each tensor: the next one begins where the next tensor would be too much."""
    part = 1 if limits.metadata_alone else 0
    total = count = 0
    parts = []
    for size in sizes:
        size = padded(size, alignment)
        too_large = limits.n_bytes is not None and total + size > limits.n_bytes
        too_many = limits.tensors is not None and count >= limits.tensors
        if count and (too_large or too_many):
            part, total, count = part + 1, 0, 0
        total, count = total + size, count + 1
        parts.append(part)
    return parts


def part_files(output: Path, count: int) -> list[Path]:
    """The files of a model in ``count`` parts; of more than one, ``output`` is the prefix."""
    if count == 1:
        return [output]
    prefix = output.with_suffix("") if output.suffix == ".gguf" else output
    return [split_path(prefix, i, count) for i in range(count)]


@contextmanager
def open_parts(
    paths: Sequence[Path],
    fields: Mapping[str, Any],
    tensors: Sequence[PartTensor],
    alignment: int = DEFAULT_ALIGNMENT,
) -> Iterator[Write]:
    """Write a model to ``paths``: metadata to the first one, tensors to their parts.

    The files take their names at the clean end of the block; before that, nothing is to be seen of
    them, and any exception removes them. Raises FileError as ``GGUFWriter`` does.
    """
    with ExitStack() as opened:
        writers = [opened.enter_context(GGUFWriter(path, alignment)) for path in paths]
        for key, value in fields.items():
            writers[0].add(key, value)
        for index, writer in enumerate(writers if len(writers) > 1 else ()):
            writer.add(SPLIT_NO, Field(ValueType.UINT16, index))
            writer.add(SPLIT_COUNT, Field(ValueType.UINT16, len(writers)))
            writer.add(SPLIT_TENSORS_COUNT, Field(ValueType.INT32, len(tensors)))
        for tensor in tensors:
            writers[tensor.part].add_tensor_info(tensor.name, tensor.shape, tensor.type)
        parts = {tensor.name: tensor.part for tensor in tensors}
        yield lambda name, data: writers[parts[name]].write_tensor(name, data)


def check_sources(paths: Iterable[Path], sources: Iterable[Path]) -> None:
    """Raise FileError where a file to be written is one that is read, by whatever name."""
    read = [source for source in sources if source.exists()]
    for path in paths:
        if path.exists() and any(os.path.samefile(path, source) for source in read):
            raise FileError(path, "is what the output is made from", "name another output")


def check_absent(paths: Iterable[Path], *, force: bool) -> None:
    """Raise FileError where a file to be written exists, unless it may be replaced."""
    for path in paths:
        if path.exists() and not force:
            raise FileError(path, "exists", "name another output, or replace it with --force")


def check_space(path: Path, n_bytes: int) -> None:
    """Raise FileError where the disk of ``path`` has no room for ``n_bytes`` and a header."""
    needed = n_bytes + _HEADROOM
    try:
        free = shutil.disk_usage(path.resolve().parent).free
    except OSError as error:
        raise FileError.from_os_error(path, error) from error
    if free < needed:
        raise FileError(
            path,
            f"needs {needed / 2**20:.0f} MiB, its disk has {free / 2**20:.0f} MiB left",
            "make room or name another disk",
        )
