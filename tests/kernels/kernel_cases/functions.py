"""Small functions of vectors, compiled to be called with arrays."""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from kernel_cases.memory import Memory
from pyllama.kernels.isa.base import ISA
from pyllama.kernels.jit import Library
from pyllama.kernels.language import Builder, Pointer, Value, function_ir
from pyllama.kernels.types import Type, boolean, pointer, u8

Body = Callable[..., Value]


@dataclass(frozen=True)
class VectorFunction:
    """``body(k, *operands)`` of whole arrays: one load each, one store of the result."""

    body: Body
    operands: tuple[Type, ...]

    @property
    def symbol(self) -> str:
        """A name that differs for other code: what it emits for the plainest target decides."""
        text = self._ir("function", ISA())
        return f"function_{hashlib.sha256(text.encode()).hexdigest()[:16]}"

    def ir(self, isa: ISA) -> str:
        """LLVM IR for an instruction set."""
        return self._ir(self.symbol, isa)

    def _ir(self, name: str, isa: ISA) -> str:
        def write(k: Builder, out: Value, *places: Value) -> None:
            operands = [
                Pointer(k, place.ir, type.scalar).load(0, type.lanes)
                for place, type in zip(places, self.operands, strict=True)
            ]
            result = self.body(k, *operands)
            if result.type.scalar == boolean:
                result = result.to(u8)
            Pointer(k, out.ir, result.type.scalar).store(0, result)

        return function_ir(name, isa, [pointer] * (1 + len(self.operands)), None, write)


def type_of(array: NDArray[Any]) -> Type:
    """The vector type of an array, or the scalar type of an array of one."""
    return Type(array.dtype.kind, 8 * array.dtype.itemsize) * array.size


def call(
    library: Library, body: Body, operands: tuple[NDArray[Any], ...], result: NDArray[Any]
) -> NDArray[Any]:
    """``body`` of the operands; ``result`` tells the shape and type of what it returns."""
    function = VectorFunction(body, tuple(type_of(x) for x in operands))
    memory = Memory()
    places = [memory.empty(result.shape, result.dtype), *(memory.copy(x) for x in operands)]
    signature = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * len(places))
    signature(library.address(function))(*(place.ctypes.data for place in places))
    memory.check()
    return places[0]
