"""TQ1_0 and TQ2_0; meaning: ``pyllama/quants/ternary.py``."""

from __future__ import annotations

from pyllama.gguf.types import TensorType
from pyllama.kernels.encode.base import Encoder, Task, pack
from pyllama.kernels.encode.lanes import LANES, Column, largest_magnitude
from pyllama.kernels.encode.simple import reciprocal
from pyllama.kernels.types import u8, u16, u32

SIZE = 256


class _Ternary(Encoder):
    """Digits 0, 1, 2 for -d, 0, d, with d the largest magnitude."""

    takes_importance = False

    def encode(self, task: Task) -> None:
        """Halves are rounded away from zero."""
        k, digits = task.k, task.scratch.column(u8, SIZE)
        d = largest_magnitude(k, task.values, SIZE)
        task.out["d"] = d
        inverse = reciprocal(d)
        with k.loop(SIZE) as i:
            exact = task.values[i] * inverse
            digits[i] = 1 + (exact >= 0.5).to(u8) - (exact <= -0.5).to(u8)
        self._pack(task, digits)

    def _pack(self, task: Task, digits: Column) -> None:
        raise TypeError(f"{type(self).__name__} does not say where its digits are")


class TQ2_0(_Ternary):
    """Four digits a byte."""

    type = TensorType.TQ2_0

    def _pack(self, task: Task, digits: Column) -> None:
        pack(task.k, digits, task.out, "qs", SIZE, bits=2, run=32)


class TQ1_0(_Ternary):
    """Five digits a byte, as a fraction of base 3."""

    type = TensorType.TQ1_0

    def _pack(self, task: Task, digits: Column) -> None:
        parts = (("qs", 0, 0, 32, 5), ("qs", 32, 160, 16, 5), ("qh", 0, 240, 4, 4))
        for field, place, first, run, count in parts:
            with task.k.loop(run) as j:
                number = task.k.zero(u16 * LANES)
                for digit in range(count):
                    number = number + digits[j + first + digit * run].to(u16) * 3 ** (4 - digit)
                task.out[field, j + place] = ((number.to(u32) * 256 + 242) // 243).to(u8)
