"""Writes a planned file: reads, converts and writes it piece by piece."""

from __future__ import annotations

import os
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pyllama.errors import FileError
from pyllama.gguf import Field, GGUFFile, GGUFWriter, TensorInfo, ValueType
from pyllama.gguf.split import SPLIT_COUNT, SPLIT_NO, SPLIT_TENSORS_COUNT, split_path
from pyllama.gguf.types import TensorType
from pyllama.gguf.wording import counted, quoted
from pyllama.quantize.obstacles import obstacles
from pyllama.quantize.plan import Plan, PlannedTensor
from pyllama.quants import FORMATS, Floats, dequantize, quantize

Packed = NDArray[np.uint8]

Encoder = Callable[[Floats, TensorType, Floats | None], Packed]
"""Turns rows, float32 (r, c), into the bytes of blocks, with the importance of columns (c,)."""

PIECE_ELEMENTS = 1 << 18
"""Weights that a thread converts at a time: a tenth of a second, and a few megabytes."""

_HEADROOM = 1 << 20  # bytes for metadata and table, beside what the model's own header takes


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
    if plan.parts == 1:
        return [output]
    prefix = output.with_suffix("") if output.suffix == ".gguf" else output
    return [split_path(prefix, i, plan.parts) for i in range(plan.parts)]


def write_plan(
    plan: Plan, output: Path, threads: int, encode: Encoder = quantize
) -> Iterator[TensorDone]:
    """Make the file while the result is iterated over; it takes its name at the end.

    All parts of a split model do, or none does. Memory holds a few pieces for each thread. Closing
    the iterator early leaves nothing behind. ``encode`` converts pieces; the default is the NumPy
    encoders.

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
    return _write(plan, paths, threads, encode)


def _write(plan: Plan, paths: list[Path], threads: int, encode: Encoder) -> Iterator[TensorDone]:
    with ExitStack() as opened, _pool(threads) as pool:
        writers = [opened.enter_context(GGUFWriter(p, plan.file.alignment)) for p in paths]
        _declare(plan, writers)
        done = 0
        for number, tensor in enumerate(plan.tensors, start=1):
            part = tensor.source.part if plan.parts > 1 else 0
            pieces = _pieces(plan.file, tensor, encode)
            writers[part].write_tensor(tensor.name, _in_order(pool, pieces, 2 * threads))
            done += tensor.source.n_bytes
            yield TensorDone(tensor, number, len(plan.tensors), done, plan.source_bytes)


@contextmanager
def _pool(threads: int) -> Iterator[ThreadPoolExecutor]:
    pool = ThreadPoolExecutor(threads)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _in_order(
    pool: ThreadPoolExecutor, work: Iterable[Callable[[], Packed]], ahead: int
) -> Iterator[Packed]:
    """Results of the work in order, with at most ``ahead`` pieces begun."""
    running: deque[Future[Packed]] = deque()
    for piece in work:
        running.append(pool.submit(piece))
        if len(running) >= ahead:
            yield running.popleft().result()
    while running:
        yield running.popleft().result()


def _pieces(
    file: GGUFFile, tensor: PlannedTensor, encode: Encoder
) -> Iterator[Callable[[], Packed]]:
    """The work of a tensor: pieces of whole rows, each of one matrix."""
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
            part = _Rows(info, start, min(start + step, first + in_matrix), columns)
            yield partial(_convert, file, tensor, part, encode, importance)


@dataclass(frozen=True)
class _Rows:
    """Rows ``start`` to ``end`` of a tensor."""

    info: TensorInfo
    start: int
    end: int
    columns: int

    def of(self, data: Packed) -> Packed:
        """Their bytes."""
        size = self.columns // self.info.type.block_size * self.info.type.block_bytes
        return data[self.start * size : self.end * size]

    def values(self, data: Packed) -> Floats:
        """What they stand for, float32 (rows, columns)."""
        shape = (self.end - self.start, self.columns)
        return dequantize(self.of(data), self.info.type, shape)


def _convert(
    file: GGUFFile, tensor: PlannedTensor, rows: _Rows, encode: Encoder, importance: Floats | None
) -> Packed:
    data = file.data(tensor.source.name)
    if not tensor.converted:
        packed = rows.of(data)
        if not _is_sound(packed, tensor.type):
            _check_finite(file, rows, rows.values(data))
        return packed
    values = rows.values(data)
    _check_finite(file, rows, values)
    packed = encode(values, tensor.type, importance)
    if not _is_sound(packed, tensor.type):
        raise FileError(
            file.paths[rows.info.part],
            f"tensor {quoted(rows.info.name)} has weights beyond the range of {tensor.type.label}",
            "choose a type of larger range for it (--tensor-type)",
        )
    return packed


def _is_sound(packed: Packed, type: TensorType) -> bool:
    """Whether the floats in blocks, scales or the weights themselves, are finite."""
    if type is TensorType.BF16:  # its field is the bits
        return bool(((packed.view("<u2") & 0x7F80) != 0x7F80).all())
    block_format = FORMATS.get(type)
    if block_format is None:
        return True
    blocks = packed.view(block_format.dtype)
    fields = (blocks[name] for name in block_format.dtype.names or ())
    return all(np.isfinite(field).all() for field in fields if field.dtype.kind == "f")


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


def _declare(plan: Plan, writers: list[GGUFWriter]) -> None:
    """Metadata and tensor tables of all parts."""
    for key, field in plan.fields.items():
        writers[0].add(key, field)
    if plan.parts > 1:
        for index, writer in enumerate(writers):
            writer.add(SPLIT_NO, Field(ValueType.UINT16, index))
            writer.add(SPLIT_COUNT, Field(ValueType.UINT16, plan.parts))
            writer.add(SPLIT_TENSORS_COUNT, Field(ValueType.INT32, len(plan.tensors)))
    for tensor in plan.tensors:
        part = tensor.source.part if plan.parts > 1 else 0
        writers[part].add_tensor_info(tensor.name, tensor.source.shape, tensor.type)


def _check_paths(plan: Plan, paths: list[Path]) -> None:
    """Neither the model nor the importance matrix may be replaced, by whatever name."""
    used = list(plan.file.paths)
    if plan.options.importance is not None:
        used.append(plan.options.importance.path)
    for path in paths:
        for source in used:
            if path.exists() and source.exists() and os.path.samefile(path, source):
                raise FileError(path, "is what the output is made from", "name another output")


def _check_space(plan: Plan, path: Path) -> None:
    data = sum(info.n_bytes for info in plan.file.tensors.values())
    padding = plan.file.alignment * len(plan.tensors)
    try:
        header = sum(p.stat().st_size for p in plan.file.paths) - data
        needed = plan.n_bytes + padding + header + _HEADROOM
        free = shutil.disk_usage(path.resolve().parent).free
    except OSError as error:
        raise FileError.from_os_error(path, error) from error
    if free < needed:
        raise FileError(
            path,
            f"needs {needed / 2**20:.0f} MiB, its disk has {free / 2**20:.0f} MiB left",
            "make room or name another disk",
        )
