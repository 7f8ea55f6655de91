"""Formats that store plain numbers: F32, F16, BF16."""

from __future__ import annotations

from collections.abc import Iterator

from pyllama.gguf.types import TensorType
from pyllama.kernels.language import Builder, Pointer, Value
from pyllama.kernels.types import Type, f16, f32, u16


class FloatFormat:
    """Weights stored one after the other; a row may have any length."""

    type: TensorType
    element: Type

    def __repr__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        """How ggml prints it; part of the names of kernels."""
        return self.type.label

    def load(self, k: Builder, row: Pointer, index: Value | int, lanes: int) -> Value:
        """``lanes`` weights from ``index`` on, as f32."""
        return row.of(self.element, aligned=False).load(index, lanes).to(f32)

    def floats(self, k: Builder, row: Pointer, start: Value, count: int) -> Iterator[Value]:
        """See ``Format``."""
        lanes = min(k.f32_lanes, count)
        for i in range(0, count, lanes):
            yield self.load(k, row, start + i, lanes)


class F32(FloatFormat):
    """IEEE single precision."""

    type = TensorType.F32
    element = f32


class F16(FloatFormat):
    """IEEE half precision."""

    type = TensorType.F16
    element = f16


class BF16(FloatFormat):
    """The upper half of a float32."""

    type = TensorType.BF16
    element = u16

    def load(self, k: Builder, row: Pointer, index: Value | int, lanes: int) -> Value:
        return k.isa.bf16_to_f32(k, row.of(u16, aligned=False).load(index, lanes))
