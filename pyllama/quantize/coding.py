"""How weights are converted: by compiled kernels, or in NumPy, which is slow and says the same."""

from __future__ import annotations

import ctypes
import logging
import threading
from collections.abc import Collection
from functools import cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pyllama import quants
from pyllama.errors import TargetError
from pyllama.gguf.types import TensorType
from pyllama.kernels import target
from pyllama.kernels.decode import NOT_FINITE, decode
from pyllama.kernels.encode import ENCODERS
from pyllama.kernels.encode.encode import encode_blocks, encode_floats
from pyllama.kernels.encode.grid_tables import grid_tables
from pyllama.kernels.encode.lanes import LANES, SCRATCH_BYTES
from pyllama.kernels.encode.weighting import mean_squares
from pyllama.kernels.formats import FORMATS
from pyllama.kernels.jit import Library
from pyllama.kernels.kernel import STEP, Kernel
from pyllama.quants import Floats

log = logging.getLogger(__name__)

Packed = NDArray[np.uint8]

_CALL = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
_FLOATS = (TensorType.F16, TensorType.BF16)


class Coding(Protocol):
    """Converts rows of weights. Any number of threads may use it."""

    def decode(self, data: Packed, type: TensorType, shape: tuple[int, int]) -> tuple[Floats, bool]:
        """The rows stored in ``data`` as float32, and whether all of them are finite."""

    def encode(self, values: Floats, type: TensorType, importance: Floats | None) -> Packed:
        """The bytes of rows, float32 (r, c), with the importance of columns (c,) if any."""


class ReferenceCoding:
    """The meaning, in NumPy."""

    def decode(self, data: Packed, type: TensorType, shape: tuple[int, int]) -> tuple[Floats, bool]:
        """See ``Coding``."""
        values = quants.dequantize(data, type, shape)
        return values, bool(np.isfinite(values).all())

    def encode(self, values: Floats, type: TensorType, importance: Floats | None) -> Packed:
        """See ``Coding``."""
        return quants.quantize(values, type, importance)


class NativeCoding:
    """Compiled kernels; types that there are none for, such as F64, are decoded in NumPy."""

    def __init__(self, library: Library) -> None:
        self._library, self._lock = library, threading.Lock()
        self._reference = ReferenceCoding()

    def load(self, types: Collection[TensorType], sources: Collection[TensorType] = ()) -> None:
        """Compile what encoding to ``types`` and decoding ``sources`` needs, before it begins."""
        kernels = [k for type in types for k in _kernels(type)]
        kernels += [decode(type=type) for type in sources if type in FORMATS]
        with self._lock:
            self._library.load(kernels)

    def decode(self, data: Packed, type: TensorType, shape: tuple[int, int]) -> tuple[Floats, bool]:
        """See ``Coding``."""
        if type not in FORMATS:
            return self._reference.decode(data, type, shape)
        values, largest = np.empty(shape, np.float32), np.zeros(1, np.uint32)
        arguments = {"data": data, "n": values.size, "out": values, "largest": largest}
        self._call(decode(type=type), arguments)
        return values, int(largest[0]) < NOT_FINITE

    def encode(self, values: Floats, type: TensorType, importance: Floats | None) -> Packed:
        """See ``Coding``."""
        values = np.ascontiguousarray(values, np.float32)
        if type is TensorType.F32:
            return values.reshape(-1).view(np.uint8)
        n_blocks = values.size // type.block_size
        out = np.empty(n_blocks * type.block_bytes, np.uint8)
        if type in _FLOATS:
            self._call(encode_floats(type=type), {"values": values, "n": values.size, "out": out})
            return out
        encoder = ENCODERS[type]
        weighted = importance is not None and encoder.takes_importance
        by_rows = weighted and encoder.weighs_by_rows
        arguments = {
            "values": values,
            "n_blocks": n_blocks,
            "task_blocks": n_blocks,
            "out": out,
            "row_blocks": values.shape[-1] // type.block_size,
            "importance": importance if weighted else 0,
            "row_squares": self._mean_squares(values) if by_rows else 0,
            **_grid_arguments(type),
        }
        self._call(encode_blocks(type=type, weighted=weighted), arguments)
        return out

    def _mean_squares(self, values: Floats) -> Floats:
        rows, columns = values.shape
        out = np.empty(rows, np.float32)
        arguments = {"values": values, "rows": rows, "columns": columns, "out": out}
        self._call(mean_squares(), arguments, tasks=-(-rows // LANES))
        return out

    def _call(self, kernel: Kernel, arguments: dict[str, Any], tasks: int = 1) -> None:
        """Run all tasks of a kernel in this thread, without the interpreter's lock."""
        with self._lock:
            function = _CALL(self._library.address(kernel))
        scratch = np.empty(SCRATCH_BYTES, np.uint8)
        places = {"scratch": scratch.ctypes.data, "scratch_stride": SCRATCH_BYTES}
        step = STEP.pack(dict.fromkeys(STEP.fields, 0) | places)
        packed = kernel.arguments.pack({name: _address(v) for name, v in arguments.items()})
        for task in range(tasks):
            function(packed.ctypes.data, step.ctypes.data, task, 0)


def _kernels(type: TensorType) -> list[Kernel]:
    """The kernels that encode a type, with importance and without."""
    if type in _FLOATS:
        return [encode_floats(type=type)]
    if type not in ENCODERS:
        return []
    plain = encode_blocks(type=type, weighted=False)
    if not ENCODERS[type].takes_importance:
        return [plain]
    return [plain, encode_blocks(type=type, weighted=True), mean_squares()]


def _grid_arguments(type: TensorType) -> dict[str, NDArray[Any] | int]:
    key = ENCODERS[type].grid
    if key is None:
        return {"grid_indices": 0, "grid_entries": 0, "grid_neighbours": 0}
    tables = grid_tables(*key)
    return {
        "grid_indices": tables.indices,
        "grid_entries": tables.entries,
        "grid_neighbours": tables.neighbours,
    }


def _address(value: Any) -> int:
    return int(value.ctypes.data) if isinstance(value, np.ndarray) else int(value)


def native_coding(
    types: Collection[TensorType], sources: Collection[TensorType] = (), isa: str | None = None
) -> NativeCoding:
    """Kernels that encode ``types`` and decode ``sources``, of the best instruction set.

    One that does not encode known blocks as NumPy does is passed over with a warning. Raises
    TargetError when ``isa`` names one that this machine does not have, or none is right.
    """
    for candidate in target.candidates(isa):
        coding = NativeCoding(Library(candidate))
        coding.load(types, sources)
        wrong = [type for type in sorted(types) if type in ENCODERS and not _is_right(coding, type)]
        if not wrong:
            return coding
        names = ", ".join(type.label for type in wrong)
        log.warning("%s encodes %s wrongly on this machine: not used", candidate.name, names)
    raise TargetError("no instruction set of this machine encodes rightly")


def _is_right(coding: Coding, type: TensorType) -> bool:
    values, importance = _known_rows(LANES // 2 + 1)
    return all(
        bool((coding.encode(values, type, i) == quants.quantize(values, type, i)).all())
        for i in (None, importance)
    )


@cache
def _known_rows(rows: int, columns: int = 512) -> tuple[Floats, Floats]:
    """Rows of numbers of many sizes, and importance of their columns."""
    places = np.arange(rows * columns, dtype=np.float32).reshape(rows, columns)
    return np.sin(places) * np.cos(places * np.float32(0.37)), 1 + np.sin(places[0])
