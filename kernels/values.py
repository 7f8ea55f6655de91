"""What kernels compute with: values in registers, memory, and variables.

They combine with operators; a ``Builder`` (see ``language``) writes the instructions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pyllama.kernels.types import Type, boolean, pointer, u8, u32

if TYPE_CHECKING:
    from pyllama.kernels.language import Builder

Number = int | float


class Value:
    """A scalar or a vector in a register."""

    __slots__ = ("ir", "k", "type")

    def __init__(self, k: Builder, value: Any, type: Type) -> None:
        self.k, self.ir, self.type = k, value, type

    def _binary(self, other: Value | Number, integer: str, floating: str = "") -> Value:
        a, b = self.k.matched(self, other)
        operation = floating if a.type.is_float else integer
        return Value(self.k, getattr(self.k.ir, operation)(a.ir, b.ir), a.type)

    def __add__(self, other: Value | Number) -> Value:
        return self._binary(other, "add", "fadd")

    def __sub__(self, other: Value | Number) -> Value:
        return self._binary(other, "sub", "fsub")

    def __mul__(self, other: Value | Number) -> Value:
        return self._binary(other, "mul", "fmul")

    def __truediv__(self, other: Value | Number) -> Value:
        return self._binary(other, "", "fdiv")

    def __floordiv__(self, other: Value | Number) -> Value:
        return self._binary(other, "udiv" if self.type.kind == "u" else "sdiv")

    def __mod__(self, other: Value | Number) -> Value:
        return self._binary(other, "urem" if self.type.kind == "u" else "srem")

    def __and__(self, other: Value | Number) -> Value:
        return self._binary(other, "and_")

    def __or__(self, other: Value | Number) -> Value:
        return self._binary(other, "or_")

    def __xor__(self, other: Value | Number) -> Value:
        return self._binary(other, "xor")

    def __lshift__(self, other: Value | Number) -> Value:
        return self._binary(other, "shl")

    def __rshift__(self, other: Value | Number) -> Value:
        return self._binary(other, "lshr" if self.type.kind == "u" else "ashr")

    def __radd__(self, other: Number) -> Value:
        return self + other

    def __rmul__(self, other: Number) -> Value:
        return self * other

    def __rsub__(self, other: Number) -> Value:
        return self.k.like(self, other) - self

    def __rtruediv__(self, other: Number) -> Value:
        return self.k.like(self, other) / self

    def __neg__(self) -> Value:
        return self.k.zero(self.type) - self

    def _compare(self, other: Value | Number, sign: str) -> Value:
        a, b = self.k.matched(self, other)
        build = self.k.ir
        if a.type.is_float:
            result = build.fcmp_ordered(sign, a.ir, b.ir)
        elif a.type.kind == "u":
            result = build.icmp_unsigned(sign, a.ir, b.ir)
        else:
            result = build.icmp_signed(sign, a.ir, b.ir)
        return Value(self.k, result, boolean * a.type.lanes)

    def __lt__(self, other: Value | Number) -> Value:
        return self._compare(other, "<")

    def __le__(self, other: Value | Number) -> Value:
        return self._compare(other, "<=")

    def __gt__(self, other: Value | Number) -> Value:
        return self._compare(other, ">")

    def __ge__(self, other: Value | Number) -> Value:
        return self._compare(other, ">=")

    def equals(self, other: Value | Number) -> Value:
        """Lane-wise equality (``==`` keeps Python's meaning)."""
        return self._compare(other, "==")

    def differs(self, other: Value | Number) -> Value:
        """Lane-wise inequality (``!=`` keeps Python's meaning)."""
        return self._compare(other, "!=")

    def __getitem__(self, lane: int) -> Value:
        """One lane of a vector."""
        return self.k.lane_of(self, self.k.const(u32, lane))

    def to(self, scalar: Type) -> Value:
        """Convert every lane by value (widen, narrow, integer to float and back)."""
        target = scalar * self.type.lanes
        if self.type == target:
            return self
        operation = _conversion(self.type, target)
        return self.k.cast(operation, self, target) if operation else Value(self.k, self.ir, target)

    def bits_as(self, type: Type) -> Value:
        """The same bits seen as another type of the same size."""
        return self.k.cast("bitcast", self, type)

    def take(self, lanes: Sequence[int]) -> Value:
        """The vector ``[self[i] for i in lanes]``; the lanes are constants."""
        if self.type.lanes == 1:
            return self.k.splat(self, len(lanes))
        return self.k.shuffle(self, self, lanes)

    def sum(self) -> Value:
        """Sum of all lanes, added pairwise."""
        return self._fold(lambda a, b: a + b)

    def max(self) -> Value:
        """Largest lane."""
        return self._fold(self.k.max)

    def min(self) -> Value:
        """Smallest lane."""
        return self._fold(self.k.min)

    def _fold(self, combine: Any) -> Value:
        value = self
        while value.type.lanes > 1:
            half = value.type.lanes // 2
            value = combine(value.take(range(half)), value.take(range(half, 2 * half)))
        return value


def _conversion(source: Type, target: Type) -> str:
    """Name of the LLVM cast between two types of equally many lanes; empty when bits stay."""
    if source.is_float and target.is_float:
        return "fpext" if target.bits > source.bits else "fptrunc"
    if source.is_float:
        return "fptoui" if target.kind == "u" else "fptosi"
    if target.is_float:
        return "uitofp" if source.kind == "u" else "sitofp"
    if target.bits == source.bits:
        return ""
    if target.bits < source.bits:
        return "trunc"
    return "zext" if source.kind == "u" else "sext"


class Pointer:
    """Memory that is indexed in elements of one scalar type.

    ``aligned`` says that the address is a multiple of the element's size; blocks of quantized
    weights are not.
    """

    __slots__ = ("aligned", "element", "ir", "k")

    def __init__(self, k: Builder, address: Any, element: Type, aligned: bool = True) -> None:
        self.k, self.ir, self.element, self.aligned = k, address, element, aligned

    def at(self, index: Value | int) -> Pointer:
        """The memory that starts at element ``index``."""
        address = self.k.address(self.ir, self.k.integer(index), self.element)
        return Pointer(self.k, address, self.element, self.aligned)

    def at_byte(self, offset: Value | int) -> Pointer:
        """The memory that starts ``offset`` bytes further on."""
        return self.of(u8).at(offset).of(self.element)

    def of(self, element: Type, aligned: bool | None = None) -> Pointer:
        """The same address with elements of another type."""
        return Pointer(self.k, self.ir, element, self.aligned if aligned is None else aligned)

    @property
    def address(self) -> Value:
        """The address itself, to be passed on."""
        return Value(self.k, self.ir, pointer)

    def load(self, index: Value | int, lanes: int = 1) -> Value:
        """``lanes`` consecutive elements."""
        type = self.element * lanes
        return self.k.load(self.at(index).ir, type, self._align)

    def store(self, index: Value | int, value: Value) -> None:
        """Write the lanes of ``value`` to consecutive elements."""
        self.k.store(self.at(index).ir, value, self._align)

    @property
    def _align(self) -> int:
        return max(1, self.element.bits // 8) if self.aligned else 1

    def __getitem__(self, index: Value | int) -> Value:
        return self.load(index)

    def __setitem__(self, index: Value | int, value: Value) -> None:
        self.store(index, value)


class Variable:
    """A value that changes: ``total.value = total.value + x``. LLVM keeps it in a register."""

    __slots__ = ("_address", "_k", "_type")

    def __init__(self, k: Builder, initial: Value) -> None:
        self._k, self._type = k, initial.type
        self._address = k.allocate(initial.type)
        self.value = initial

    @property
    def value(self) -> Value:
        """What the variable holds now."""
        return self._k.load(self._address, self._type)

    @value.setter
    def value(self, value: Value) -> None:
        self._k.store(self._address, value)
