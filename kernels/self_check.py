"""Runs the kernels of an instruction set once on known blocks before a model relies on them.

A virtual machine or an emulator may announce what it does not do right.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from pyllama import quants
from pyllama.gguf.types import TensorType
from pyllama.kernels.activation import quantize_meaning, record_bytes
from pyllama.kernels.formats import FORMATS, QuantizedFormat
from pyllama.kernels.jit import Library
from pyllama.kernels.kernel import STEP, Kernel
from pyllama.kernels.matvec import matvec
from pyllama.kernels.orders import Order

WIDTH = 768
"""Whole blocks of every format, and no whole spans of some orders of activations."""

TOLERANCE = 2e-5

_CALL = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)


def wrong_types(library: Library, types: Iterable[TensorType]) -> list[TensorType]:
    """The types whose decode matmul does not compute what the format means."""
    chosen = sorted(set(types))
    library.load(_kernel(type) for type in chosen)
    return [type for type in chosen if not _is_right(library, type)]


def _kernel(type: TensorType) -> Kernel:
    return matvec(type=type, columns=1, rows="n_tokens", epilogue="none")


def _is_right(library: Library, type: TensorType) -> bool:
    row = _known_row(type)
    weights = quants.dequantize(row, type, (WIDTH,))
    x = 1 + np.sin(np.arange(WIDTH, dtype=np.float32))
    fmt, memory, seen = FORMATS[type], x.view(np.uint8), x
    if isinstance(fmt, QuantizedFormat):
        memory, seen = _records(x, fmt.order(library.isa))
    out = np.zeros(1, np.float32)
    kernel = _kernel(type)
    arguments = kernel.arguments.pack(
        {
            "weights": row.ctypes.data,
            "row_bytes": row.nbytes,
            "n_rows": 1,
            "task_rows": 1,
            "x": memory.ctypes.data,
            "record": memory.nbytes,
            "width": WIDTH,
            "out": out.ctypes.data,
            "stride": 1,
            "bias": 0,
            "residual": 0,
        }
    )
    step = STEP.pack(dict.fromkeys(STEP.fields, 0) | {"n_tokens": 1})
    _CALL(library.address(kernel))(arguments.ctypes.data, step.ctypes.data, 0, 0)
    size = float(np.abs(weights) @ np.abs(seen))
    return bool(abs(float(out[0]) - float(weights @ seen)) <= TOLERANCE * size)


def _known_row(type: TensorType) -> NDArray[np.uint8]:
    """A row of blocks with every byte different and scales of one hundredth."""
    layout = quants.FORMATS[type].dtype
    n_bytes = WIDTH // type.block_size * type.block_bytes
    row = (np.arange(n_bytes) * 37 % 251).astype(np.uint8)
    blocks = row.view(layout)
    for name in layout.names or ():
        if layout[name] == np.dtype("<f2"):
            blocks[name] = 0.01
        elif layout[name] in (np.dtype("<f4"), np.dtype("<u2")) and type.block_size == 1:
            ones = np.linspace(0.5, 1.5, len(blocks), dtype=np.float32)
            blocks[name] = ones if layout[name].kind == "f" else ones.view(np.uint32) >> 16
    return row


def _records(x: NDArray[np.float32], order: Order) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """An activation record, and the numbers that it stands for."""
    q, d = quantize_meaning(x, order)
    values = order.scaled(q, d)
    if order.lift:
        parts = [order.arranged(q), d, order.starts(q)]
    else:
        whole = order.spans(values).ravel()
        parts = [order.arranged(q), d, *(whole.reshape(-1, n).sum(axis=1) for n in (32, 16))]
    memory = np.zeros(record_bytes(len(x), order), np.uint8)
    joined = np.concatenate([part.view(np.uint8) for part in parts])
    memory[: len(joined)] = joined
    return memory, values
