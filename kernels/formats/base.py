"""What a block format tells the kernels: how its blocks become lanes, scales and offsets.

A quantized block of ``block_size`` weights is described by three parts, all in the order of the
weights::

    weight[i] = scales[i // group] * lanes[i] + offsets[i // offset_group]

``lanes`` are small integers, given in chunks of 32: u8 up to 127, or i8. Kernels never look into a
block themselves, so a new format is one class here, whatever the instruction sets and matmuls.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from pyllama.gguf.types import TensorType
from pyllama.kernels.isa.base import ISA
from pyllama.kernels.language import Builder, Pointer, Value
from pyllama.kernels.orders import PLAIN, Order
from pyllama.kernels.types import Type, f32, u8, u32
from pyllama.quants import FORMATS as REFERENCE

CHUNK = 32
"""Lanes of a chunk."""

BIAS = 128
"""Makes signed bytes unsigned."""


class Block:
    """Reads the fields of one block by the names that its format declares: ``block.d``."""

    def __init__(self, place: Pointer, layout: np.dtype[Any]) -> None:
        self._place, self._layout = place, layout

    def __getattr__(self, name: str) -> Any:
        fields = self._layout.fields
        if fields is None or name not in fields:
            raise AttributeError(f"the block has no field {name!r}")
        dtype, offset = fields[name][:2]
        base, shape = dtype.subdtype or (dtype, ())
        element = Type(base.kind, 8 * base.itemsize)
        field = self._place.at(offset).of(element, aligned=False)
        return field if shape else field[0]


class Gathered(Block):
    """Reads a field of several blocks as one vector; such a field is a single number in each."""

    def __init__(self, k: Builder, blocks: Sequence[Block]) -> None:
        self._k, self._blocks = k, blocks

    def __getattr__(self, name: str) -> Any:
        return self._k.concat([getattr(block, name) for block in self._blocks])


@dataclass(frozen=True)
class Piece:
    """Weights whose products are added up four to a lane, and lane by lane, before scaling."""

    vectors: list[Value]
    """u8, or i8; equally long."""
    places: list[int]
    """Where the activations of each vector begin, in the order of the format."""
    groups: list[int]
    """Of each lane of sums the group, whose scale it gets."""
    negative: list[Value] = field(default_factory=list)
    """For each vector the weights that are negative, as booleans; empty where none is."""


@dataclass(frozen=True)
class Unpacked:
    """Some blocks as integer dot products want them."""

    pieces: list[Piece]
    scales: Value
    """(groups,) f32."""
    chunks: list[int]
    """Of each scale the chunk of activations that it is for."""
    offsets: Value | None = None
    """(offset groups,) f32."""
    lifted: bool = False
    """Whether weights are raised by the lift of the order."""


class Format(Protocol):
    """A tensor type that matmuls read in place."""

    type: TensorType

    @property
    def name(self) -> str:
        """How ggml prints it; part of the names of kernels."""

    def floats(self, k: Builder, row: Pointer, start: Value, count: int) -> Iterator[Value]:
        """Weights ``start .. start + count`` of a row as f32 vectors in order.

        ``start`` and ``count`` are multiples of the block size.
        """


class QuantizedFormat:
    """A format whose blocks hold small integers with scales."""

    type: TensorType
    group: int
    """Weights that share a scale."""
    offset_group: int = 0
    """Weights that share an offset; 0 where the format has none."""
    is_signed = False
    """Whether lanes are i8."""
    largest = 127
    """What no lane exceeds."""
    levels: tuple[int, ...] = ()
    """Where a weight is one of 16 lanes and groups are chunks: these lanes, for ``codes``."""
    gathers = False
    """Whether ``scales`` and ``offsets`` take several blocks at once, as ``Gathered``."""

    def __init__(self) -> None:
        self.layout = REFERENCE[self.type].dtype

    def __repr__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        """How ggml prints it; part of the names of kernels."""
        return self.type.label

    @property
    def block_size(self) -> int:
        """Weights in a block."""
        return self.type.block_size

    def order(self, isa: ISA) -> Order:
        """The order in which ``unpacked`` wants activations."""
        return PLAIN

    def block(self, row: Pointer, index: Value | int) -> Block:
        """Block ``index`` of a row of weights."""
        k = row.k
        return Block(row.of(u8).at(k.integer(index) * self.type.block_bytes), self.layout)

    def lanes(self, k: Builder, block: Block) -> list[Value]:
        """Chunks of 32 integers, in the order of the weights."""
        raise TypeError(f"{type(self).__name__} does not say how its lanes are unpacked")

    def codes(self, k: Builder, block: Block) -> list[Value]:
        """Chunks of 32 numbers below 16: which of the ``levels`` each weight is."""
        return self.lanes(k, block)

    def raised(self, k: Builder, block: Block) -> list[Value]:
        """Signed lanes, raised by ``BIAS``, which makes them unsigned."""
        return [chunk.bits_as(u8 * CHUNK) ^ BIAS for chunk in self.lanes(k, block)]

    def scales(self, k: Builder, block: Block) -> Value:
        """(block_size // group,) f32."""
        raise TypeError(f"{type(self).__name__} does not say what its scales are")

    def offsets(self, k: Builder, block: Block, scales: Value) -> Value | None:
        """(block_size // offset_group,) f32, or None where there are none."""
        return None

    def scales_and_offsets(self, k: Builder, blocks: Sequence[Block]) -> tuple[Value, Value | None]:
        """The scales of several blocks, one after the other, and their offsets."""
        if self.gathers:
            fields = Gathered(k, blocks)
            scales = self.scales(k, fields)
            return scales, self.offsets(k, fields, scales)
        each = [self.scales(k, block) for block in blocks]
        offsets = [self.offsets(k, b, s) for b, s in zip(blocks, each, strict=True)]
        known = [offset for offset in offsets if offset is not None]
        return k.concat(each), k.concat(known) if known else None

    def unpacked(self, k: Builder, blocks: Sequence[Block]) -> Unpacked:
        """Several blocks, for integer dot products.

        Where these want unsigned bytes, signed lanes become so: 128 more, which offsets take back.
        """
        scales, offsets = self.scales_and_offsets(k, blocks)
        if k.isa.dots_whole_bytes and self.is_signed:
            chunks = [chunk for block in blocks for chunk in self.raised(k, block)]
            offsets = scales * -BIAS
        else:
            chunks = [chunk for block in blocks for chunk in self.lanes(k, block)]
        size = self.piece_size(k)
        pieces = [
            Piece(
                vectors=[k.concat(chunks[at // CHUNK : (at + size) // CHUNK])],
                places=[at],
                groups=[i // self.group for i in range(at, at + size, 4)],
            )
            for at in range(0, len(chunks) * CHUNK, size)
        ]
        return Unpacked(pieces, scales, self.chunks(len(blocks)), offsets)

    def chunks(self, blocks: int) -> list[int]:
        """Of each scale of several blocks the chunk that it is for."""
        return [i // CHUNK for i in range(0, blocks * self.block_size, self.group)]

    def piece_size(self, k: Builder) -> int:
        """Weights in a vector of a piece."""
        return max(CHUNK, min(self.block_size, k.isa.dot_lanes))

    def dots(self, k: Builder, start: Value, w: list[Value], x: list[Value]) -> Value:
        """``start`` and the sums of products of a piece's vectors and activations."""
        return k.isa.dots(k, self.largest, start, k.concat(w), k.concat(x))

    def floats(self, k: Builder, row: Pointer, start: Value, count: int) -> Iterator[Value]:
        """See ``Format``."""
        first = start // self.block_size
        for b in range(count // self.block_size):
            block = self.block(row, first + b)
            scales = self.scales(k, block)
            offsets = self.offsets(k, block, scales)
            for c, chunk in enumerate(self.lanes(k, block)):
                for part in range(0, CHUNK, k.f32_lanes):
                    lanes = range(c * CHUNK + part, c * CHUNK + part + k.f32_lanes)
                    value = chunk.take(range(part, part + k.f32_lanes)).to(f32)
                    scale = scales.take([i // self.group for i in lanes])
                    if offsets is None:
                        yield value * scale
                    else:
                        offset = offsets.take([i // self.offset_group for i in lanes])
                        yield k.fma(value, scale, offset)


def nibbles(k: Builder, packed: Value) -> tuple[Value, Value]:
    """The low and the high four bits of every byte."""
    return packed & 15, packed >> 4


NIBBLES = tuple(range(16))
"""The levels of formats whose lanes are plain 4-bit numbers."""


def joined_nibbles(k: Builder, packed: Value) -> Value:
    """The low four bits of every byte, then the high ones: a vector twice as long."""
    n = packed.type.lanes
    words = packed.take([*range(n), *range(n)]).bits_as(u32 * (n // 2))
    shifts = k.vector(u32, [0] * (n // 4) + [4] * (n // 4))
    return (words >> shifts).bits_as(u8 * (2 * n)) & 15


def two_bits(block: Block) -> list[Value]:
    """Chunks of 2-bit numbers in ``qs``: each 32 bytes hold four chunks, lowest bits first."""
    return [block.qs.load(32 * half, 32) >> 2 * part & 3 for half in range(2) for part in range(4)]


def halves(chunks: Value) -> list[Value]:
    """Two chunks that are one vector."""
    return [chunks.take(range(at, at + CHUNK)) for at in (0, CHUNK)]


def with_bit(k: Builder, lanes: Value, bits: Value, bit: int) -> Value:
    """``lanes`` with ``1 << bit`` set where ``bits`` is true."""
    return lanes | k.select(bits, k.const(lanes.type, 1 << bit), k.zero(lanes.type))
