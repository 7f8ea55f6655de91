"""Cuts a model into several files, or puts them together again; no weight changes.

with GGUFFile.open("model.gguf") as file:
    plan = plan_split(file, Path("part"), Limits(n_bytes=2 * 10**9))
    for tensor in write_shards(plan):      # part-00001-of-00003.gguf, ...
        print(tensor.name)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pyllama.errors import FileError
from pyllama.gguf import Field, GGUFFile, ValueType, split_path
from pyllama.gguf.parts import (
    Limits,
    PartTensor,
    assign_parts,
    check_absent,
    check_sources,
    check_space,
    open_parts,
)
from pyllama.gguf.split import SPLIT_COUNT, SPLIT_NO, SPLIT_TENSORS_COUNT


@dataclass(frozen=True)
class ShardPlan:
    """What is to be written.

    Attributes:
        file: the model.
        paths: the files to be.
        fields: their metadata, without what open_parts adds.
        tensors: with their parts, in order.
    """

    file: GGUFFile
    paths: tuple[Path, ...]
    fields: Mapping[str, Field]
    tensors: tuple[PartTensor, ...]

    @property
    def n_bytes(self) -> int:
        """Size of all tensors."""
        return sum(tensor.n_bytes for tensor in self.tensors)

    def part(self, index: int) -> list[PartTensor]:
        """The tensors of a part, from 0."""
        return [tensor for tensor in self.tensors if tensor.part == index]


def plan_split(file: GGUFFile, prefix: Path, limits: Limits) -> ShardPlan:
    """Cut an open model into ``PREFIX-00001-of-0000N.gguf`` and so on.

    Raises FileError for a model of one part that cannot be cut: it has no tensors.
    """
    if not file.tensors:
        raise FileError(file.path, "has no tensors, so nothing to split")
    infos = list(file.tensors.values())
    parts = assign_parts([info.n_bytes for info in infos], limits, file.alignment)
    count = max(parts) + 1
    fields = {key: field for key, field in file.fields.items() if key not in _SPLIT_KEYS}
    tensors = (PartTensor(t.name, t.shape, t.type, p) for t, p in zip(infos, parts, strict=True))
    paths = tuple(split_path(prefix, index, count) for index in range(count))
    return ShardPlan(file, paths, fields, tuple(tensors))


def plan_merge(file: GGUFFile, output: Path) -> ShardPlan:
    """Put the parts of an open model into one file.

    The keys about its parts stay, with a count of 0, as in llama.cpp. Raises FileError where the
    model is not split.
    """
    if SPLIT_COUNT not in file.fields or len(file.paths) < 2:
        raise FileError(file.path, "is not split", "name the first part of a split model")
    fields = {**file.fields, SPLIT_COUNT: Field(ValueType.UINT16, 0)}
    tensors = (PartTensor(t.name, t.shape, t.type) for t in file.tensors.values())
    return ShardPlan(file, (output,), fields, tuple(tensors))


_SPLIT_KEYS = (SPLIT_NO, SPLIT_COUNT, SPLIT_TENSORS_COUNT)


def write_shards(plan: ShardPlan, *, force: bool = False) -> Iterator[PartTensor]:
    """Write the files while the result, each tensor that is written, is iterated over.

    They all appear at the end, or none does. Raises FileError, before anything is written, where
    one exists (unless ``force``), is read from, or the disk is too small.
    """
    check_sources(plan.paths, plan.file.paths)
    check_absent(plan.paths, force=force)
    check_space(plan.paths[0], sum(path.stat().st_size for path in plan.file.paths))
    return _write(plan)


def _write(plan: ShardPlan) -> Iterator[PartTensor]:
    with open_parts(plan.paths, plan.fields, plan.tensors, plan.file.alignment) as write:
        for tensor in plan.tensors:
            write(tensor.name, plan.file.data(tensor.name))
            yield tensor
