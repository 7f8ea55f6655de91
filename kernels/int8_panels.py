"""Panels of bytes, for integer dot products: for quantized weights where there are no tiles.

The same plan as ``float_panels``, four elements at a time. Activations are the int8 records of the
decode matmul, turned round word by word, so that a vector holds the same four elements of
neighbouring tokens. Blocks of weights are unpacked once to bytes with their scales and offsets;
four bytes of a row are broadcast to all tokens::

    packed x   [tile of tokens][words of a record][tokens in the tile]     32-bit words
    bytes      [PANEL_ROWS][DEPTH]                                         u8
    scales     [PANEL_ROWS][DEPTH / group]                                 f32
    offsets    [PANEL_ROWS][DEPTH / offset group]                          f32
    sums       [PANEL_ROWS][tokens]                                        f32

Where dot products want unsigned weights, signed ones become so by adding 128, which an offset takes
back.
"""

from __future__ import annotations

from pyllama.gguf.types import TensorType
from pyllama.kernels.activation import GROUP
from pyllama.kernels.formats import FORMATS, QuantizedFormat
from pyllama.kernels.formats.base import BIAS, CHUNK
from pyllama.kernels.isa.base import ISA
from pyllama.kernels.kernel import Fields
from pyllama.kernels.language import Builder, Pointer, Value, Variable
from pyllama.kernels.prefetch import prefetch_rows
from pyllama.kernels.types import f32, i8, i32, i64, u8, u32

PANEL_ROWS = 64
"""Rows of weights that one task unpacks."""

DEPTH = 256
"""Weights of each row that are unpacked at a time."""

WORD = 4
"""Elements that a dot product adds up in a lane."""

_SMALLEST_GROUP = 16


def fits(isa: ISA, type: TensorType) -> bool:
    """Whether a type is computed this way: where dot products of such bytes are fast."""
    fmt = FORMATS[type]
    if not isinstance(fmt, QuantizedFormat):
        return False
    return bool(fmt.offset_group) or isa.dots_whole_bytes or isa.dots_signed_bytes


def tile_tokens(isa: ISA) -> int:
    """Tokens in a register tile."""
    return isa.byte_vectors * isa.vector_bytes // f32.bytes


def scratch_bytes(tokens: int, matrices: int = 1) -> int:
    """Scratch memory of a worker; ``tokens`` is padded to whole tiles."""
    floats = 2 * DEPTH // _SMALLEST_GROUP + matrices * tokens
    return PANEL_ROWS * (DEPTH + floats * f32.bytes)


class Panel:
    """Unpacked weights in a worker's scratch memory."""

    def __init__(self, k: Builder, type: TensorType, memory: Pointer) -> None:
        fmt = FORMATS[type]
        if not isinstance(fmt, QuantizedFormat):
            raise TypeError(f"{fmt.name} has no blocks")
        self.k, self.fmt = k, fmt
        self.is_signed = not fmt.offset_group and k.isa.dots_signed_bytes
        self.group = fmt.group
        self.offset_group = 0 if self.is_signed else fmt.offset_group or fmt.group
        self.bytes = memory.of(u8)
        self.scales = memory.at(PANEL_ROWS * DEPTH).of(f32)
        self.offsets = self.scales.at(PANEL_ROWS * DEPTH // _SMALLEST_GROUP)
        self.end = self.offsets.at(PANEL_ROWS * DEPTH // _SMALLEST_GROUP)

    def unpack(self, row: Pointer, start: Value, depth: Value, r: Value) -> None:
        """Weights ``start .. start + depth`` of a row of blocks become row ``r``."""
        k, fmt = self.k, self.fmt
        with k.loop(0, depth, fmt.block_size) as i:
            block = fmt.block(row, (start + i) // fmt.block_size)
            scales = fmt.scales(k, block)
            offsets = fmt.offsets(k, block, scales)
            for c, chunk in enumerate(fmt.lanes(k, block)):
                if chunk.type.kind == "i" and not self.is_signed:
                    chunk = chunk.bits_as(u8 * CHUNK) ^ BIAS
                    offsets = scales * -BIAS
                self.bytes.store(r * DEPTH + i + c * CHUNK, chunk)
            self.scales.store(r * (DEPTH // self.group) + i // self.group, scales)
            if offsets is not None:
                place = r * (DEPTH // self.offset_group) + i // self.offset_group
                self.offsets.store(place, offsets)


class _Tile:
    """A tile of packed tokens: the words of their records, from weight ``start`` on."""

    def __init__(self, k: Builder, place: Pointer, width: Value, start: Value) -> None:
        self.tokens = tile_tokens(k.isa)
        self.place = place
        self.q = start // WORD
        self.d = width // WORD + start // GROUP
        sums32, sums16 = width // WORD + width // GROUP, width // WORD + width // GROUP * 2
        self.sums = {32: sums32 + start // 32, 16: sums16 + start // 16}

    def word(self, index: Value, v: int, lanes: int) -> Pointer:
        """A word of ``lanes`` neighbouring tokens."""
        return self.place.at(index * self.tokens + v * lanes)


def accumulate(
    k: Builder,
    a: Fields,
    weights: Pointer,
    count: Value,
    panel: Panel,
    sums: Pointer,
    padded: Value,
) -> None:
    """sums: (count, padded) products of some rows of weights with all tokens."""
    tile = tile_tokens(k.isa)
    with k.loop(0, a.width, DEPTH) as start:
        depth = k.min(a.width - start, k.const(i64, DEPTH))
        with k.loop(count) as r:
            row = weights.at(r * a.row_bytes)
            prefetch_rows(k, panel.fmt.type, row, a.row_bytes, start, DEPTH)
            panel.unpack(row, start, depth, r)
        with k.loop(0, padded, tile) as t, k.loop(0, count, k.isa.byte_rows) as r:
            x = _Tile(k, a.x.of(u32).at(t * a.words), a.width, start)
            place = sums.at(r * padded + t)
            _multiply(k, panel, r, x, depth, place, padded, start.equals(0))


def _multiply(
    k: Builder,
    panel: Panel,
    row: Value,
    x: _Tile,
    depth: Value,
    sums: Pointer,
    stride: Value,
    is_first: Value,
) -> None:
    """Add the products of a register tile to its sums."""
    height, vectors, lanes = k.isa.byte_rows, k.isa.byte_vectors, k.f32_lanes
    places = [[sums.at(stride * r + v * lanes) for v in range(vectors)] for r in range(height)]
    zero = k.zero(f32 * lanes)
    totals = [
        [k.variable(k.select(is_first, zero, place.load(0, lanes))) for place in line]
        for line in places
    ]
    with k.loop(0, depth, GROUP) as i:
        for part in range(0, GROUP, panel.group):
            _add_group(k, panel, row, x, i + part, totals)
        for part in range(0, GROUP, panel.offset_group) if panel.offset_group else ():
            _add_offsets(k, panel, row, x, i + part, totals)
    for line, values in zip(places, totals, strict=True):
        for place, total in zip(line, values, strict=True):
            place.store(0, total.value)


def _add_group(
    k: Builder, panel: Panel, row: Value, x: _Tile, i: Value, totals: list[list[Variable]]
) -> None:
    """Products of the weights from ``i`` on that share a scale."""
    lanes = k.f32_lanes
    zero = k.zero(i32 * lanes)
    byte = i8 if panel.is_signed else u8
    dots = [[zero for _ in line] for line in totals]
    for w in range(0, panel.group, WORD):
        index = x.q + (i + w) // WORD
        tokens = [
            x.word(index, v, lanes).load(0, lanes).bits_as(i8 * (WORD * lanes))
            for v in range(len(totals[0]))
        ]
        for r, line in enumerate(dots):
            four = panel.bytes.at((row + r) * DEPTH + i + w).of(u32)[0]
            weights = k.splat(four, lanes).bits_as(byte * (WORD * lanes))
            for v, token in enumerate(tokens):
                line[v] = k.isa.dot(k, line[v], weights, token)
    group = x.d + i // GROUP
    d = [x.word(group, v, lanes).of(f32).load(0, lanes) for v in range(len(totals[0]))]
    for r, line in enumerate(dots):
        scale = panel.scales[(row + r) * (DEPTH // panel.group) + i // panel.group]
        for v, dot in enumerate(line):
            total = totals[r][v]
            total.value = k.fma(dot.to(f32), d[v] * scale, total.value)


def _add_offsets(
    k: Builder, panel: Panel, row: Value, x: _Tile, i: Value, totals: list[list[Variable]]
) -> None:
    """Offsets times the sums of the activations."""
    lanes, group = k.f32_lanes, panel.offset_group
    index = x.sums[group] + i // group
    sums = [x.word(index, v, lanes).of(f32).load(0, lanes) for v in range(len(totals[0]))]
    for r, line in enumerate(totals):
        offset = k.splat(panel.offsets[(row + r) * (DEPTH // group) + i // group], lanes)
        for total, value in zip(line, sums, strict=True):
            total.value = k.fma(offset, value, total.value)
