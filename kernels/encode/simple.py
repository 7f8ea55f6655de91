"""Q4_0, Q4_1, Q5_0, Q5_1, Q8_0; meaning: ``pyllama/quants/simple.py``."""

from __future__ import annotations

from pyllama.gguf.types import TensorType
from pyllama.kernels.encode.base import Encoder, Task, pack
from pyllama.kernels.encode.lanes import (
    Column,
    codes_of,
    largest,
    largest_magnitude,
    splat,
    where,
)
from pyllama.kernels.encode.search import bounds, fit_above_minimum, fit_around_zero
from pyllama.kernels.encode.weighting import weigh
from pyllama.kernels.language import Builder, Value
from pyllama.kernels.types import f32, i32, u8
from pyllama.quants.search import WEIGHTED_STEPS

SIZE = 32


class _Bits(Encoder):
    """Codes of four bits in ``qs``, and a fifth one in ``qh``."""

    weighs_by_rows = True
    bits: int

    def _pack(self, task: Task, codes: Column) -> None:
        pack(task.k, codes, task.out, "qs", SIZE, bits=4, run=16)
        if self.bits == 5:
            pack(task.k, codes, task.out, "qh", SIZE, bits=1, run=1, shift=4)

    def _weigh(self, task: Task) -> None:
        assert task.row_square is not None
        weigh(task.k, task.values, task.weights, SIZE, task.row_square)

    def _place(self, task: Task, scale: Value, base: Value, half: float) -> None:
        """Codes ``(x - base) / scale + half``, truncated."""
        k, codes = task.k, task.scratch.column(u8, SIZE)
        inverse = reciprocal(scale)
        with k.loop(SIZE) as i:
            codes[i] = _truncated((task.values[i] - base) * inverse + half, (1 << self.bits) - 1)
        self._pack(task, codes)


class Q4_0(_Bits):
    """Four bits around 8."""

    type = TensorType.Q4_0
    bits = 4

    def encode(self, task: Task) -> None:
        """The value of largest magnitude gets code 0."""
        k, middle = task.k, 1 << self.bits - 1
        d = largest(k, task.values, SIZE) / -middle
        task.out["d"] = d
        self._place(task, d, k.zero(d.type), middle + 0.5)

    def encode_weighted(self, task: Task) -> None:
        """The scale is searched for."""
        self._weigh(task)
        codes, middle = task.scratch.column(u8, SIZE), 1 << self.bits - 1
        d = fit_around_zero(task.k, task.values, task.weights, codes, SIZE, middle)
        task.out["d"] = d
        self._pack(task, codes)


class Q5_0(Q4_0):
    """Five bits around 16."""

    type = TensorType.Q5_0
    bits = 5


class Q4_1(_Bits):
    """Four bits above a minimum."""

    type = TensorType.Q4_1
    bits = 4

    def encode(self, task: Task) -> None:
        """The range of the values is spread over the codes."""
        low, high = bounds(task.k, task.values, SIZE)
        d = (high - low) / ((1 << self.bits) - 1)
        task.out["d"], task.out["m"] = d, low
        self._place(task, d, low, 0.5)

    def encode_weighted(self, task: Task) -> None:
        """Scale and minimum are searched for."""
        self._weigh(task)
        codes, work = task.scratch.column(u8, SIZE), task.scratch.column(f32, SIZE)
        top = (1 << self.bits) - 1
        d, below = fit_above_minimum(
            task.k, task.values, task.weights, codes, work, SIZE, top, WEIGHTED_STEPS
        )
        task.out["d"], task.out["m"] = d, -below
        self._pack(task, codes)


class Q5_1(Q4_1):
    """Five bits above a minimum."""

    type = TensorType.Q5_1
    bits = 5


class Q8_0(Encoder):
    """Eight bits, rounded away from zero."""

    type = TensorType.Q8_0
    takes_importance = False

    def encode(self, task: Task) -> None:
        """The largest magnitude gets code 127 or -127."""
        k = task.k
        d = largest_magnitude(k, task.values, SIZE) / 127
        inverse = reciprocal(d)
        task.out["d"] = d
        with k.loop(SIZE) as i:
            exact = finite(task.values[i] * inverse)
            whole = exact.to(i32)
            rest = exact - whole.to(f32)
            task.out["qs", i] = (whole + (rest * 2).to(i32)).to(u8)


def reciprocal(d: Value) -> Value:
    """1 / d, and 0 for a block of zeros."""
    return where(d.differs(0), splat(d.k, 1) / d)


def finite(value: Value) -> Value:
    """The value, or 0 for an infinity or a NaN, which cannot be converted to an integer."""
    return where(value.k.abs(value) <= 3e38, value)


def _truncated(value: Value, top: int) -> Value:
    k: Builder = value.k
    return codes_of(k.max(k.min(finite(value), top), 0))
