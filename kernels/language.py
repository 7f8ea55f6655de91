"""The kernel language: Python that reads like the maths and writes LLVM IR.

A kernel is a Python function that receives a ``Builder`` and combines ``Value`` objects with
operators. Control flow is a ``with`` statement, memory a ``Pointer`` that is indexed in elements::

    with k.loop(n) as i:
        out[i] = x[i] * scale

Python loops in a kernel run while it is built: they unroll.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from llvmlite import ir
from numpy.typing import NDArray

from pyllama.kernels.types import Type, boolean, f32, i64, pointer, u32
from pyllama.kernels.values import Number, Pointer, Value, Variable

if TYPE_CHECKING:
    from pyllama.kernels.isa.base import ISA

__all__ = ["Builder", "Pointer", "Value", "Variable", "function_ir"]


class _BFloatType(ir.types._BaseFloatType):  # type: ignore[misc]
    """bfloat16, which llvmlite has no type for."""

    null = "0.0"
    intrinsic_name = "bf16"

    def __str__(self) -> str:
        return "bfloat"


_BFloatType._create_instance()

_FLOATS = {
    ("f", 16): ir.HalfType,
    ("f", 32): ir.FloatType,
    ("f", 64): ir.DoubleType,
    ("b", 16): _BFloatType,
}


_ATTRIBUTES = ("nounwind", '"frame-pointer"="all"')
"""Nothing is thrown; and the register of the frame pointer is for nothing else: through it Golden
Cove reads a stream of weights at three quarters of the speed (12.6 instead of 16.2 GB/s)."""


class _Attributes(ir.values.FunctionAttributes):  # type: ignore[misc]
    """Attributes of functions that llvmlite does not know by name."""

    _known = frozenset(_ATTRIBUTES)

    @classmethod
    def give(cls, function: ir.Function) -> None:
        """All that our functions have."""
        function.attributes = cls(_ATTRIBUTES)


def ir_type(type: Type | None) -> ir.Type:
    """The LLVM type of a value; ``None`` stands for no value."""
    if type is None:
        return ir.VoidType()
    if type.kind == "p":
        return ir.PointerType()
    scalar = _FLOATS[type.kind, type.bits]() if type.is_float else ir.IntType(type.bits)
    return scalar if type.lanes == 1 else ir.VectorType(scalar, type.lanes)


def function_ir(
    name: str, isa: ISA, parameters: Sequence[Type], returns: Type | None, write: Callable[..., Any]
) -> str:
    """LLVM IR of a module with one function, whose body ``write(k, *arguments)`` builds.

    ``write`` returns the function's result, where it has one.
    """
    module = ir.Module(name)
    module.triple = isa.triple
    signature = ir.FunctionType(ir_type(returns), [ir_type(p) for p in parameters])
    function = ir.Function(module, signature, name)
    _Attributes.give(function)
    k = Builder(function, isa)
    result = write(k, *(Value(k, a, t) for a, t in zip(function.args, parameters, strict=True)))
    if returns is None:
        k.ir.ret_void()
    else:
        k.ir.ret(result.ir)
    return str(module)


class _FunctionPointer:
    """What llvmlite's ``call`` wants of a callee, for an address known only when the code runs."""

    def __init__(self, address: ir.Value, signature: ir.FunctionType) -> None:
        self.type, self.function_type = address.type, signature
        self.get_reference = address.get_reference


class Builder:
    """Writes one function. ``isa`` is the instruction set it is written for."""

    def __init__(self, function: ir.Function, isa: ISA) -> None:
        self.function, self.isa = function, isa
        self.ir = ir.IRBuilder(function.append_basic_block("entry"))

    # Instructions that values are made of

    def cast(self, operation: str, value: Value, type: Type) -> Value:
        """An LLVM cast to another type."""
        return Value(self, getattr(self.ir, operation)(value.ir, ir_type(type)), type)

    def address(self, base: ir.Value, index: Value, element: Type) -> ir.Value:
        """The address of element ``index`` of an array."""
        return self.ir.gep(base, [index.ir], source_etype=ir_type(element))

    def load(self, address: ir.Value, type: Type, align: int | None = None) -> Value:
        """Read memory."""
        return Value(self, self.ir.load(address, typ=ir_type(type), align=align), type)

    def store(self, address: ir.Value, value: Value, align: int | None = None) -> None:
        """Write memory."""
        self.ir.store(value.ir, address, align=align)

    def allocate(self, type: Type) -> ir.Value:
        """Memory on the stack for one value."""
        with self.ir.goto_entry_block():
            return self.ir.alloca(ir_type(type))

    # Constants and operands

    def const(self, type: Type, value: Number) -> Value:
        """The same constant in every lane."""
        scalar = ir.Constant(ir_type(type.scalar), float(value) if type.is_float else int(value))
        if type.lanes == 1:
            return Value(self, scalar, type)
        return Value(self, ir.Constant(ir_type(type), [scalar] * type.lanes), type)

    def zero(self, type: Type) -> Value:
        """Zero in every lane."""
        return self.const(type, 0)

    def vector(self, scalar: Type, values: Sequence[Number]) -> Value:
        """A constant vector."""
        lanes = [ir.Constant(ir_type(scalar), v) for v in values]
        type = scalar * len(lanes)
        return Value(self, ir.Constant(ir_type(type), lanes), type)

    def table(self, element: Type, values: NDArray[Any]) -> Pointer:
        """A constant array; equal ones of a module are one."""
        data = values.astype(element.numpy, casting="safe").tobytes()
        name = f"table_{hashlib.sha256(data).hexdigest()[:16]}"
        place = self.function.module.globals.get(name)
        if place is None:
            constant = ir.Constant(ir.ArrayType(ir.IntType(8), len(data)), bytearray(data))
            place = ir.GlobalVariable(self.function.module, constant.type, name)
            place.linkage, place.global_constant, place.align = "internal", True, 64
            place.initializer = constant
        return Pointer(self, place, element)

    def integer(self, value: Value | int) -> Value:
        """An ``i64``, as indices are."""
        return value.to(i64) if isinstance(value, Value) else self.const(i64, value)

    def like(self, model: Value, number: Number) -> Value:
        """A constant of the type of ``model``."""
        return self.const(model.type, number)

    def matched(self, a: Value, b: Value | Number) -> tuple[Value, Value]:
        """Both operands with the same number of lanes: numbers and scalars are repeated."""
        if not isinstance(b, Value):
            return a, self.like(a, b)
        if a.type.lanes == 1 and b.type.lanes > 1:
            return self.splat(a, b.type.lanes), b
        if b.type.lanes == 1 and a.type.lanes > 1:
            return a, self.splat(b, a.type.lanes)
        if (a.type.is_float, a.type.bits) != (b.type.is_float, b.type.bits):
            raise TypeError(f"operands of types {a.type} and {b.type}")
        return a, b

    # Vectors

    def splat(self, value: Value, lanes: int) -> Value:
        """A vector with ``value`` in every lane."""
        if lanes == 1:
            return value
        type = value.type * lanes
        start = ir.Constant(ir_type(type), ir.Undefined)
        one = self.ir.insert_element(start, value.ir, ir.Constant(ir.IntType(32), 0))
        mask = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
        return Value(self, self.ir.shuffle_vector(one, start, mask), type)

    def shuffle(self, a: Value, b: Value, lanes: Sequence[int]) -> Value:
        """Lanes of ``a`` (counted from 0) and of ``b`` (counted on from the lanes of ``a``)."""
        mask = ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), list(lanes))
        result = Value(self, self.ir.shuffle_vector(a.ir, b.ir, mask), a.type * len(lanes))
        return result[0] if len(lanes) == 1 else result

    def concat(self, parts: Sequence[Value]) -> Value:
        """One vector of all lanes in order; equally long parts, a power of 2 of them."""
        values = list(parts)
        while len(values) > 1:
            lanes = values[0].type.lanes
            values = [
                self.shuffle(a, b, range(2 * lanes)) if lanes > 1 else self.pair(a, b)
                for a, b in zip(values[::2], values[1::2], strict=True)
            ]
        return values[0]

    def pair(self, a: Value, b: Value) -> Value:
        """A vector of two scalars."""
        lane = ir.IntType(32)
        start = ir.Constant(ir_type(a.type * 2), ir.Undefined)
        first = self.ir.insert_element(start, a.ir, ir.Constant(lane, 0))
        return Value(self, self.ir.insert_element(first, b.ir, ir.Constant(lane, 1)), a.type * 2)

    def lane_of(self, vector: Value, lane: Value) -> Value:
        """One lane, chosen when the code runs."""
        value = self.ir.extract_element(vector.ir, lane.to(u32).ir)
        return Value(self, value, vector.type.scalar)

    # Functions of values

    def call(self, name: str, returns: Type | None, *arguments: Value) -> Value:
        """Call an LLVM intrinsic or an external function by its name."""
        function = self.function.module.globals.get(name)
        if function is None:
            signature = ir.FunctionType(ir_type(returns), [ir_type(a.type) for a in arguments])
            function = ir.Function(self.function.module, signature, name)
        value = self.ir.call(function, [a.ir for a in arguments])
        return Value(self, value, returns or boolean)

    def fma(self, a: Value, b: Value | Number, c: Value | Number) -> Value:
        """``a * b + c``, rounded once."""
        a, b = self.matched(a, b)
        a, c = self.matched(a, c)
        return self.call(f"llvm.fma.{a.type.suffix}", a.type, a, b, c)

    def max(self, a: Value, b: Value | Number) -> Value:
        """The larger of each pair of lanes."""
        return self._extreme(a, b, ">")

    def min(self, a: Value, b: Value | Number) -> Value:
        """The smaller of each pair of lanes."""
        return self._extreme(a, b, "<")

    def _extreme(self, a: Value, b: Value | Number, sign: str) -> Value:
        a, b = self.matched(a, b)
        return self.select(a._compare(b, sign), a, b)

    def abs(self, value: Value) -> Value:
        """Absolute value of floats."""
        return self.call(f"llvm.fabs.{value.type.suffix}", value.type, value)

    def sqrt(self, value: Value) -> Value:
        """Square root."""
        return self.call(f"llvm.sqrt.{value.type.suffix}", value.type, value)

    def round(self, value: Value) -> Value:
        """Nearest integer, ties to even, as a float."""
        return self.call(f"llvm.roundeven.{value.type.suffix}", value.type, value)

    def select(self, condition: Value, yes: Value, no: Value) -> Value:
        """``yes`` where the condition holds, else ``no``."""
        return Value(self, self.ir.select(condition.ir, yes.ir, no.ir), yes.type)

    def call_pointer(self, function: Value, returns: Type | None, *arguments: Value) -> Value:
        """Call the function that a pointer points to."""
        signature = ir.FunctionType(ir_type(returns), [ir_type(a.type) for a in arguments])
        callee = _FunctionPointer(function.ir, signature)
        return Value(self, self.ir.call(callee, [a.ir for a in arguments]), returns or boolean)

    def prefetch(self, place: Pointer, offset: int, level: int) -> None:
        """Ask for the cache line ``offset`` bytes ahead in cache level 1 or 2; never faults."""
        number = ir.IntType(32)
        signature = ir.FunctionType(ir.VoidType(), [ir_type(pointer), number, number, number])
        function = self.function.module.globals.get("llvm.prefetch.p0")
        if function is None:
            function = ir.Function(self.function.module, signature, "llvm.prefetch.p0")
        read, locality, data = 0, 4 - level, 1
        arguments = [ir.Constant(number, n) for n in (read, locality, data)]
        self.ir.call(function, [place.at_byte(offset).ir, *arguments])

    # Atomics: all sequentially consistent

    def atomic_add(self, place: Pointer, value: Value | int) -> Value:
        """Add to memory and return what was there before."""
        amount = value if isinstance(value, Value) else self.const(place.element, value)
        old = self.ir.atomic_rmw("add", place.ir, amount.ir, "seq_cst")
        return Value(self, old, place.element)

    def atomic_load(self, place: Pointer) -> Value:
        """Read memory that another thread writes."""
        type, align = place.element, place.element.bytes
        value = self.ir.load_atomic(place.ir, "seq_cst", align, typ=ir_type(type))
        return Value(self, value, type)

    def atomic_store(self, place: Pointer, value: Value | int) -> None:
        """Write memory that another thread reads."""
        stored = value if isinstance(value, Value) else self.const(place.element, value)
        self.ir.atomic_rmw("xchg", place.ir, stored.ir, "seq_cst")

    # Control flow and variables

    def variable(self, initial: Value) -> Variable:
        """A value that loops may change."""
        return Variable(self, initial)

    @contextmanager
    def loop(
        self, start: Value | int, stop: Value | int | None = None, step: Value | int = 1
    ) -> Iterator[Value]:
        """``for i in range(start, stop, step)``; ``loop(n)`` counts from 0."""
        if stop is None:
            start, stop = 0, start
        first, last, stride = (self.integer(v) for v in (start, stop, step))
        before = self.ir.block
        head, body, after = (self.function.append_basic_block(n) for n in ("head", "body", "after"))
        self.ir.branch(head)
        self.ir.position_at_end(head)
        counter = self.ir.phi(ir_type(i64))
        counter.add_incoming(first.ir, before)
        i = Value(self, counter, i64)
        self.ir.cbranch((i < last).ir, body, after)
        self.ir.position_at_end(body)
        yield i
        counter.add_incoming((i + stride).ir, self.ir.block)
        self.ir.branch(head)
        self.ir.position_at_end(after)

    @contextmanager
    def at_entry(self) -> Iterator[None]:
        """Write into the function's first block, where loads run once."""
        with self.ir.goto_entry_block():
            yield

    @contextmanager
    def when(self, condition: Value) -> Iterator[None]:
        """Run the body only when the (scalar) condition holds."""
        with self.ir.if_then(condition.ir):
            yield

    @contextmanager
    def either(self, condition: Value) -> Iterator[tuple[Any, Any]]:
        """``with k.either(c) as (then, otherwise):`` and a body for each of the two."""
        with self.ir.if_else(condition.ir) as branches:
            yield branches

    @contextmanager
    def repeat(self) -> Iterator[Callable[[Value], None]]:
        """Repeat the body; it calls the yielded function with the condition under which it leaves.

        What follows that call in the body runs only when the loop goes on.
        """
        body = self.function.append_basic_block("repeat")
        after = self.function.append_basic_block("left")
        self.ir.branch(body)
        self.ir.position_at_end(body)

        def leave_if(condition: Value) -> None:
            rest = self.function.append_basic_block("stay")
            self.ir.cbranch(condition.ir, after, rest)
            self.ir.position_at_end(rest)

        yield leave_if
        self.ir.branch(body)
        self.ir.position_at_end(after)

    def scratch(self, scalar: Type, count: int, align: int = 64) -> Pointer:
        """A small array on the stack."""
        with self.ir.goto_entry_block():
            place = self.ir.alloca(ir.ArrayType(ir_type(scalar), count))
            place.align = align
        place.type = ir_type(pointer)  # llvmlite gives it a typed pointer, which stores would check
        return Pointer(self, place, scalar)

    @property
    def f32_lanes(self) -> int:
        """How many float32 a vector register holds."""
        return self.isa.vector_bytes // f32.bytes

    def spans(self, count: Value) -> tuple[tuple[Value | int, Value, int], ...]:
        """(start, stop, lanes) of the whole vectors of ``count`` float32, then of single ones."""
        lanes = self.f32_lanes
        whole = count // lanes * lanes
        return ((0, whole, lanes), (whole, count, 1))

    def lanes_that_divide(self, count: int) -> int:
        """The most lanes of a vector of float32 that divide ``count``."""
        lanes = self.f32_lanes
        while count % lanes:
            lanes //= 2
        return lanes
