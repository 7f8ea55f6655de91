"""Writes a planned file: reads, converts and writes it piece by piece."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from pyllama.errors import FileError
from pyllama.gguf import GGUFFile, TensorInfo
from pyllama.gguf.parts import PartTensor, check_sources, check_space, open_parts, part_files
from pyllama.gguf.wording import counted, quoted
from pyllama.ordered import in_order, thread_pool
from pyllama.quantize.coding import Coding, Packed, native_coding
from pyllama.quantize.obstacles import obstacles
from pyllama.quantize.plan import Plan, PlannedTensor
from pyllama.quants import Floats, dequantize
from pyllama.quants.finite import is_finite

PIECE_ELEMENTS = 1 << 18
"""Weights that a thread converts at a time: a tenth of a second, and a few megabytes."""


@dataclass(frozen=True)
class TensorDone:
    """A tensor was written.

    Attributes:
        tensor: which.
        number: how many are written, of ``count``.
        source_bytes: how much of the model is done, of ``source_total``.
    """

    tensor: PlannedTensor
    number: int
    count: int
    source_bytes: int
    source_total: int


def output_paths(plan: Plan, output: Path) -> list[Path]:
    """The files that writing the plan to ``output`` makes; of a split one it is the prefix."""
    return part_files(output, plan.parts)


def write_plan(
    plan: Plan, output: Path, threads: int, coding: Coding | None = None
) -> Iterator[TensorDone]:
    """Make the file while the result is iterated over; it takes its name at the end.

    All parts of a split model do, or none does. Memory holds a few pieces of a tensor for each
    thread. Closing the iterator early leaves nothing behind. ``coding`` converts pieces; by default
    the kernels of the best instruction set.

    Raises FileError, before anything is written, if the plan has obstacles, the output would
    replace what it is made from or the disk is too small; later, if the model has weights that are
    not finite.
    """
    reasons = obstacles(plan)
    if reasons:
        raise FileError(plan.file.path, reasons[0])
    paths = output_paths(plan, output)
    _check_paths(plan, paths)
    _check_space(plan, paths[0])
    return _write(plan, paths, threads, coding or _native(plan))


def _native(plan: Plan) -> Coding:
    converted = [tensor for tensor in plan.tensors if tensor.converted]
    types = {tensor.type for tensor in converted}
    return native_coding(types, {tensor.source.type for tensor in converted})


def _write(plan: Plan, paths: list[Path], threads: int, coding: Coding) -> Iterator[TensorDone]:
    parts = [
        PartTensor(t.name, t.source.shape, t.type, t.source.part if plan.parts > 1 else 0)
        for t in plan.tensors
    ]
    with (
        open_parts(paths, plan.fields, parts, plan.file.alignment) as write,
        thread_pool(threads) as pool,
    ):
        done = 0
        for number, tensor in enumerate(plan.tensors, start=1):
            write(tensor.name, _converted(plan.file, tensor, coding, pool, 2 * threads))
            done += tensor.source.n_bytes
            yield TensorDone(tensor, number, len(plan.tensors), done, plan.source_bytes)


def _converted(
    file: GGUFFile, tensor: PlannedTensor, coding: Coding, pool: Executor, ahead: int
) -> Iterator[Packed]:
    """The bytes of a tensor, piece by piece; of the model no more than these stays in memory."""
    pieces = list(_pieces(tensor))
    work = (partial(_convert, file, tensor, rows, coding) for rows in pieces)
    for rows, packed in zip(pieces, in_order(pool, work, ahead), strict=True):
        yield packed
        file.release(tensor.source.name, rows.bytes.start, rows.bytes.stop)


def _pieces(tensor: PlannedTensor) -> Iterator[_Rows]:
    """Pieces of whole rows, each of one matrix."""
    info = tensor.source
    columns = info.shape[-1] if info.shape else 1
    rows = info.n_elements // columns if columns else 0
    matrices = 1 if tensor.importance is None else len(tensor.importance)
    in_matrix = rows // matrices
    step = max(1, PIECE_ELEMENTS // max(1, columns))
    for matrix in range(matrices):
        importance = None if tensor.importance is None else tensor.importance[matrix]
        first = matrix * in_matrix
        for start in range(first, first + in_matrix, step):
            yield _Rows(info, start, min(start + step, first + in_matrix), columns, importance)


@dataclass(frozen=True)
class _Rows:
    """Rows ``start`` to ``end`` of a tensor, with the importance of their columns (columns,)."""

    info: TensorInfo
    start: int
    end: int
    columns: int
    importance: Floats | None

    @property
    def bytes(self) -> slice:
        """Where they are in the tensor's data."""
        size = self.columns // self.info.type.block_size * self.info.type.block_bytes
        return slice(self.start * size, self.end * size)

    @property
    def shape(self) -> tuple[int, int]:
        """How many they are, and how long."""
        return self.end - self.start, self.columns


def _convert(file: GGUFFile, tensor: PlannedTensor, rows: _Rows, coding: Coding) -> Packed:
    data = file.data(tensor.source.name)[rows.bytes]
    if not tensor.converted:
        if not is_finite(data, tensor.type):
            _check_finite(file, rows, dequantize(data, tensor.type, rows.shape))
        return data
    values, are_finite = coding.decode(data, rows.info.type, rows.shape)
    if not are_finite:
        _check_finite(file, rows, values)
    packed = coding.encode(values, tensor.type, rows.importance)
    if not is_finite(packed, tensor.type):
        raise FileError(
            file.paths[rows.info.part],
            f"tensor {quoted(rows.info.name)} has weights beyond the range of {tensor.type.label}",
            "choose a type of larger range for it (--tensor-type)",
        )
    return packed


def _check_finite(file: GGUFFile, rows: _Rows, values: Floats) -> None:
    finite = np.isfinite(values)
    if finite.all():
        return
    row, column = np.argwhere(~finite)[0]
    bad = counted(int(finite.size - finite.sum()), "weight")
    raise FileError(
        file.paths[rows.info.part],
        f"tensor {quoted(rows.info.name)} has {bad} infinite or NaN, the first one "
        f"in row {rows.start + int(row)}, column {int(column)}",
        "the model is damaged, get or convert it again",
    )


def _check_paths(plan: Plan, paths: list[Path]) -> None:
    """Neither the model nor the importance matrix may be replaced, by whatever name."""
    importance = plan.options.importance
    check_sources(paths, (*plan.file.paths, *([importance.path] if importance else [])))


def _check_space(plan: Plan, path: Path) -> None:
    data = sum(info.n_bytes for info in plan.file.tensors.values())
    padding = plan.file.alignment * len(plan.tensors)
    try:
        header = sum(p.stat().st_size for p in plan.file.paths) - data
    except OSError as error:
        raise FileError.from_os_error(path, error) from error
    check_space(path, plan.n_bytes + padding + header)
