"""The processor's clock, for profiles."""

from __future__ import annotations

from pyllama.kernels.kernel import Array, Fields, kernel
from pyllama.kernels.language import Builder, Value
from pyllama.kernels.types import i64


@kernel(ticks=Array(i64), index=i64)
def stamp(k: Builder, a: Fields, step: Fields, *, task: Value, thread: Value) -> None:
    """Write the time to ``ticks[index]``, in ticks of a constant rate that all cores share.

    On x86 that is the time stamp counter, on AArch64 the virtual timer (CNTVCT_EL0).
    """
    a.ticks[a.index] = k.call("llvm.readcyclecounter", i64)
