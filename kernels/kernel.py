"""What a kernel is: a function with one fixed signature, built from Python on demand.

Every kernel is called by the step executor as ``kernel(arguments, step, task, thread)``:

* ``arguments``  what the plan bound when it was made: pointers and sizes, a ``Struct``
* ``step``       what changes from step to step (``STEP``): how many tokens, where, which thread
* ``task``       which of its independent tasks to do
* ``thread``     which worker does it, for scratch memory
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pyllama.kernels.isa.base import ISA
from pyllama.kernels.language import Builder, Pointer, Value, function_ir
from pyllama.kernels.types import Type, f32, i32, i64, pointer, u8

SLOT = 8
"""Bytes of a struct's field: every field takes one slot of this size."""


@dataclass(frozen=True)
class Array:
    """A struct's field that points to elements of a type."""

    element: Type


class Struct:
    """Named 8-byte fields: Python fills them, native code reads them."""

    def __init__(self, **fields: Type | Array) -> None:
        self.fields = fields
        self.offsets = {name: SLOT * i for i, name in enumerate(fields)}
        self.size = SLOT * len(fields)

    def pack(self, values: Mapping[str, int | float]) -> np.ndarray[Any, np.dtype[np.int64]]:
        """One int64 a field; a float takes the low half of its slot."""
        if values.keys() != self.fields.keys():
            odd = sorted(values.keys() ^ self.fields.keys())
            raise ValueError(f"arguments do not match the kernel's fields: {', '.join(odd)}")
        packed = np.zeros(len(self.fields), np.int64)
        for i, (name, field) in enumerate(self.fields.items()):
            if field == f32:
                packed[i : i + 1].view(np.float32)[0] = values[name]
            else:
                packed[i] = values[name]
        return packed

    def view(self, k: Builder, address: Value) -> Fields:
        """The fields of a struct that does not change while the function runs: read once."""
        return Fields(self, Pointer(k, address.ir, u8), once=True)

    def live(self, k: Builder, address: Value) -> Fields:
        """The fields of a struct, read from memory wherever they are named."""
        return Fields(self, Pointer(k, address.ir, u8), once=False)


class Fields:
    """Reads a struct's fields by name: ``a.width``, ``a.x[i]``."""

    def __init__(self, struct: Struct, base: Pointer, once: bool) -> None:
        self._struct, self._base, self._once = struct, base, once
        self._known: dict[str, Any] = {}

    def having(self, **values: Value | Pointer) -> Fields:
        """The same fields, once read, with these values in the place of some, or beside them."""
        other = Fields(self._struct, self._base, self._once)
        other._known = self._known | values
        return other

    def __getattr__(self, name: str) -> Any:
        if not self._once:
            return self._read(name)
        if name not in self._known:
            with self._base.k.at_entry():
                self._known[name] = self._read(name)
        return self._known[name]

    def _read(self, name: str) -> Value | Pointer:
        field = self._struct.fields[name]
        place = self._base.at(self._struct.offsets[name])
        if isinstance(field, Array):
            return Pointer(self._base.k, place.of(pointer)[0].ir, field.element)
        return place.of(field)[0]


STEP = Struct(
    n_tokens=i64,  # tokens in this step
    n_outputs=i64,  # tokens whose logits are wanted
    n_tiles=i64,  # groups of tokens that attend together
    tokens=Array(i32),  # (n_tokens,) token ids
    positions=Array(i32),  # (n_tokens,) position of each token in its sequence
    slabs=Array(i32),  # (n_tokens,) which sequence's part of the cache
    outputs=Array(i32),  # (n_outputs,) rows whose logits are wanted
    tiles=Array(i32),  # (n_tiles, 2) first token and number of tokens
    scratch=Array(u8),  # memory of each worker
    scratch_stride=i64,  # bytes of it per worker
)

Emit = Callable[..., None]


@dataclass(frozen=True)
class Kernel:
    """A kernel with its static parameters: what the compiler turns into one function."""

    emit: Emit
    arguments: Struct
    parameters: tuple[tuple[str, Any], ...]

    @property
    def symbol(self) -> str:
        """The function's name, unique among kernels."""
        parts = [f"{name}_{value}" for name, value in self.parameters]
        text = "_".join([self.emit.__name__, *parts])
        return "".join(c if c.isalnum() or c == "_" else "_" for c in text).lower()

    def ir(self, isa: ISA) -> str:
        """LLVM IR of this one function, written for an instruction set."""

        def write(k: Builder, arguments: Value, step: Value, task: Value, thread: Value) -> None:
            self.emit(
                k,
                self.arguments.view(k, arguments),
                STEP.view(k, step),
                task=task,
                thread=thread,
                **dict(self.parameters),
            )

        return function_ir(self.symbol, isa, [pointer, pointer, i64, i64], None, write)


def kernel(**fields: Type | Array) -> Callable[[Emit], Callable[..., Kernel]]:
    """Declare a kernel: the fields are its arguments, keyword-only parameters are static.

    The decorated function becomes a factory: called with the static parameters it returns the
    ``Kernel``, an equal one for equal parameters.
    """
    struct = Struct(**fields)

    def declare(emit: Emit) -> Callable[..., Kernel]:
        static = [
            name
            for name, p in inspect.signature(emit).parameters.items()
            if p.kind is p.KEYWORD_ONLY and name not in ("task", "thread")
        ]

        def make(**parameters: Any) -> Kernel:
            if sorted(parameters) != sorted(static):
                raise TypeError(f"{emit.__name__} takes the static parameters {static}")
            return Kernel(emit, struct, tuple(sorted(parameters.items())))

        make.__name__, make.__doc__ = emit.__name__, emit.__doc__
        return make

    return declare
