"""Writes a planned file: reads, converts and writes it piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from pyllama.convert.plan import Plan, PlannedTensor
from pyllama.convert.tensor import Array, to_floats
from pyllama.errors import ConversionError
from pyllama.gguf.parts import check_absent, check_sources, check_space, open_parts, part_files
from pyllama.gguf.types import DEFAULT_ALIGNMENT
from pyllama.gguf.wording import counted, quoted
from pyllama.ordered import in_order, thread_pool
from pyllama.quantize.coding import Coding, Packed, native_coding
from pyllama.quants import Floats
from pyllama.quants.finite import is_finite

PIECE_ELEMENTS = 1 << 18
"""Weights that a thread converts at a time: a megabyte in float32, which stays in its cache."""

_METADATA_BYTES = 1 << 26
"""Room for the vocabulary: those of the largest have some 20 MB."""


@dataclass(frozen=True)
class TensorDone:
    """A tensor was written.

    Attributes:
        tensor: which.
        number: how many are written, of ``count``.
        n_bytes: how much is written, of ``total``.
    """

    tensor: PlannedTensor
    number: int
    count: int
    n_bytes: int
    total: int


def output_files(plan: Plan, output: Path) -> list[Path]:
    """The files that writing the plan to ``output`` makes; of several it is the prefix."""
    return part_files(output, plan.parts)


def write_plan(
    plan: Plan, output: Path, threads: int, *, force: bool = False, coding: Coding | None = None
) -> Iterator[TensorDone]:
    """Make the file while the result is iterated over; it takes its name at the end.

    All parts of a split model do, or none does. Memory holds a few pieces for each thread, and of
    a tensor that is rearranged all of it. Closing the iterator early leaves nothing behind.
    ``coding`` converts pieces; by default the kernels of the best instruction set.

    Raises FileError, before anything is written, where the output exists (unless ``force``), is
    read from, or the disk is too small; ConversionError, later, where a weight is not finite, or
    beyond the range of the type that it is to have.
    """
    paths = output_files(plan, output)
    check_sources(paths, plan.checkpoint.files if plan.checkpoint else ())
    check_absent(paths, force=force)
    check_space(paths[0], plan.n_bytes + DEFAULT_ALIGNMENT * len(plan.tensors) + _METADATA_BYTES)
    return _write(plan, paths, threads, coding or _native(plan))


def _native(plan: Plan) -> Coding:
    converted = [tensor for tensor in plan.tensors if tensor.type is not tensor.source.type]
    types = {tensor.type for tensor in converted}
    return native_coding(types, {tensor.source.type for tensor in converted})


def _write(plan: Plan, paths: list[Path], threads: int, coding: Coding) -> Iterator[TensorDone]:
    total, done = plan.n_bytes, 0
    with (
        open_parts(paths, plan.fields, plan.part_tensors) as write,
        thread_pool(threads) as pool,
    ):
        for number, tensor in enumerate(plan.tensors, start=1):
            write(tensor.name, in_order(pool, _pieces(tensor, coding), 2 * threads))
            done += tensor.n_bytes
            yield TensorDone(tensor, number, len(plan.tensors), done, total)


def _pieces(tensor: PlannedTensor, coding: Coding) -> Iterator[Callable[[], Packed]]:
    """The work of a tensor: pieces of whole rows."""
    for piece in tensor.source.pieces():
        columns = piece.shape[-1] if piece.ndim else 1
        rows = piece.reshape(-1, max(1, columns))
        step = max(1, PIECE_ELEMENTS // max(1, columns))
        for start in range(0, len(rows), step):
            yield partial(_convert, tensor, rows[start : start + step], coding)


def _convert(tensor: PlannedTensor, rows: Array, coding: Coding) -> Packed:
    """The bytes of rows, a matrix as the tensor is stored."""
    source = tensor.source
    data: Packed = np.ascontiguousarray(rows).reshape(-1).view(np.uint8)
    if tensor.type is source.type:
        if not is_finite(data, source.type):
            raise _not_finite(tensor, to_floats(rows, source.type))
        return data
    values, are_finite = coding.decode(data, source.type, (len(rows), rows.shape[-1]))
    packed = coding.encode(values, tensor.type, None)
    if not are_finite or not is_finite(packed, tensor.type):
        raise _not_finite(tensor, values)
    return packed


def _not_finite(tensor: PlannedTensor, values: Floats) -> ConversionError:
    what = f"the tensor {quoted(tensor.source.name)} (in the file {tensor.name})"
    bad = int(values.size - np.isfinite(values).sum())
    if bad:
        problem = f"has {counted(bad, 'weight')} infinite or NaN"
        return ConversionError(what, problem, "the checkpoint is damaged, get it again")
    problem = f"has weights beyond the range of {tensor.type.label}"
    return ConversionError(what, problem, "choose --outtype bf16 or f32")
