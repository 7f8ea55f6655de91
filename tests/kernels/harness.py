"""Runs one kernel on NumPy arrays, task by task, as a worker would."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from pyllama.kernels.jit import Library
from pyllama.kernels.kernel import STEP, Kernel

SIGNATURE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)


def aligned(count: int, dtype: Any) -> np.ndarray:
    """Zeros that start on a cache line."""
    dtype = np.dtype(dtype)
    memory = np.zeros(count * dtype.itemsize + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + count * dtype.itemsize].view(dtype)


def address(value: Any) -> int | float:
    """A pointer for an array; numbers stay as they are."""
    return value.ctypes.data if isinstance(value, np.ndarray) else value


def run(
    library: Library,
    kernel: Kernel,
    tasks: int,
    step: dict[str, Any] | None = None,
    **arguments: Any,
) -> None:
    """Run ``tasks`` tasks of a kernel; arrays become pointers, step fields default to zero."""
    scratch = aligned(1 << 22, np.uint8)
    fields: dict[str, Any] = dict.fromkeys(STEP.fields, 0) | {"scratch": scratch} | (step or {})
    step_block = STEP.pack({name: address(value) for name, value in fields.items()})
    block = kernel.arguments.pack({name: address(value) for name, value in arguments.items()})
    function = SIGNATURE(library.address(kernel))
    for task in range(tasks):
        function(block.ctypes.data, step_block.ctypes.data, task, 0)
