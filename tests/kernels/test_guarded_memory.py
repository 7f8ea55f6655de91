"""The memory that other tests run on notices what kernels must not do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from kernel_cases.memory import Memory

BEHIND = """
from ctypes import c_char
from kernel_cases.memory import Memory
array = Memory().empty((3, 7), "f4")
print(len((c_char * array.nbytes).from_address(array.ctypes.data).raw), flush=True)
(c_char * (array.nbytes + 1)).from_address(array.ctypes.data).raw
"""


@pytest.mark.skipif(os.name != "posix", reason="pages are protected on POSIX systems only")
def test_reading_behind_an_array_faults() -> None:
    process = subprocess.run(
        [sys.executable, "-c", BEHIND],
        cwd=Path(__file__).parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert process.stdout == "84\n"
    assert process.returncode < 0


def test_writing_before_an_array_is_seen() -> None:
    memory = Memory()
    array = memory.copy([1.0, 2.0], np.float32)
    array[:] = 3
    memory.check()
    np.lib.stride_tricks.as_strided(array, (2,), (-4,))[1] = 0
    with pytest.raises(AssertionError, match="before an array"):
        memory.check()
