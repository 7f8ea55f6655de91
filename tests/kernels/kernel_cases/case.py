"""What a test runs and how its result is judged."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kernel_cases.memory import Memory
from pyllama.kernels.jit import Library
from pyllama.kernels.kernel import STEP, Kernel, Struct

SIGNATURE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)


@dataclass(frozen=True)
class Launch:
    """A kernel with its arguments, arrays and numbers, and the step's fields that it reads."""

    kernel: Kernel
    tasks: int
    arguments: Mapping[str, Any]
    step: Mapping[str, Any] = field(default_factory=dict)

    @property
    def structs(self) -> tuple[tuple[Struct, Mapping[str, Any]], ...]:
        """Both structs that the kernel is called with, and their values."""
        step = dict.fromkeys(STEP.fields, 0) | dict(self.step)
        return (self.kernel.arguments, self.arguments), (STEP, step)


@dataclass(frozen=True)
class Case:
    """Launches in order, the memory they work on, and the comparison with what is expected."""

    memory: Memory
    launches: Sequence[Launch]
    compare: Callable[[], None]

    def run(self, library: Library) -> None:
        """Run here, task by task, and judge."""
        library.load(launch.kernel for launch in self.launches)
        for launch in self.launches:
            run(library, launch)
        self.judge()

    def judge(self) -> None:
        """Fail unless the result is what is expected and nothing else was written."""
        self.memory.check()
        self.compare()


def run(library: Library, launch: Launch) -> None:
    """Do all tasks of a launch, one after the other."""
    blocks = [
        struct.pack({name: _address(value) for name, value in values.items()})
        for struct, values in launch.structs
    ]
    function = SIGNATURE(library.address(launch.kernel))
    for task in range(launch.tasks):
        function(*(block.ctypes.data for block in blocks), task, 0)


def _address(value: Any) -> int | float:
    return int(value.ctypes.data) if isinstance(value, np.ndarray) else value


def assert_close(got: NDArray[Any], expected: NDArray[Any], bound: ArrayLike) -> None:
    """Fail where ``got`` is further than ``bound`` from ``expected``, or not a number."""
    error = np.abs(got.astype(np.float64) - expected)
    wrong = ~(error <= bound)
    if wrong.any():
        excess = np.where(wrong, np.nan_to_num(error, nan=np.inf), -1)
        worst = np.unravel_index(np.argmax(excess), excess.shape)
        raise AssertionError(
            f"{wrong.sum()} of {wrong.size} values differ, the first at {np.argwhere(wrong)[0]}, "
            f"the worst at {np.array(worst)}: {got[worst]} instead of {expected[worst]}"
        )
