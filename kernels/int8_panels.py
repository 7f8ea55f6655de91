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

Where one instruction multiplies two rows by two tokens, words of bytes have eight elements, and
those of two rows stand side by side (the numbers of a record remain words of four bytes)::

    packed x   [tile of tokens][words of a record][tokens in the tile]     64-bit words
    bytes      [PANEL_ROWS / 2][DEPTH / 8][2 rows][8]                      u8

Where dot products want unsigned weights, signed ones become so by adding 128, which an offset takes
back.
"""

from __future__ import annotations

from pyllama.gguf.types import TensorType
from pyllama.kernels.formats import FORMATS, QuantizedFormat
from pyllama.kernels.formats.base import BIAS, CHUNK
from pyllama.kernels.isa.base import ISA
from pyllama.kernels.kernel import Array, Fields, kernel
from pyllama.kernels.language import Builder, Pointer, Value, Variable
from pyllama.kernels.orders import GROUP
from pyllama.kernels.prefetch import prefetch_rows
from pyllama.kernels.transpose import pack_rows
from pyllama.kernels.types import Type, f32, i8, i32, i64, u8, u32

PANEL_ROWS = 64
"""Rows of weights that one task unpacks."""

DEPTH = 256
"""Weights of each row that are unpacked at a time."""

WORD = 4
"""Elements that a dot product adds up in a lane, for each row that it multiplies."""

_SMALLEST_GROUP = 16

_NUMBERS = 4
"""What a record has for each group besides its bytes: the scale, and the sums of it."""


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


@kernel(x=Array(u32), width=i64, words=i64, out=Array(u32))
def pack_records(k: Builder, a: Fields, step: Fields, *, task: Value, thread: Value) -> None:
    """x: (tokens, words), records -> tiles of tokens, word by word. One task a tile."""
    tokens = tile_tokens(k.isa)
    rows = [a.x.at((task * tokens + i) * a.words) for i in range(tokens)]
    pack(k, rows, a.width, a.out.at(task * tokens * a.words))


def pack(k: Builder, rows: list[Pointer], width: Value, tile: Pointer) -> None:
    """Write the records of a tile of tokens word by word: their bytes, then their numbers."""
    word, q, numbers = _word(k.isa), width // WORD, width // GROUP * _NUMBERS
    if word.bytes == WORD:  # numbers are words too: one loop for all
        pack_rows(k, rows, q + numbers, tile)
    else:
        pack_rows(k, [row.of(word) for row in rows], width // word.bytes, tile.of(word))
        pack_rows(k, [row.at(q) for row in rows], numbers, tile.at(q * len(rows)))


def _edge(isa: ISA) -> int:
    """Rows of weights, and tokens, that one instruction multiplies with each other."""
    return 2 if isa.dots_pairs else 1


def _word(isa: ISA) -> Type:
    """The bytes of each of them that it takes, as one number."""
    return Type("u", 8 * WORD * _edge(isa))


class Panel:
    """Unpacked weights in a worker's scratch memory."""

    def __init__(self, k: Builder, type: TensorType, memory: Pointer) -> None:
        fmt = FORMATS[type]
        if not isinstance(fmt, QuantizedFormat):
            raise TypeError(f"{fmt.name} has no blocks")
        self.k, self.fmt, self.edge = k, fmt, _edge(k.isa)
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
            raises = fmt.is_signed and not self.is_signed
            offsets = scales * -BIAS if raises else fmt.offsets(k, block, scales)
            chunks = fmt.raised(k, block) if raises else fmt.lanes(k, block)
            for c, chunk in enumerate(chunks):
                self._store(r, i, c * CHUNK, chunk)
            self.scales.store(r * (DEPTH // self.group) + i // self.group, scales)
            if offsets is not None:
                place = r * (DEPTH // self.offset_group) + i // self.offset_group
                self.offsets.store(place, offsets)

    def _store(self, r: Value, i: Value, at: int, chunk: Value) -> None:
        """Write a chunk of row ``r`` from weight ``i + at`` on."""
        edge, word = self.edge, WORD * self.edge
        run = CHUNK if edge == 1 else word  # bytes of a row without those of another in between
        first = r // edge * (DEPTH * edge) + r % edge * word
        for part in range(0, CHUNK, run):
            place = first + i * edge + (at + part) * edge
            self.bytes.store(place, chunk.take(range(part, part + run)))

    def words(self, row: Value, i: Value, at: int) -> Value:
        """Words from weight ``i + at`` on of rows multiplied together, repeated in a vector."""
        lanes, count = self.k.f32_lanes, self.edge**2
        place = row * DEPTH + i * self.edge + at * self.edge
        words = self.bytes.at(place).of(u32).load(0, count).take([n % count for n in range(lanes)])
        return words.bits_as((i8 if self.is_signed else u8) * (WORD * lanes))


class _Tile:
    """A tile of packed tokens: the words of their records, from weight ``start`` on."""

    def __init__(self, k: Builder, place: Pointer, width: Value, start: Value) -> None:
        self.k, self.tokens = k, tile_tokens(k.isa)
        self.place = place
        self.q = start // _word(k.isa).bytes
        self.d = width // WORD + start // GROUP
        sums32, sums16 = width // WORD + width // GROUP, width // WORD + width // GROUP * 2
        self.sums = {32: sums32 + start // 32, 16: sums16 + start // 16}

    def words(self, i: Value) -> list[Value]:
        """Bytes from weight ``i`` on, a word of each token."""
        word = _word(self.k.isa)
        vectors = self._vectors(word, self.q + i // word.bytes)
        return [vector.bits_as(i8 * vector.type.bytes) for vector in vectors]

    def numbers(self, index: Value) -> list[Value]:
        """A number of each token."""
        return self._vectors(f32, index)

    def _vectors(self, element: Type, index: Value) -> list[Value]:
        place, lanes = self.place.of(element), self.k.isa.vector_bytes // element.bytes
        return [place.load(index * self.tokens + t, lanes) for t in range(0, self.tokens, lanes)]


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
    dots = _dots(k, panel, row, x, i)
    d = x.numbers(x.d + i // GROUP)
    for r, line in enumerate(dots):
        scale = panel.scales[(row + r) * (DEPTH // panel.group) + i // panel.group]
        for v, dot in enumerate(line):
            total = totals[r][v]
            total.value = k.fma(dot.to(f32), d[v] * scale, total.value)


def _dots(k: Builder, panel: Panel, row: Value, x: _Tile, i: Value) -> list[list[Value]]:
    """Integer products of the weights from ``i`` on that share a scale, by row and vector."""
    edge = panel.edge
    dot = k.isa.dot_pairs if edge == 2 else k.isa.dot
    zero = k.zero(i32 * k.f32_lanes)
    dots = [[zero] * (k.isa.byte_vectors * edge) for _ in range(0, k.isa.byte_rows, edge)]
    for w in range(0, panel.group, WORD * edge):
        tokens = x.words(i + w)
        for r, line in enumerate(dots):
            weights = panel.words(row + r * edge, i, w)
            for v, token in enumerate(tokens):
                line[v] = dot(k, line[v], weights, token)
    return [_row(k, line, r, edge) for line in dots for r in range(edge)]


def _row(k: Builder, dots: list[Value], r: int, edge: int) -> list[Value]:
    """Products of row ``r`` of those that were multiplied together."""
    tokens = k.f32_lanes // edge
    parts = [value.take(range(r * tokens, (r + 1) * tokens)) for value in dots]
    return [k.concat(parts[v : v + edge]) for v in range(0, len(parts), edge)]


def _add_offsets(
    k: Builder, panel: Panel, row: Value, x: _Tile, i: Value, totals: list[list[Variable]]
) -> None:
    """Offsets times the sums of the activations."""
    lanes, group = k.f32_lanes, panel.offset_group
    sums = x.numbers(x.sums[group] + i // group)
    for r, line in enumerate(totals):
        offset = k.splat(panel.offsets[(row + r) * (DEPTH // group) + i // group], lanes)
        for total, value in zip(line, sums, strict=True):
            total.value = k.fma(offset, value, total.value)
