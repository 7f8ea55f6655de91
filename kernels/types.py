"""The types of the kernel language: scalars and vectors whose signedness is part of the type.

LLVM's integers have no sign; here ``u8`` and ``i8`` differ, so that widening, shifting right,
comparing and converting to float need no further word.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Type:
    """``kind``: ``i`` signed, ``u`` unsigned, ``f`` float, ``b`` bfloat, ``p`` pointer."""

    kind: str
    bits: int
    lanes: int = 1

    def __mul__(self, lanes: int) -> Type:
        """A vector of this scalar: ``f32 * 8``."""
        return replace(self, lanes=lanes)

    @property
    def scalar(self) -> Type:
        """The type of one lane."""
        return replace(self, lanes=1)

    @property
    def is_float(self) -> bool:
        """Whether lanes are floating-point numbers."""
        return self.kind in ("f", "b")

    @property
    def bytes(self) -> int:
        """Size in memory."""
        return self.bits * self.lanes // 8

    @property
    def suffix(self) -> str:
        """The ending of overloaded LLVM intrinsics: ``v8f32``, ``i64``."""
        scalar = _SUFFIXES.get(self.kind, "i") + str(self.bits)
        return scalar if self.lanes == 1 else f"v{self.lanes}{scalar}"

    @property
    def numpy(self) -> np.dtype[np.generic]:
        """The NumPy dtype of one lane."""
        return np.dtype(f"{self.kind}{self.bits // 8}")

    def __str__(self) -> str:
        name = f"{self.kind}{self.bits}"
        return name if self.lanes == 1 else f"{name}x{self.lanes}"


_SUFFIXES = {"f": "f", "b": "bf"}

boolean = Type("u", 1)
u8, u16, u32, u64 = (Type("u", bits) for bits in (8, 16, 32, 64))
i8, i16, i32, i64 = (Type("i", bits) for bits in (8, 16, 32, 64))
f16, f32, f64 = (Type("f", bits) for bits in (16, 32, 64))
bf16 = Type("b", 16)
pointer = Type("p", 64)
