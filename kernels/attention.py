"""Attention with an online softmax: scores never leave the cache of the core that made them.

A task is one head of keys and values for one tile of neighbouring tokens of a sequence. All query
heads that share it, of all tokens of the tile, are its rows: each key and value is read and
converted once for all of them. Cells are taken ``SPAN`` at a time (Dao et al. 2022)::

    scores  [rows][SPAN]        one vector holds the scores of neighbouring cells
    sums    [rows][head_dim]    values weighted so far; rescaled when a larger score turns up

So that many processors can share the few heads of one token, its cells may be split into ``parts``
of ``PART_CELLS`` or more, each a task of its own. What they found is then merged. How cells are
split depends on their number alone, so results do not depend on the number of threads::

    found   [token][head][part][head_dim sums, largest score, sum of weights]
"""

from __future__ import annotations

from pyllama.kernels import score_changes
from pyllama.kernels.functions import exp
from pyllama.kernels.kernel import Array, Fields, kernel
from pyllama.kernels.kv_cache import (
    CACHE_TYPES,
    CELL_MULTIPLE,
    CELLS,
    QUANTIZED_GROUP,
    CacheType,
    KeyBlock,
    ValueCell,
    head_place,
)
from pyllama.kernels.language import Builder, Pointer, Value
from pyllama.kernels.prefetch import LINE_BYTES, prefetch_ahead
from pyllama.kernels.rope import largest_vector
from pyllama.kernels.score_changes import score_change
from pyllama.kernels.softmax import LOWEST, OnlineSoftmax
from pyllama.kernels.types import f32, i64, u8

ROW_TILE = 4
"""Rows that share each key or value in registers, at most."""

ACCUMULATORS = 8
"""Sums in registers, so many that multiply-adds do not wait for each other."""

SPAN = 256
"""Cells taken at a time."""

PART_CELLS = 512
"""Fewer cells are not worth a task of their own."""

PART_TASKS = 64
"""Tasks that one token's heads are split into where the cache is long enough."""


def parts_of(capacity: int, kv_heads: int) -> int:
    """Tasks that share the cells of one token and head."""
    return max(1, min(-(-capacity // PART_CELLS), PART_TASKS // kv_heads))


def found_bytes(tokens: int, heads: int, head_dim: int, parts: int) -> int:
    """Memory for what the parts of all tokens' heads find."""
    return tokens * heads * parts * (head_dim + 2) * f32.bytes


def row_tile(rows: int) -> int:
    """Rows that share each key or value in registers."""
    return min(ROW_TILE, rows)


def tile_rows(tokens: int, heads_per_kv: int) -> int:
    """Rows of a tile, padded to whole register tiles."""
    rows = tokens * heads_per_kv
    return -(-rows // row_tile(rows)) * row_tile(rows)


def scratch_bytes(tokens: int, heads_per_kv: int, head_dim: int) -> int:
    """Scratch memory of a worker."""
    rows = tile_rows(tokens, heads_per_kv)
    return rows * (2 * head_dim + SPAN + OnlineSoftmax.FLOATS_PER_ROW) * f32.bytes


@kernel(
    query=Array(f32),  # (tokens, kv_heads * heads_per_kv, head_dim)
    keys=Array(u8),  # the cache
    values=Array(u8),
    out=Array(f32),  # as query
    kv_heads=i64,
    capacity=i64,
    scale=f32,
    window=i64,  # how many positions a token sees, itself included
    **score_changes.FIELDS,
    sinks=Array(f32),  # (heads,) scores that take weight from all cells
    found=Array(f32),  # what each part found, where there are several
)
def attend(
    k: Builder,
    a: Fields,
    step: Fields,
    *,
    task: Value,
    thread: Value,
    head_dim: int,
    heads_per_kv: int,
    tokens: int,
    parts: int,
    key_type: str,
    value_type: str,
    change: str,
    has_sinks: bool,
) -> None:
    """Softmax(scale * query * keys) * values over the cells that each token may see."""
    task, part = task // parts, task % parts
    tile, head = task // a.kv_heads, task % a.kv_heads
    first, count = (step.tiles[tile * 2 + i].to(i64) for i in range(2))
    slab = step.slabs[first].to(i64)
    last = step.positions[first + count - 1].to(i64)
    begin, share = _split(k, step.positions[first].to(i64), last, a.window, parts)
    start = begin + part * share
    stop = k.min(start + share, last + 1)
    key_cache, value_cache = CACHE_TYPES[key_type], CACHE_TYPES[value_type]
    keys = head_place(a.keys, key_cache, a, slab, head, head_dim)
    values = head_place(a.values, value_cache, a, slab, head, head_dim)
    with k.when(start < stop):
        work = _Work(k, a, step, thread, head_dim, heads_per_kv, tile_rows(tokens, heads_per_kv))
        work.load_queries(first, count, head, part if has_sinks else None)
        with k.loop(start, stop, SPAN) as cell:
            cells = k.min(stop - cell, k.const(i64, SPAN))
            work.score(key_cache, keys, cell, cells)
            work.weigh(first, count, cell, cells, change, head)
            work.add_values(value_cache, values, cell, cells)
        if parts == 1:
            work.write(first, count, head)
        else:
            with k.either(share > last - begin) as (whole, partial):
                with whole:
                    work.write(first, count, head)
                with partial:
                    work.write_found(first, count, head, part, parts)


def _split(
    k: Builder, position: Value, last: Value, window: Value, parts: int
) -> tuple[Value, Value]:
    """Where the cells begin that a tile's tokens see, and how many of them make a part."""
    begin = k.max(position - window + 1, 0) // CELL_MULTIPLE * CELL_MULTIPLE
    if parts == 1:
        return begin, last + 1 - begin
    share = (last + parts - begin) // parts
    return begin, k.max((share + (SPAN - 1)) // SPAN * SPAN, PART_CELLS)


@kernel(
    found=Array(f32),
    out=Array(f32),  # (tokens, heads, head_dim)
    heads=i64,
    window=i64,
)
def merge_parts(
    k: Builder, a: Fields, step: Fields, *, task: Value, thread: Value, head_dim: int, parts: int
) -> None:
    """What the parts of one head of one token found becomes its output, if there are several."""
    lanes = largest_vector(k, head_dim)
    position = step.positions[task // a.heads].to(i64)
    begin, share = _split(k, position, position, a.window, parts)
    used = (position - begin) // share + 1
    found = a.found.at(task * (parts * (head_dim + 2)))
    with k.when(used > 1):
        largest = k.variable(k.const(f32, LOWEST))
        with k.loop(used) as part:
            largest.value = k.max(largest.value, found[part * (head_dim + 2) + head_dim])
        total = k.variable(k.zero(f32))
        out = a.out.at(task * head_dim)
        with k.loop(used) as part:
            sums = found.at(part * (head_dim + 2))
            weight = exp(k, sums[head_dim] - largest.value)
            total.value = k.fma(sums[head_dim + 1], weight, total.value)
            with k.loop(0, head_dim, lanes) as i:
                before = k.select(part > 0, out.load(i, lanes), k.zero(f32 * lanes))
                out.store(i, k.fma(sums.load(i, lanes), k.splat(weight, lanes), before))
        inverse = 1.0 / total.value
        with k.loop(0, head_dim, lanes) as i:
            out.store(i, out.load(i, lanes) * inverse)


class _Work:
    """The scratch memory of one task and the steps that work on it."""

    def __init__(
        self,
        k: Builder,
        a: Fields,
        step: Fields,
        thread: Value,
        head_dim: int,
        heads_per_kv: int,
        rows: int,
    ) -> None:
        self.k, self.a, self.step = k, a, step
        self.head_dim, self.heads_per_kv, self.rows = head_dim, heads_per_kv, rows
        self.row_tile = row_tile(rows)
        self.lanes = largest_vector(k, head_dim)
        memory = step.scratch.at(thread * step.scratch_stride).of(f32)
        self.query = memory
        self.sums = memory.at(rows * head_dim)
        self.scores = self.sums.at(rows * head_dim)
        self.softmax = OnlineSoftmax(k, self.scores.at(rows * SPAN), rows)

    def place(self, token: Value, head: Value, r: Value) -> Value:
        """Where a query head of a token stands in ``query`` and ``out``."""
        heads = self.a.kv_heads * self.heads_per_kv
        return (token * heads + head * self.heads_per_kv + r) * self.head_dim

    def load_queries(self, first: Value, count: Value, head: Value, part: Value | None) -> None:
        """Scaled queries; rows beyond the tile's tokens keep what they hold, which is not read.

        ``part``: which one this is, where there are sinks; the first one counts them.
        """
        k = self.k
        with k.loop(count) as t, k.loop(self.heads_per_kv) as r:
            source = self.a.query.at(self.place(first + t, head, r))
            row = t * self.heads_per_kv + r
            with k.loop(0, self.head_dim, self.lanes) as i:
                x = source.load(i, self.lanes) * self.a.scale
                self.query.store(row * self.head_dim + i, x)
                self.sums.store(row * self.head_dim + i, k.zero(x.type))
            sink = None
            if part is not None:
                sink = self.a.sinks[head * self.heads_per_kv + r]
                sink = k.select(part.equals(0), sink, k.const(f32, LOWEST))
            self.softmax.start(row, sink)

    def score(self, type: CacheType, keys: Pointer, cell: Value, cells: Value) -> None:
        """Scores of every row with ``cells`` cells from ``cell`` on, some vectors at a time."""
        k, tile = self.k, self.row_tile
        lanes = min(CELLS, k.f32_lanes)
        vectors = min(ACCUMULATORS // tile, CELL_MULTIPLE // lanes)
        blocks = max(1, vectors * lanes // CELLS)
        places = [(block, part) for block in range(blocks) for part in range(0, CELLS, lanes)]
        with k.loop(0, cells, blocks * CELLS) as c, k.loop(0, self.rows, tile) as row:
            keys_of = [
                KeyBlock(type, keys, cell + c + b * CELLS, self.head_dim) for b in range(blocks)
            ]
            for first in range(0, len(places), vectors):
                columns = [(keys_of[b], part) for b, part in places[first : first + vectors]]
                scores = self._products(type, columns, row, lanes)
                for (b, part), column in zip(places[first : first + vectors], scores, strict=True):
                    for r, score in enumerate(column):
                        place = (row + r) * SPAN + c + (b * CELLS + part)
                        self.scores.store(place, score)

    def _products(
        self, type: CacheType, columns: list[tuple[KeyBlock, int]], row: Value, lanes: int
    ) -> list[list[Value]]:
        """Products of the rows of a tile with some vectors of keys."""
        k = self.k
        group = QUANTIZED_GROUP if type.is_quantized else self.head_dim
        scores = [[k.zero(f32 * lanes)] * self.row_tile for _ in columns]
        for g in range(self.head_dim // group):
            sums = self._sums(type, columns, row, lanes, range(g * group, (g + 1) * group))
            for (block, part), column, of_group in zip(columns, scores, sums, strict=True):
                if type.is_quantized:
                    scale = block.scales.load(g * CELLS + part, lanes).to(f32)
                    of_group = [total * scale for total in of_group]
                column[:] = [a + b for a, b in zip(column, of_group, strict=True)]
        return scores

    def _sums(
        self,
        type: CacheType,
        columns: list[tuple[KeyBlock, int]],
        row: Value,
        lanes: int,
        elements: range,
    ) -> list[list[Value]]:
        """The same over some elements of the heads, as they are stored."""
        k, tile = self.k, self.row_tile
        blocks = {id(block): block for block, _ in columns}.values()
        sums = [[k.variable(k.zero(f32 * lanes)) for _ in range(tile)] for _ in columns]
        unroll = max(1, LINE_BYTES // (CELLS * type.element.bytes))
        with k.loop(elements.start, elements.stop, unroll) as start:
            for block in blocks:
                place = block.elements.at(start * CELLS).of(u8)
                prefetch_ahead(k, place, unroll * CELLS * type.element.bytes)
            for i in (start + u for u in range(unroll)):
                keys = [type.read(k, b.elements.load(i * CELLS + p, lanes)) for b, p in columns]
                for r in range(tile):
                    q = k.splat(self.query[(row + r) * self.head_dim + i], lanes)
                    for key, column in zip(keys, sums, strict=True):
                        column[r].value = k.fma(key, q, column[r].value)
        return [[total.value for total in column] for column in sums]

    def weigh(
        self, first: Value, count: Value, cell: Value, cells: Value, change: str, head: Value
    ) -> None:
        """Scores become weights, in place."""
        k = self.k
        with k.loop(count) as t:
            position = self.step.positions[first + t].to(i64)
            with k.loop(self.heads_per_kv) as r:
                row = t * self.heads_per_kv + r
                scores = self.scores.at(row * SPAN)

                def store(c: Value, weights: list[Value], scores: Pointer = scores) -> None:
                    for i, weight in enumerate(weights):
                        scores.store(c + i * k.f32_lanes, weight)

                window, query_head = self.a.window, head * self.heads_per_kv + r
                changed = score_change(k, self.a, change, query_head, position)
                self.softmax.weigh(row, scores, cells, cell, position, window, store, changed)

    def add_values(self, type: CacheType, values: Pointer, cell: Value, cells: Value) -> None:
        """Add the weighted values of the cells to the sums."""
        k, lanes, dim, tile = self.k, self.lanes, self.head_dim, self.row_tile
        vectors = max(
            v for v in (1, 2, 4, 8) if v * tile <= ACCUMULATORS and dim % (v * lanes) == 0
        )
        span = vectors * lanes
        with k.loop(0, self.rows, tile) as row, k.loop(0, dim, span) as start:
            places = [self.sums.at((row + r) * dim + start) for r in range(tile)]
            sums = [
                [k.variable(p.load(v * lanes, lanes) * self.softmax.rescale[row + r])
                 for v in range(vectors)]
                for r, p in enumerate(places)
            ]  # fmt: skip
            with k.loop(cells) as c:
                value = ValueCell(type, values, cell + c, dim)
                place = value.elements.at(start).of(u8)
                prefetch_ahead(k, place, span * type.element.bytes)
                loaded = []
                for v in range(vectors):
                    at = start + v * lanes
                    x = type.read(k, value.elements.load(at, lanes))
                    if type.is_quantized:
                        x = x * value.scales[at // QUANTIZED_GROUP].to(f32)
                    loaded.append(x)
                for r, row_sums in enumerate(sums):
                    w = k.splat(self.scores[(row + r) * SPAN + c], lanes)
                    for x, total in zip(loaded, row_sums, strict=True):
                        total.value = k.fma(w, x, total.value)
            for place, row_sums in zip(places, sums, strict=True):
                for v, total in enumerate(row_sums):
                    place.store(v * lanes, total.value)

    def write_found(self, first: Value, count: Value, head: Value, part: Value, parts: int) -> None:
        """Keep the sums as they are, with the largest score and the sum of the weights."""
        k, dim = self.k, self.head_dim
        with k.loop(count) as t, k.loop(self.heads_per_kv) as r:
            row = t * self.heads_per_kv + r
            place = self.place(first + t, head, r) // dim
            found = self.a.found.at((place * parts + part) * (dim + 2))
            with k.loop(0, dim, self.lanes) as i:
                found.store(i, self.sums.load(row * dim + i, self.lanes))
            found[dim], found[dim + 1] = self.softmax.largest[row], self.softmax.total[row]

    def write(self, first: Value, count: Value, head: Value) -> None:
        """Divide by the sum of the weights."""
        k = self.k
        with k.loop(count) as t, k.loop(self.heads_per_kv) as r:
            row = t * self.heads_per_kv + r
            out = self.a.out.at(self.place(first + t, head, r))
            inverse = 1.0 / self.softmax.total[row]
            with k.loop(0, self.head_dim, self.lanes) as i:
                out.store(i, self.sums.load(row * self.head_dim + i, self.lanes) * inverse)
