"""AArch64: NEON, with dot products, and those of pairs, where present."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyllama.kernels.isa.base import ISA
from pyllama.kernels.types import f32, i8, i16, i32, u8

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyllama.kernels.language import Builder, Value

    _Product = Callable[[Builder, Value, Value, Value], Value]


class NEON(ISA):
    """128-bit vectors: every 64-bit Arm."""

    name = "neon"
    triple = "aarch64-unknown-linux-gnu"
    cpu = "generic"
    needs = ("neon",)
    uses = ("dotprod", "fullfp16", "i8mm", "bf16")
    vector_bytes = 16
    tile_rows = 8
    tile_vectors = 2

    @property
    def dots_signed_bytes(self) -> bool:
        return True

    @property
    def dots_pairs(self) -> bool:
        return "i8mm" in self.features

    def dot(self, k: Builder, total: Value, w: Value, x: Value) -> Value:
        add = self._sdot if "dotprod" in self.features else self._pairwise
        return self._by_vector(k, add, total, w, x)

    def dot_pairs(self, k: Builder, total: Value, w: Value, x: Value) -> Value:
        if not self.dots_pairs:
            return super().dot_pairs(k, total, w, x)
        return self._by_vector(k, self._smmla, total, w, x)

    @staticmethod
    def _by_vector(k: Builder, add: _Product, total: Value, w: Value, x: Value) -> Value:
        signed = w.bits_as(i8 * w.type.lanes)  # right for u8 up to 127 too
        parts = [
            add(
                k,
                total.take(range(at, at + 4)),
                signed.take(range(4 * at, 4 * at + 16)),
                x.take(range(4 * at, 4 * at + 16)),
            )
            for at in range(0, total.type.lanes, 4)
        ]
        return k.concat(parts)

    @staticmethod
    def _sdot(k: Builder, total: Value, w: Value, x: Value) -> Value:
        return k.call("llvm.aarch64.neon.sdot.v4i32.v16i8", total.type, total, w, x)

    @staticmethod
    def _smmla(k: Builder, total: Value, w: Value, x: Value) -> Value:
        return k.call("llvm.aarch64.neon.smmla.v4i32.v16i8", total.type, total, w, x)

    @staticmethod
    def _pairwise(k: Builder, total: Value, w: Value, x: Value) -> Value:
        products = w.to(i16) * x.to(i16)
        halves = (products.take(range(at, at + 8)) for at in (0, 8))
        pairs = [k.call("llvm.aarch64.neon.saddlp.v4i32.v8i16", i32 * 4, h) for h in halves]
        return total + k.call("llvm.aarch64.neon.addp.v4i32", i32 * 4, *pairs)

    def pause(self, k: Builder) -> None:
        k.call("llvm.aarch64.hint", None, k.const(i32, 1))

    def lookup(self, k: Builder, table: tuple[int, ...], index: Value) -> Value:
        values = k.vector(i8, table)
        parts = [
            k.call(
                "llvm.aarch64.neon.tbl1.v16i8",
                i8 * 16,
                values,
                index.take(range(at, at + 16)),
            )
            for at in range(0, index.type.lanes, 16)
        ]
        return k.concat(parts)

    def pick(self, k: Builder, table: Value, index: Value) -> Value:
        halves = [table.take(range(at, at + 4)).bits_as(u8 * 16) for at in (0, 4)]
        places = (index & 7) * 0x04040404 + 0x03020100  # of the four bytes of each element
        parts = [
            k.call(
                "llvm.aarch64.neon.tbl2.v16i8",
                u8 * 16,
                *halves,
                places.take(range(at, at + 4)).bits_as(u8 * 16),
            ).bits_as(f32 * 4)
            for at in range(0, index.type.lanes, 4)
        ]
        return k.concat(parts)
