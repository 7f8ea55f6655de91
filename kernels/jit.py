"""From kernels to addresses: from the object cache where possible, else compiled and stored."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Protocol

from pyllama import quants
from pyllama.kernels import llvm
from pyllama.kernels.cache import ObjectCache
from pyllama.kernels.isa.base import ISA


class Function(Protocol):
    """Anything that can be written as LLVM IR: a ``Kernel`` or a part of the executor."""

    @property
    def symbol(self) -> str:
        """Name of the function."""

    def ir(self, isa: ISA) -> str:
        """Its LLVM IR for an instruction set."""


@cache
def source_digest() -> str:
    """Digest of all source that decides what code is emitted."""
    digest = hashlib.sha256(llvm.VERSION.encode())
    for package in (Path(__file__).parent, Path(quants.__file__).parent):
        for file in sorted(package.rglob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()


class Library:
    """Compiled functions of one instruction set, by symbol. Grows as kernels are asked for."""

    def __init__(self, isa: ISA, objects: ObjectCache | None = None) -> None:
        self.isa = isa
        self.objects = objects or ObjectCache()
        self.compiled: list[str] = []  # symbols that were not in the cache
        self.compile_seconds = 0.0
        self._addresses: dict[str, int] = {}
        self._linked: list[llvm.Linked] = []

    def load(self, functions: Iterable[Function]) -> None:
        """Make functions callable, all at once: linking has a cost a call."""
        wanted = {f.symbol: f for f in functions if f.symbol not in self._addresses}
        if not wanted:
            return
        linked = llvm.Linked({symbol: self.object_code(f) for symbol, f in wanted.items()})
        self._linked.append(linked)
        self._addresses.update({symbol: linked[symbol] for symbol in wanted})

    def address(self, function: Function) -> int:
        """Address of a function, loaded now if it was not before."""
        if function.symbol not in self._addresses:
            self.load([function])
        return self._addresses[function.symbol]

    def object_code(self, function: Function) -> bytes:
        """Object code of a function: from the cache, or compiled and stored now."""
        key = self._key(function)
        code = self.objects.get(key)
        if code is None:
            started = time.perf_counter()
            code = compile_for(self.isa, function)
            self.compile_seconds += time.perf_counter() - started
            self.compiled.append(function.symbol)
            self.objects.put(key, code)
        return code

    def _key(self, function: Function) -> str:
        text = "\n".join((source_digest(), self.isa.key, self.isa.triple, function.symbol))
        return hashlib.sha256(text.encode()).hexdigest()


def compile_for(isa: ISA, function: Function) -> bytes:
    """Object code of a function for an instruction set, which need not be the host's."""
    return llvm.compile_object(function.ir(isa), isa.triple, isa.cpu, isa.features)


def assembly_for(isa: ISA, function: Function) -> str:
    """Assembly of a function, to be read by people and tests."""
    return llvm.assembly(function.ir(isa), isa.triple, isa.cpu, isa.features)
