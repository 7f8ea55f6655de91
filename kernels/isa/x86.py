"""Intel and AMD: AVX2 and AVX-512."""

from __future__ import annotations

from functools import reduce
from operator import add
from typing import TYPE_CHECKING

import numpy as np

from pyllama.kernels.isa.base import ISA, Field
from pyllama.kernels.types import Type, bf16, boolean, i8, i16, i32, u8, u16, u32, u64

if TYPE_CHECKING:
    from pyllama.kernels.language import Builder, Value


EVEN_ROWS = (*(1 << i for i in range(7)), 0x7F)
"""A matrix of bits: seven stay, and the eighth is their parity."""


class AVX2(ISA):
    """256-bit vectors: Haswell (2013), Zen (2017) and later."""

    name = "avx2"
    cpu = "x86-64-v3"
    needs: tuple[str, ...] = ("avx2", "fma", "f16c", "bmi", "bmi2", "lzcnt", "popcnt")
    vector_bytes = 32
    tile_rows = 4
    tile_vectors = 3
    byte_rows = 2
    byte_vectors = 2

    def dot(self, k: Builder, total: Value, w: Value, x: Value) -> Value:
        if w.type.kind == "i":  # maddubs wants its first operand unsigned: move w's sign to x
            w, x = self._absolute(k, w), self._signed_like(k, x, w)
        return self._add_pairs(k, total, self._pairs(k, w, x))

    def dots(self, k: Builder, largest: int, total: Value, w: Value, x: Value) -> Value:
        room = 0x7FFF // (2 * 127 * largest)  # sums of two products that fit into 16 bits
        if w.type.kind == "i" or self.dots_whole_bytes:
            return super().dots(k, largest, total, w, x)
        every = zip(self._parts(total, w), self._parts(total, x), strict=True)
        pairs = [self._pairs(k, one, other) for one, other in every]
        for at in range(0, len(pairs), room):
            total = self._add_pairs(k, total, reduce(add, pairs[at : at + room]))
        return total

    @staticmethod
    def _pairs(k: Builder, w: Value, x: Value) -> Value:
        """Sums of two products."""
        return k.call("llvm.x86.avx2.pmadd.ub.sw", i16 * (w.type.lanes // 2), w, x)

    @staticmethod
    def _add_pairs(k: Builder, total: Value, pairs: Value) -> Value:
        return total + k.call("llvm.x86.avx2.pmadd.wd", total.type, pairs, k.const(pairs.type, 1))

    def pause(self, k: Builder) -> None:
        k.call("llvm.x86.sse2.pause", None)

    def lookup(self, k: Builder, table: tuple[int, ...], index: Value) -> Value:
        return self._lookup(k, "llvm.x86.avx2.pshuf.b", table * 2, index)

    @staticmethod
    def _lookup(k: Builder, name: str, table: tuple[int, ...], index: Value) -> Value:
        """By an instruction that looks up in each part of a table for one of the result."""
        size, values = len(table), k.vector(i8, table)
        parts = (index.take(range(at, at + size)) for at in range(0, index.type.lanes, size))
        return k.concat([k.call(name, values.type, values, part) for part in parts])

    def pick(self, k: Builder, table: Value, index: Value) -> Value:
        parts = (index.take(range(at, at + 8)) for at in range(0, index.type.lanes, 8))
        name = "llvm.x86.avx2.permps"
        return k.concat([k.call(name, table.type, table, part) for part in parts])

    def bits(self, k: Builder, mask: Value) -> Value:
        return mask.bits_as(boolean * mask.type.bits)

    def gather(self, k: Builder, element: Type, table: tuple[int, ...], index: Value) -> Value:
        n = self.vector_bytes // element.bytes
        if index.type.lanes % n:
            return super().gather(k, element, table, index)
        place = k.table(element, np.array(table, element.numpy)).address
        nothing = k.zero(element * n)
        parts = (index.take(range(i, i + n)) for i in range(0, index.type.lanes, n))
        return k.concat([self.gathered(k, nothing, place, part) for part in parts])

    def gathered(self, k: Builder, nothing: Value, place: Value, index: Value) -> Value:
        """Elements of a table, as many as fill a vector."""
        element, n = nothing.type.scalar, nothing.type.lanes
        name = f"llvm.x86.avx2.gather.{'d.d' if element == u32 else 'q.q'}.256"
        every = k.const(element * n, -1)
        return k.call(name, nothing.type, nothing, place, index, every, k.const(i8, element.bytes))

    @staticmethod
    def _absolute(k: Builder, value: Value) -> Value:
        return k.select(value < 0, -value, value)

    @staticmethod
    def _signed_like(k: Builder, x: Value, sign: Value) -> Value:
        return k.call("llvm.x86.avx2.psign.b", x.type, x, sign)


class AVXVNNI(AVX2):
    """AVX2 with the int8 dot product of 256 bits: Alder Lake (2021), Zen 5 and later."""

    name = "avxvnni"
    needs: tuple[str, ...] = (*AVX2.needs, "avxvnni")

    @property
    def dots_whole_bytes(self) -> bool:
        return True

    def dot(self, k: Builder, total: Value, w: Value, x: Value) -> Value:
        if w.type.kind == "i":
            w, x = self._absolute(k, w), self._signed_like(k, x, w)
        return k.call(f"llvm.x86.avx512.vpdpbusd.{8 * w.type.lanes}", total.type, total, w, x)


class AVX512(AVX2):
    """512-bit vectors: Skylake-X (2017), Zen 4 (2022) and later; VNNI where present."""

    name = "avx512"
    cpu = "x86-64-v4"
    needs: tuple[str, ...] = (
        *AVX2.needs,
        "avx512f",
        "avx512bw",
        "avx512cd",
        "avx512dq",
        "avx512vl",
    )
    uses: tuple[str, ...] = ("avx512vnni", "avx512vbmi", "avx512bf16", "avx512fp16", "gfni")
    vector_bytes = 64
    dot_lanes = 64
    tile_rows = 8
    tile_vectors = 2
    byte_rows = 4
    byte_vectors = 3

    @property
    def dots_whole_bytes(self) -> bool:
        return "avx512vnni" in self.features

    def dot(self, k: Builder, total: Value, w: Value, x: Value) -> Value:
        lanes = w.type.lanes
        if w.type.kind == "i":
            x = k.select(w < 0, -x, x) if lanes == 64 else self._signed_like(k, x, w)
            w = self._absolute(k, w)
        if "avx512vnni" in self.features:
            return k.call(f"llvm.x86.avx512.vpdpbusd.{8 * lanes}", total.type, total, w, x)
        return self._add_pairs(k, total, self._pairs(k, w, x))

    @staticmethod
    def _pairs(k: Builder, w: Value, x: Value) -> Value:
        if w.type.lanes != 64:
            return AVX2._pairs(k, w, x)
        return k.call("llvm.x86.avx512.pmaddubs.w.512", i16 * 32, w, x)

    @staticmethod
    def _add_pairs(k: Builder, total: Value, pairs: Value) -> Value:
        if pairs.type.lanes != 32:
            return AVX2._add_pairs(k, total, pairs)
        ones = k.const(pairs.type, 1)
        return total + k.call("llvm.x86.avx512.pmaddw.d.512", total.type, pairs, ones)

    def lookup(self, k: Builder, table: tuple[int, ...], index: Value) -> Value:
        if index.type.lanes % 64:
            return super().lookup(k, table, index)
        return self._lookup(k, "llvm.x86.avx512.pshuf.b.512", table * 4, index)

    def pick(self, k: Builder, table: Value, index: Value) -> Value:
        if index.type.lanes % 16:
            return super().pick(k, table, index)
        twice = k.concat([table, table])
        parts = (index.take(range(at, at + 16)) for at in range(0, index.type.lanes, 16))
        name = "llvm.x86.avx512.permvar.sf.512"
        return k.concat([k.call(name, twice.type, twice, part) for part in parts])

    def negated(self, k: Builder, x: Value, where: Value) -> Value:
        return k.select(where, -x, x)  # one masked subtraction

    def fields(self, k: Builder, fields: tuple[Field | None, ...], words: Value) -> Value:
        if "avx512vbmi" not in self.features or words.type.bytes != 64:
            return super().fields(k, fields, words)
        size = words.type.scalar.bytes
        every = [field or (0, 0) for field in (*fields, *[None] * (size - len(fields)))]
        starts = tuple(8 * at + start for at in range(0, 8, size) for start, _ in every)
        kept = sum((1 << bits) - 1 << 8 * i for i, (_, bits) in enumerate(every))
        return self.bytes_at(k, starts, words.bits_as(u64 * 8)).bits_as(words.type) & kept

    def bytes_at(self, k: Builder, starts: tuple[int, ...], words: Value) -> Value:
        if "avx512vbmi" not in self.features or words.type.bytes != 64:
            return super().bytes_at(k, starts, words)
        places = k.vector(u8, starts * 8)
        name, packed = "llvm.x86.avx512.pmultishift.qb.512", words.bits_as(places.type)
        return k.call(name, places.type, places, packed)

    @property
    def looks_up_bytes(self) -> bool:
        return {"avx512vbmi", "avx512vnni", "gfni"} <= {*self.features}

    def _of_64(self, k: Builder, table: tuple[int, ...], index: Value) -> Value:
        if "avx512vbmi" not in self.features or index.type.bytes != 64:
            return super()._of_64(k, table, index)
        values = k.vector(u8, table)
        return k.call("llvm.x86.avx512.permvar.qi.512", values.type, values, index)

    def even_bytes(self, k: Builder, sevens: Value) -> Value:
        if "gfni" not in self.features or sevens.type.bytes != 64:
            return super().even_bytes(k, sevens)
        return self.parities(k, EVEN_ROWS, sevens)

    def parities(self, k: Builder, rows: tuple[int, ...], value: Value) -> Value:
        if "gfni" not in self.features or value.type.bytes != 64:
            return super().parities(k, rows, value)
        matrix = k.vector(u8, rows[::-1] * 8)  # bit 7 first
        return k.call("llvm.x86.vgf2p8affineqb.512", matrix.type, value, matrix, k.const(i8, 0))

    def gathered(self, k: Builder, nothing: Value, place: Value, index: Value) -> Value:
        name = f"llvm.x86.avx512.mask.gather.{'dpi' if nothing.type.scalar == u32 else 'qpq'}.512"
        every = k.const(boolean * index.type.lanes, 1)
        scale = k.const(i32, nothing.type.scalar.bytes)
        return k.call(name, nothing.type, nothing, place, index, every, scale)

    def times_power(self, k: Builder, x: Value, n: Value) -> Value:
        if x.type.lanes != 16:
            return super().times_power(k, x, n)
        every, as_set = k.const(i16, -1), k.const(i32, 4)  # no mask; rounds as always
        return k.call("llvm.x86.avx512.mask.scalef.ps.512", x.type, x, n, x, every, as_set)

    def f32_to_bf16(self, k: Builder, value: Value) -> Value:
        if "avx512bf16" not in self.features:
            return super().f32_to_bf16(k, value)
        return value.to(bf16).bits_as(u16 * value.type.lanes)


class AMX(AVX512):
    """AVX-512 with bf16 tiles for batches: Sapphire Rapids (2023) and later."""

    name = "amx"
    needs: tuple[str, ...] = (*AVX512.needs, "avx512bf16", "amx-tile", "amx-bf16")
    uses = ("avx512vnni", "avx512vbmi", "avx512fp16", "gfni")
    has_tiles = True
